"""Changing what a model computes on the way, to see what that was for.

A model's weights, modes and hooks are as before when an edit is over, also after an exception.
"""

from mechlib.causal.ablation import ablate
from mechlib.causal.edit import run_with_edit

__all__ = ["ablate", "run_with_edit"]
