"""The questions on function classes and their rivals. Answers work on plain tensors."""

from mechlib.questions.ch11 import curve, neighbours, ratio, refute, sparse

QUESTIONS = (neighbours.QUESTION, curve.QUESTION, sparse.QUESTION, ratio.QUESTION, refute.QUESTION)
