"""The questions on circuits. Answers to all but the last work on plain tensors."""

from mechlib.questions.ch07 import circuit, faithfulness, refute, rivals

QUESTIONS = (faithfulness.QUESTION, rivals.QUESTION, refute.QUESTION, circuit.QUESTION)
