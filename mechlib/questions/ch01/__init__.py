"""The questions on columns, caches and prompts. Answers work on plain tensors and numbers; a model is needed for the
open task alone."""

from mechlib.questions.ch01 import asymmetry, blame, cached_attention, far, prompts, refute, work

QUESTIONS = (
    cached_attention.QUESTION,
    work.QUESTION,
    prompts.QUESTION,
    blame.QUESTION,
    far.QUESTION,
)

RETIRED = (asymmetry.QUESTION, refute.QUESTION)
