"""The questions on which algorithm a model runs, and where. Answers work on plain tensors."""

from mechlib.questions.ch10 import acting, bayes, direction, matched, probing, refute

QUESTIONS = (acting.QUESTION, matched.QUESTION, bayes.QUESTION, refute.QUESTION, direction.QUESTION)

RETIRED = (probing.QUESTION,)
