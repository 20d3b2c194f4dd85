"""The questions of chapter 08. Answers work on plain tensors."""

from mechlib.questions.ch08 import gap

QUESTIONS = (gap.QUESTION,)
