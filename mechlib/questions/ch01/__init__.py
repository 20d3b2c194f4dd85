"""The questions on columns, caches, tied tables and prompts. Answers work on plain tensors and numbers."""

from mechlib.questions.ch01 import asymmetry, cached_attention, prompts, refute, work

QUESTIONS = (
    cached_attention.QUESTION,
    work.QUESTION,
    asymmetry.QUESTION,
    prompts.QUESTION,
    refute.QUESTION,
)
