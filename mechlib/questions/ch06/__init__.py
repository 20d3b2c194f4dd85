"""The questions on induction heads. Answers work on plain tensors, so no model is needed to check them."""

from mechlib.questions.ch06 import (
    ablation_effect,
    composition_score,
    copying_score,
    induction_score,
    previous_token_score,
    refute_period,
)

QUESTIONS = (
    previous_token_score.QUESTION,
    induction_score.QUESTION,
    composition_score.QUESTION,
    copying_score.QUESTION,
    ablation_effect.QUESTION,
    refute_period.QUESTION,
)
