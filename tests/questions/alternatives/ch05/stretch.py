"""Right answers to ch05.stretch, written differently."""

import numpy as np
from scipy.optimize import linprog
from scipy.spatial import ConvexHull


def parts(rows, token):
    rows = np.asarray(rows, dtype=float)
    return np.delete(rows, token, 0), rows[token]


def by_facets(rows, token):
    """The nearest facet of the hull along the row."""
    others, row = parts(rows, token)
    if len(row) == 1:
        return (others.max() if row[0] > 0 else others.min()) / row[0]
    facets = ConvexHull(others).equations
    towards = facets[:, :-1] @ row
    return min(-offset / along for along, offset in zip(towards, facets[:, -1], strict=True) if along > 1e-12)


def by_dual(rows, token):
    """The vector that gives the row a logit of 1 and the others the smallest largest one."""
    others, row = parts(rows, token)
    n, d = others.shape
    table = np.column_stack([others, -np.ones(n)])
    found = linprog(
        np.r_[np.zeros(d), 1], A_ub=table, b_ub=np.zeros(n), A_eq=[[*row, 0]], b_eq=[1], bounds=(None, None)
    )
    return found.fun


def by_gauge(rows, token):
    """The least sum of weights that meet the row, inverted: the origin takes what is left."""
    others, row = parts(rows, token)
    return 1 / linprog(np.ones(len(others)), A_eq=others.T, b_eq=row).fun


ALTERNATIVES = {"facets": by_facets, "dual": by_dual, "gauge": by_gauge}
