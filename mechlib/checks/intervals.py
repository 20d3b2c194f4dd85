"""The interval that refutations ask for, and what is said of its usual mistakes."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

__all__ = ["ENDS_SWAPPED", "ONE_STANDARD_ERROR", "with_interval"]

ENDS_SWAPPED = "low and high are swapped: the lower end comes first."
ONE_STANDARD_ERROR = "the interval is one standard error wide on each side; 95 % needs 1.96."


def with_interval(values: Float[Tensor, " unit"], z: float = 1.96) -> tuple[Tensor, Tensor, Tensor]:
    """The mean, and the mean less and plus ``z`` standard errors."""
    margin = z * values.std() / math.sqrt(len(values))
    return values.mean(), values.mean() - margin, values.mean() + margin
