"""The questions on self-repair. Answers work on plain tensors, or hand in heads of the real model."""

from mechlib.questions.ch08 import cut_six, direct

QUESTIONS = (direct.QUESTION, cut_six.QUESTION)
