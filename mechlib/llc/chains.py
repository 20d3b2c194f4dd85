"""Statistics of chains: effective draws, R-hat, errors, drift and divergence."""

from __future__ import annotations

import functools
import logging
import math
import warnings
from types import ModuleType

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["arviz", "diverged", "drift", "effective_draws", "rhat", "std_error"]


@functools.cache
def arviz() -> ModuleType:
    """The package ArviZ, imported where it is needed, without what it says at import about its future."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import arviz as package
        except FileNotFoundError:  # it stamps a file once a day: another process was at it
            import arviz as package
    logging.getLogger("arviz").setLevel(logging.ERROR)
    return package


def effective_draws(trace: Float[Tensor, "chain draw"]) -> float:
    """The effective sample size for the mean (Vehtari et al. 2021); NaN below 4 draws or if a chain is not finite."""
    values = trace.double().cpu().numpy()
    if values.shape[1] < 4 or not np.isfinite(values).all():
        return math.nan
    return float(arviz().ess(values, method="mean")) if np.ptp(values) else float(values.size)


def rhat(trace: Float[Tensor, "chain draw"]) -> float:
    """Rank-normalised split R-hat; NaN with one chain, below 4 draws, or with a chain that is not finite."""
    values = trace.double().cpu().numpy()
    if min(values.shape[0], values.shape[1] / 2) < 2 or not np.isfinite(values).all():
        return math.nan
    return float(arviz().rhat(values)) if np.ptp(values) else 1.0


def std_error(trace: Float[Tensor, "chain draw"]) -> float:
    """The standard error of the mean of the trace.

    Spread over the square root of the effective sample size, for the draws of all chains and for the mean of the chains
    as one series; the larger, because minibatches that all chains share make the chains move together.
    """
    series = trace.double().mean(0, keepdim=True)
    errors = [float(t.double().std()) / math.sqrt(effective_draws(t)) for t in (trace, series) if t.shape[1] >= 4]
    return max(errors, default=math.nan)


def drift(trace: Float[Tensor, "chain draw"]) -> tuple[float, float, float]:
    """The means of the first and of the last third of the draws, and the standard error of their difference.

    The error is from the differences of the chains; below four chains, from the errors of the two means.
    """
    third = trace.shape[1] // 3
    parts = [trace[:, :third].double(), trace[:, trace.shape[1] - third :].double()]
    if len(trace) >= 4:
        error = float((parts[1].mean(1) - parts[0].mean(1)).std()) / len(trace) ** 0.5
    else:
        error = math.hypot(*(std_error(part) for part in parts))
    return float(parts[0].mean()), float(parts[1].mean()), error


def diverged(trace: Float[Tensor, "chain step"], n_params: int) -> Float[Tensor, " chain"]:
    """Which chains are not finite, or have a mean above 10 d, where one that grows linearly would be below d."""
    return ~torch.isfinite(trace).all(1) | (trace.double().mean(1) > 10 * n_params)
