"""Right answers to ch11.refute, written differently."""

from __future__ import annotations

import statistics

import numpy as np
import torch


def by_expansion(model, network, again, y):
    """``(a - b)^2 - (b - c)^2 = (a - c)(a + c - 2 b)``."""
    unit = (y * y).sum() / y.numel()
    excess = ((model - again) * (model + again - 2 * network)).sum(1) / y.shape[1] / unit
    apart, spread = (torch.dist(a, network) ** 2 / y.numel() / unit for a in (model, again))
    margin = 1.96 * (excess.var() / len(excess)).sqrt()
    ratio = torch.dist(model, y) ** 2 / torch.dist(network, y) ** 2
    return ratio, apart, spread, apart - spread, apart - spread - margin, apart - spread + margin


def by_numpy(model, network, again, y):
    m, n, a, t = (np.asarray(v) for v in (model, network, again, y))
    excess = (((m - n) ** 2 - (n - a) ** 2) / (t**2).mean()).mean(1)
    margin = 1.96 * excess.std(ddof=1) / np.sqrt(len(excess))
    return {
        "ratio": ((m - t) ** 2).sum() / ((n - t) ** 2).sum(),
        "apart": ((m - n) ** 2).mean() / (t**2).mean(),
        "spread": ((n - a) ** 2).mean() / (t**2).mean(),
        "excess": excess.mean(),
        "low": excess.mean() - margin,
        "high": excess.mean() + margin,
    }


def by_lists(model, network, again, y):
    def mean_square(p, q):
        return statistics.fmean((u - v) ** 2 for u, v in zip(p, q, strict=True))

    rows = list(zip(*(v.tolist() for v in (model, network, again, y)), strict=True))
    unit = statistics.fmean(statistics.fmean(v * v for v in t) for *_, t in rows)
    apart = [mean_square(m, n) / unit for m, n, _, _ in rows]
    spread = [mean_square(n, a) / unit for _, n, a, _ in rows]
    excess = [p - q for p, q in zip(apart, spread, strict=True)]
    own, theirs = (statistics.fmean(mean_square(row[i], row[3]) for row in rows) for i in (0, 1))
    mean, margin = statistics.fmean(excess), 1.96 * statistics.stdev(excess) / len(excess) ** 0.5
    return own / theirs, statistics.fmean(apart), statistics.fmean(spread), mean, mean - margin, mean + margin


ALTERNATIVES = {"expansion": by_expansion, "numpy": by_numpy, "lists": by_lists}
