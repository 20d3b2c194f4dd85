"""The questions on which algorithm a model runs, and where. Answers work on plain tensors."""

from mechlib.questions.ch10 import acting, bayes, matched, probing, refute

QUESTIONS = (acting.QUESTION, probing.QUESTION, matched.QUESTION, bayes.QUESTION, refute.QUESTION)
