"""Right answers to ch15.diagnose, written differently."""

from __future__ import annotations

import math
import statistics

import numpy as np


def by_loop(trace, half, doubled, star):
    codes = []
    for t, h, d, s in zip(trace, half, doubled, star, strict=True):
        (m, e), (m_half, e_half) = ((c.mean(), c.std() / math.sqrt(len(c))) for c in (t.mean(1), h.mean(1)))
        if s.max() - s.min() > 1e-6:
            codes.append(6)
        elif abs(s.mean()) > e:
            codes.append(4)
        elif m < -2 * e:
            codes.append(3)
        elif e > 0.1 * abs(m):
            codes.append(2)
        elif abs(m - m_half) > 3 * (e**2 + e_half**2).sqrt():
            codes.append(1)
        else:
            codes.append(5 if d.mean() < 0.75 * m else 0)
    return codes


def by_select(trace, half, doubled, star):
    t, h, d, s = (x.numpy() for x in (trace, half, doubled, star))
    m, m_half = t.mean((1, 2)), h.mean((1, 2))
    e, e_half = (x.mean(2).std(1, ddof=1) / np.sqrt(x.shape[1]) for x in (t, h))
    tests = [
        np.ptp(s, axis=1) > 1e-6,
        np.abs(s.mean(1)) > e,
        m + 2 * e < 0,
        e / np.abs(m) > 0.1,
        np.abs(m - m_half) / np.sqrt(e**2 + e_half**2) > 3,
        d.mean((1, 2)) / m < 0.75,
    ]
    return np.select(tests, [6, 4, 3, 2, 1, 5], default=0)


def by_statistics(trace, half, doubled, star):
    def summary(chains):
        means = [statistics.fmean(chain) for chain in chains]
        return statistics.fmean(means), statistics.stdev(means) / len(means) ** 0.5

    def one(t, h, d, s):
        (m, e), (m_half, e_half), (m_doubled, _) = map(summary, (t, h, d))
        rules = {
            6: max(s) - min(s) > 1e-6,
            4: abs(statistics.fmean(s)) > e,
            3: m < -2 * e,
            2: e > 0.1 * abs(m),
            1: abs(m - m_half) > 3 * math.hypot(e, e_half),
            5: m_doubled < 0.75 * m,
        }
        return next((code for code, holds in rules.items() if holds), 0)

    return [one(*run) for run in zip(*(x.tolist() for x in (trace, half, doubled, star)), strict=True)]


ALTERNATIVES = {"loop": by_loop, "select": by_select, "statistics": by_statistics}
