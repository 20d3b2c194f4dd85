"""Ways to see whether weights prove that a token is unspeakable."""

import numpy as np
import torch


def four_tests(best, rows, token, weights, radius):
    missed = weights @ rows - rows[token]
    return bool(weights.min() >= 0 and weights[token] == 0 and abs(weights.sum() - 1) < 1e-9 and missed.norm() < 1e-9)


def what_is_left_to_a_vector(best, rows, token, weights, radius):
    """The lead that the argument leaves to a vector of the radius."""
    others = torch.arange(len(rows)) != token
    w = weights[others]
    if (w < 0).any() or not torch.isclose(w.sum(), torch.tensor(1.0, dtype=w.dtype)):
        return False
    return float(radius * (w @ (rows[others] - rows[token])).norm()) < 1e-6


def by_differences(best, rows, token, weights, radius):
    w, x = np.asarray(weights), np.asarray(rows)
    away = (w[:, None] * (x - x[token])).sum(0)
    return bool((w >= 0).all() and np.isclose(np.delete(w, token).sum(), 1) and np.abs(away).max() < 1e-8)


WAYS = {"four tests": four_tests, "what is left": what_is_left_to_a_vector, "differences": by_differences}
