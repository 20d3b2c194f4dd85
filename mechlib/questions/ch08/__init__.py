"""The questions on self-repair and what it costs in volume. Answers work on plain tensors, or hand in heads of the real
model."""

from mechlib.questions.ch08 import cut_six, direct, paths, refute, weigh

QUESTIONS = (paths.QUESTION, weigh.QUESTION, refute.QUESTION, direct.QUESTION, cut_six.QUESTION)
