"""Prompts of examples, and the refusal of what is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Prompts:
    """Sequences of examples ``(x_0, y_0), (x_1, y_1), ...``, each of one task drawn for it.

    Whoever predicts ``y_k`` has seen the examples before ``k`` and ``x_k``.
    """

    x: Float[Tensor, "batch n_points d"]
    y: Float[Tensor, "batch n_points"]
    task: Any
    """What was drawn for each prompt, the batch axis first; the class that sampled it says which tensors."""

    def __post_init__(self) -> None:
        require_prompts(self.x, self.y)


def require_prompts(x: Float[Tensor, "batch n_points d"], y: Float[Tensor, "batch n_points"]) -> None:
    """Refuse what is no batch of prompts.

    Raises:
        ValueError: if the shapes do not belong together, there is no point, or a value is NaN or infinite.
    """
    if x.dim() != 3 or y.shape != x.shape[:2]:
        raise ValueError(
            f"prompts are x [batch, n_points, d] and y [batch, n_points], got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    if 0 in x.shape:
        raise ValueError(f"prompts need at least one prompt, one point and one dimension, got x of {tuple(x.shape)}")
    both = (("x", x), ("y", y))
    bad = torch.stack([(~torch.isfinite(values)).sum() for _, values in both]).tolist()  # one wait for the device
    for (name, values), number in zip(both, bad, strict=True):
        if number:
            raise ValueError(f"{name} holds {number} values that are NaN or infinite, of {values.numel()}")
