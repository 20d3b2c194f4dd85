"""The questions on induction heads. Answers work on plain tensors; only the open task needs a model."""

from mechlib.questions.ch06 import (
    ablation_effect,
    composition_score,
    copying_score,
    induction_score,
    keep,
    previous_token_score,
    refute_period,
)

QUESTIONS = (
    induction_score.QUESTION,
    composition_score.QUESTION,
    copying_score.QUESTION,
    ablation_effect.QUESTION,
    refute_period.QUESTION,
    keep.QUESTION,
)

RETIRED = (previous_token_score.QUESTION,)
