"""The questions on what is kept of the input. Answers work on plain tensors."""

from mechlib.questions.ch03 import by_place, erase, nearest, read, refute

QUESTIONS = (nearest.QUESTION, by_place.QUESTION, erase.QUESTION, refute.QUESTION, read.QUESTION)
