"""The questions on columns, caches and prompts. Answers work on plain tensors and numbers."""

from mechlib.questions.ch01 import asymmetry, blame, cached_attention, keep, prompts, refute, work

QUESTIONS = (
    cached_attention.QUESTION,
    work.QUESTION,
    prompts.QUESTION,
    blame.QUESTION,
    keep.QUESTION,
)

RETIRED = (asymmetry.QUESTION, refute.QUESTION)
