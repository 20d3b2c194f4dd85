"""Ways to prove of a token that some vector puts it first, or that none does."""

import numpy as np
import torch
from scipy.optimize import linprog, nnls

from mechlib.argmax import Readout, Spoken, decide


def by_program(rows, token):
    """The largest lead in a box, and the multipliers where there is none."""
    table = rows.numpy()
    away = table[token] - np.delete(table, token, 0)
    d = table.shape[1]
    found = linprog(
        np.r_[np.zeros(d), -1.0],
        A_ub=np.c_[-away, np.ones(len(away))],
        b_ub=np.zeros(len(away)),
        bounds=[(-1, 1)] * d + [(None, None)],
    )
    if -found.fun > 1e-7:
        return torch.from_numpy(found.x[:-1])
    return torch.from_numpy(np.insert(-found.ineqlin.marginals, token, 0.0))


def by_least_distance(rows, token):
    """The point of the others' hull nearest to the row: the difference is the vector, or nothing."""
    table = rows.numpy()
    away = np.delete(table, token, 0) - table[token]
    heavy = 1e4 * np.abs(away).max()
    weights, _ = nnls(np.vstack([away.T, heavy * np.ones(len(away))]), np.r_[np.zeros(table.shape[1]), heavy])
    weights /= weights.sum()
    nearest = weights @ away
    return -nearest if np.linalg.norm(nearest) > 1e-6 else np.insert(weights, token, 0.0)


def by_library(rows, token):
    found = decide(Readout(rows.numpy()), token)
    if isinstance(found, Spoken):
        return found.vector
    weights = torch.zeros(len(rows), dtype=torch.float64)
    for other, weight in found.weights.items():
        weights[other] = float(weight)
    return weights


WAYS = {"a program": by_program, "the nearest point": by_least_distance, "the library": by_library}
