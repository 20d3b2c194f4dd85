"""The questions on tokens that no vector puts first. Answers work on plain tensors."""

from mechlib.questions.ch05 import certify, lead, reach, refute, stretch

QUESTIONS = (lead.QUESTION, reach.QUESTION, stretch.QUESTION, refute.QUESTION, certify.QUESTION)
