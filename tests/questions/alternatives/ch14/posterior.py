"""Right answers to ch14.posterior, written differently."""

from __future__ import annotations

import math

import numpy as np

from mechlib.questions.ch14.posterior import free_energy


def by_shift(loss, coefficient, multiplicity, n):
    free = free_energy(loss, coefficient, multiplicity, n)
    evidence = (free.min(1, keepdim=True).values - free).exp()
    return evidence / evidence.sum(1, keepdim=True)


def by_odds(loss, coefficient, multiplicity, n):
    free = np.asarray(free_energy(loss, coefficient, multiplicity, n))
    with np.errstate(over="ignore"):
        return 1 / np.exp(free[:, :, None] - free[:, None, :]).sum(-1)


def by_powers(loss, coefficient, multiplicity, n):
    rows = []
    for size in n.tolist():
        best = min(loss.tolist())
        terms = [
            math.exp(-size * (at - best)) * size ** (low - value) * math.log(size) ** (m - 1)
            for at, value, m in zip(loss.tolist(), coefficient.tolist(), multiplicity.tolist(), strict=True)
            for low in (min(coefficient.tolist()),)
        ]
        rows.append([term / math.fsum(terms) for term in terms])
    return rows


ALTERNATIVES = {"shift": by_shift, "odds": by_odds, "powers": by_powers}
