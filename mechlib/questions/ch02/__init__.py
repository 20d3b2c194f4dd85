"""The questions on the logit lens. Answers work on plain tensors; a model is needed for the open task alone."""

from mechlib.questions.ch02 import kl_to_final, leave_out, read_out, readable, refute, target_rank

QUESTIONS = (
    read_out.QUESTION,
    target_rank.QUESTION,
    kl_to_final.QUESTION,
    readable.QUESTION,
    refute.QUESTION,
    leave_out.QUESTION,
)
