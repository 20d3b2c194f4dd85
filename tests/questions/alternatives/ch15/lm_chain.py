"""Right answers to ch15.lm_chain, written differently."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch


def by_one_coefficient(curvature, w_star, noise, nbeta, gamma, lr):
    shrink = 1 - lr / 2 * (nbeta * curvature + gamma)
    away, draws = torch.zeros_like(noise[0]), []
    for before, after in pairwise(noise):
        away = shrink * away + lr**0.5 / 2 * (before + after)
        draws.append(w_star + away)
    return torch.stack(draws)


def by_numpy(curvature, w_star, noise, nbeta, gamma, lr):
    h, center, xi = np.asarray(curvature), np.asarray(w_star), np.asarray(noise)
    w = np.zeros((len(xi), *xi.shape[1:])) + center
    for t in range(1, len(xi)):
        pull = nbeta * h * (w[t - 1] - center) + gamma * (w[t - 1] - center)
        w[t] = w[t - 1] - 0.5 * lr * pull + 0.5 * np.sqrt(lr) * (xi[t] + xi[t - 1])
    return w[1:]


def by_powers(curvature, w_star, noise, nbeta, gamma, lr):
    """The recursion solved: every kick, shrunk as often as there were steps since."""
    kicks = lr**0.5 * (noise[:-1] + noise[1:]) / 2
    lag = torch.arange(len(kicks))[:, None] - torch.arange(len(kicks))
    powers = (1 - lr / 2 * (nbeta * curvature + gamma)) ** lag.clamp(min=0)[..., None] * (lag >= 0)[..., None]
    return w_star + torch.einsum("tsw,scw->tcw", powers, kicks)


ALTERNATIVES = {"one_coefficient": by_one_coefficient, "numpy": by_numpy, "powers": by_powers}
