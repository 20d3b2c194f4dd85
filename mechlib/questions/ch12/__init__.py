"""The questions on posterior means, retreats from ridge and free energies. Answers work on plain tensors."""

from mechlib.questions.ch12 import crossing, plane, posterior, projection, refute, rise

QUESTIONS = (
    posterior.QUESTION,
    projection.QUESTION,
    crossing.QUESTION,
    refute.QUESTION,
    rise.QUESTION,
)

RETIRED = (plane.QUESTION,)
