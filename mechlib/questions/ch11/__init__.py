"""The questions on function classes and their rivals. Answers work on plain tensors."""

from mechlib.questions.ch11 import curve, neighbours, ratio, refute, sparse, unseen

QUESTIONS = (
    neighbours.QUESTION,
    curve.QUESTION,
    sparse.QUESTION,
    refute.QUESTION,
    unseen.QUESTION,
)

RETIRED = (ratio.QUESTION,)
