"""The questions on self-repair and what it costs in volume. Answers work on plain tensors."""

from mechlib.questions.ch08 import paths, refute, weigh

QUESTIONS = (paths.QUESTION, weigh.QUESTION, refute.QUESTION)
