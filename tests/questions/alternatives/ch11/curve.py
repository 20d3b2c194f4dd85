"""Right answers to ch11.curve, written differently."""

from __future__ import annotations

import numpy as np
import torch


def by_numpy(d, noise_var, most):
    n = np.arange(most + 1, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        under = (d - n) / d + noise_var * np.where(n < d - 1, n / (d - n - 1), np.inf) / d
        over = noise_var * np.where(n > d + 1, 1 / (n - d - 1), np.inf)
    return np.where(n == 0, 1.0, np.where(n < d, under, over))


def by_cases(d, noise_var, most):
    found = [1.0]
    for n in range(1, most + 1):
        if n <= d - 2:
            found.append(((d - n) + noise_var * n / (d - n - 1)) / d)
        elif n >= d + 2:
            found.append(noise_var / (n - d - 1))
        else:
            found.append(float("inf"))
    return found


def by_tensor(d, noise_var, most):
    n = torch.arange(1, most + 1, dtype=torch.float64)
    gap = (n - d).abs() - 1
    size = torch.minimum(n, torch.tensor(float(d))) / d
    spread = torch.where(gap > 0, size / gap.clamp(min=0.5), torch.inf)
    return torch.cat([torch.ones(1), (1 - size) + noise_var * spread])


ALTERNATIVES = {"numpy": by_numpy, "cases": by_cases, "tensor": by_tensor}
