"""The questions on sampling near a minimum and judging its chains. Answers work on plain tensors."""

from mechlib.questions.ch15 import anchored, bias, diagnose, estimate, lm_chain, refute, rescale

QUESTIONS = (
    bias.QUESTION,
    lm_chain.QUESTION,
    anchored.QUESTION,
    estimate.QUESTION,
    diagnose.QUESTION,
    refute.QUESTION,
    rescale.QUESTION,
)
