"""Right answers to ch01.asymmetry, written differently."""

from __future__ import annotations

import numpy as np


def by_correlation(W_E, W_U):
    """One half of one minus the correlation of the table with its transpose."""
    table = (W_E @ W_U).double()
    table = table - table.mean(0)
    table = table - table.mean(1, keepdim=True)
    rho = (table * table.T).sum() / (table * table).sum()
    diagonal = (W_E * W_U.T).sum(1)
    return (1 - rho) / 2, ((W_E @ W_U).amax(1) <= diagonal + 1e-5 * diagonal.abs()).double().mean()


def by_numpy(W_E, W_U):
    table = np.asarray(W_E, dtype=np.float64) @ np.asarray(W_U, dtype=np.float64)
    n = len(table)
    centring = np.eye(n) - np.ones((n, n)) / n
    inner = centring @ table @ centring
    anti = (inner - inner.T) / 2
    found = np.linalg.norm(anti) ** 2 / np.linalg.norm(inner) ** 2
    return {"asymmetry": found, "repeats": np.mean(table.argmax(1) == np.arange(n))}


def by_factors(W_E, W_U):
    """Centring the tokens of both matrices centres the table, which is never needed whole for its norms."""
    E, U = (W_E - W_E.mean(0)).double(), (W_U - W_U.mean(1, keepdim=True)).double()
    whole = ((E.T @ E) * (U @ U.T)).sum()
    crossed = ((U @ E) * (U @ E).T).sum()
    itself = [int((row @ W_U).argmax()) == index for index, row in enumerate(W_E)]
    return [float((whole - crossed) / (2 * whole)), sum(itself) / len(itself)]


ALTERNATIVES = {"correlation": by_correlation, "numpy": by_numpy, "factors": by_factors}
