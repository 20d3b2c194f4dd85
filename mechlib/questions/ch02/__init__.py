"""The questions on the logit lens. Answers work on plain tensors, so no model is needed to check them."""

from mechlib.questions.ch02 import kl_to_final, read_out, readable, refute, target_rank

QUESTIONS = (
    read_out.QUESTION,
    target_rank.QUESTION,
    kl_to_final.QUESTION,
    readable.QUESTION,
    refute.QUESTION,
)
