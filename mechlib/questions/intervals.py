"""The interval that refutations ask for, and what is said of its usual mistakes."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

__all__ = [
    "ENDS_SWAPPED",
    "NO_ROOT",
    "ONE_STANDARD_ERROR",
    "POPULATION_SPREAD",
    "of_single_units",
    "with_interval",
    "with_population_spread",
]

ENDS_SWAPPED = "low and high are swapped: the lower end comes first."
NO_ROOT = "the interval uses the spread of single prompts; the mean of n is better known by sqrt(n)."
ONE_STANDARD_ERROR = "the interval is one standard error wide on each side; 95 % needs 1.96."
POPULATION_SPREAD = "your standard deviation divides by the number of prompts; one less is asked for (numpy: ddof=1)."


def with_interval(values: Float[Tensor, " unit"], z: float = 1.96) -> tuple[Tensor, Tensor, Tensor]:
    """The mean, and the mean less and plus ``z`` standard errors."""
    margin = z * values.std() / math.sqrt(len(values))
    return values.mean(), values.mean() - margin, values.mean() + margin


def of_single_units(values: Float[Tensor, " unit"]) -> tuple[Tensor, Tensor, Tensor]:
    """The mistake of ``NO_ROOT``: as if the mean were known no better than one unit."""
    return with_interval(values, 1.96 * math.sqrt(len(values)))


def with_population_spread(values: Float[Tensor, " unit"]) -> tuple[Tensor, Tensor, Tensor]:
    """The mistake of ``POPULATION_SPREAD``: the squared deviations divided by their number."""
    return with_interval(values, 1.96 * math.sqrt((len(values) - 1) / len(values)))
