"""The questions on task diversity and the retreat from ridge. Answers work on plain tensors."""

from mechlib.questions.ch12 import crossing, plane, posterior, projection, refute

QUESTIONS = (
    posterior.QUESTION,
    projection.QUESTION,
    plane.QUESTION,
    crossing.QUESTION,
    refute.QUESTION,
)
