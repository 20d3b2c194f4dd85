"""The questions on volume, the learning coefficient and the free energy. Answers work on plain tensors."""

from mechlib.questions.ch14 import coefficient, exponents, free_energy, polynomial, posterior, refute

QUESTIONS = (
    coefficient.QUESTION,
    exponents.QUESTION,
    free_energy.QUESTION,
    posterior.QUESTION,
    refute.QUESTION,
    polynomial.QUESTION,
)
