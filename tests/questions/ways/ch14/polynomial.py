"""Ways to find the coefficient of a sum of squared products of weights."""

from itertools import combinations

import numpy as np
from scipy.optimize import linprog


def by_boxes(scale, powers):
    """The largest box below the threshold, by a linear program."""
    found = linprog(np.ones(powers.shape[1]), A_ub=-powers.double().numpy(), b_ub=-np.ones(len(powers)))
    return found.fun / 2


def by_terms(scale, powers):
    """The dual: shares of the terms whose mixed powers stay below one in every weight."""
    found = linprog(-np.ones(len(powers)), A_ub=powers.T.double().numpy(), b_ub=np.ones(powers.shape[1]))
    return -found.fun / 2


def by_corners(scale, powers):
    """All corners of the admissible speeds: as many conditions hold with equality as there are weights."""
    p = powers.double().numpy()
    terms, weights = p.shape
    rows = np.concatenate([p, np.eye(weights)])
    ends = np.concatenate([np.ones(terms), np.zeros(weights)])
    best = np.inf
    for chosen in combinations(range(terms + weights), weights):
        chosen = list(chosen)
        if abs(np.linalg.det(rows[chosen])) < 1e-9:
            continue
        speed = np.linalg.solve(rows[chosen], ends[chosen])
        if (rows @ speed >= ends - 1e-9).all():
            best = min(best, speed.sum())
    return best / 2


WAYS = {"boxes": by_boxes, "terms": by_terms, "corners": by_corners}
