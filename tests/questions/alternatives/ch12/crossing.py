"""Right answers to ch12.crossing, written differently."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import brentq


def by_bisection(errors, coefficients, noise_var, n_points):
    gap = n_points / noise_var * (errors[:, 0] - errors[:, 1]).double()
    ratio = (coefficients[:, 1] - coefficients[:, 0]).double() / gap
    low, high = ratio.clamp(min=math.e).log(), torch.full_like(ratio, 60.0)
    for _ in range(80):
        middle = (low + high) / 2
        below = middle.exp() < ratio * middle
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return gap, torch.where(ratio > math.e, low.exp(), 1.0)


def by_iteration(errors, coefficients, noise_var, n_points):
    gap = (errors[:, 0] - errors[:, 1]) * n_points / noise_var
    ratio = (coefficients[:, 1] - coefficients[:, 0]) / gap
    n = ratio**2 + 10
    for _ in range(400):
        n = ratio * n.log().clamp(min=1)
    return gap, torch.where(ratio > math.e, n, 1.0)


def by_brentq(errors, coefficients, noise_var, n_points):
    gaps, found = [], []
    for (high, low), (simple, complex_) in zip(np.asarray(errors), np.asarray(coefficients), strict=True):
        gaps.append(n_points * (high - low) / noise_var)
        ratio = (complex_ - simple) / gaps[-1]
        log_n = brentq(lambda t, r=ratio: t - math.log(r * t), math.log(ratio), 60) if ratio > math.e else 0.0
        found.append(math.exp(log_n))
    return {"gap": gaps, "n": found}


ALTERNATIVES = {"bisection": by_bisection, "iteration": by_iteration, "brentq": by_brentq}
