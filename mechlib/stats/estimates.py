"""Means with intervals, where the unit that varies is a file or a seed and not a token.

Tokens of one file are not independent: an interval over tokens is too narrow. So values are first averaged within each
unit. Many units are resampled (``estimate``); a handful of training runs, where a bootstrap would hardly reach beyond
their range, get Student's t (``over_runs``); counts get the exact binomial interval (``share``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy.stats import binomtest, bootstrap, ttest_1samp
from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """A mean over units with a confidence interval; prints as ``mean [low, high]``."""

    mean: float
    low: float
    high: float
    n: int
    """Number of units: files, texts or seeds."""
    level: float = 0.95
    """Coverage of the interval."""

    def __str__(self) -> str:
        return format(self)

    def __format__(self, spec: str) -> str:
        """Mean and interval, each written as ``spec`` says: ``f"{e:.1f}"`` is ``0.2 [-0.1, 0.4]``."""
        mean, low, high = (format(value, spec or ".3f") for value in (self.mean, self.low, self.high))
        return f"{mean} [{low}, {high}]"

    def above(self, bound: float) -> bool:
        """Whether the whole interval lies above ``bound``."""
        return bool(self.low > bound)

    def below(self, bound: float) -> bool:
        """Whether the whole interval lies below ``bound``."""
        return bool(self.high < bound)

    def within(self, low: float, high: float) -> bool:
        """Whether the whole interval lies between ``low`` and ``high``."""
        return self.above(low) and self.below(high)


def by_unit(values: Float[Tensor, "... row pos"], unit: Int[Tensor, " row"]) -> Float[Tensor, "... unit"]:
    """The mean over the rows and positions of each unit, units in ascending order; NaN entries are left out.

    A unit whose entries are all NaN is NaN.

    Raises:
        ValueError: if ``unit`` does not give one unit for every row.
    """
    if unit.shape != (values.shape[-2],):
        raise ValueError(f"one unit for each of the {values.shape[-2]} rows is needed, got shape {tuple(unit.shape)}")
    return torch.stack([values[..., unit == u, :].flatten(-2).nanmean(-1) for u in unit.unique()], dim=-1)


def estimate(per_unit: ArrayLike | Float[Tensor, " unit"], *, level: float = 0.95, seed: int = 0) -> Estimate:
    """The mean over units with a percentile bootstrap interval (Efron & Tibshirani 1993, ch. 13); NaN units left out.

    Args:
        per_unit: one value per unit, such as the paired difference of two conditions in one file.
        level: coverage of the interval.

    Raises:
        ValueError: if fewer than two units are left.
    """
    values = np.asarray(torch.as_tensor(per_unit).detach().cpu(), dtype=float).ravel()
    values = values[~np.isnan(values)]
    if len(values) < 2:
        raise ValueError(f"an interval needs at least two units, got {len(values)}")
    if np.ptp(values) == 0:
        same = float(values[0])
        return Estimate(same, same, same, len(values), level)
    result = bootstrap(
        (values,),
        np.mean,
        confidence_level=level,
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    low, high = result.confidence_interval
    return Estimate(float(values.mean()), float(low), float(high), len(values), level)


def over_runs(per_run: ArrayLike | Float[Tensor, " run"], *, level: float = 0.95) -> Estimate:
    """The mean over a few independent runs with Student's t interval, as if their values were normal.

    Raises:
        ValueError: if there are fewer than two runs, or a value is NaN.
    """
    values = np.asarray(torch.as_tensor(per_run).detach().cpu(), dtype=float).ravel()
    if len(values) < 2 or np.isnan(values).any():
        raise ValueError(f"an interval needs at least two runs and no NaN, got {values.tolist()}")
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return Estimate(mean, mean, mean, len(values), level)
    low, high = ttest_1samp(values, 0).confidence_interval(level)
    return Estimate(mean, float(low), float(high), len(values), level)


def share(found: int, n: int, *, level: float = 0.95) -> Estimate:
    """The share ``found / n`` with the exact binomial interval (Clopper & Pearson 1934), never of width 0.

    Raises:
        ValueError: unless ``0 <= found <= n`` and ``n`` is at least 1.
    """
    if not 0 <= found <= n or n < 1:
        raise ValueError(f"found counts some of n, 0 <= found <= n and n >= 1, got found={found}, n={n}")
    low, high = binomtest(found, n).proportion_ci(level)
    return Estimate(found / n, float(low), float(high), n, level)
