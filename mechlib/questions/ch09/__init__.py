"""The questions on one layer and one gradient step. Answers work on plain tensors."""

from mechlib.questions.ch09 import best_rates, heads, layer, read_off, refute

QUESTIONS = (layer.QUESTION, read_off.QUESTION, best_rates.QUESTION, refute.QUESTION, heads.QUESTION)
