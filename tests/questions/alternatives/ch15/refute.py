"""Right answers to ch15.refute, written differently."""

from __future__ import annotations

import math
import statistics

import numpy as np
import torch


def by_numpy(trace, lr, burnin, reported):
    llc = trace.numpy()[..., burnin:].mean(-1)
    gap = llc[0] - llc[1]
    zero = np.polyfit(lr.numpy(), gap, 1)[1]
    claimed = gap[reported]
    margin = 1.96 * zero.std(ddof=1) / np.sqrt(len(zero))
    z = claimed.mean() * np.sqrt(len(claimed)) / claimed.std(ddof=1)
    return np.array([claimed.mean(), z, zero.mean(), zero.mean() - margin, zero.mean() + margin])


def by_each_model(trace, lr, burnin, reported):
    llc = trace[..., burnin:].mean(-1)
    design = torch.stack([torch.ones_like(lr), lr], dim=1)
    intercepts = torch.linalg.lstsq(design.expand(2, -1, -1), llc).solution[:, 0]
    zero, claimed = intercepts[0] - intercepts[1], llc[0, reported] - llc[1, reported]
    margin = 1.96 * (zero.var() / len(zero)).sqrt()
    return {
        "claimed": claimed.mean(),
        "z": claimed.mean() / (claimed.var() / len(claimed)).sqrt(),
        "difference": zero.mean(),
        "low": zero.mean() - margin,
        "high": zero.mean() + margin,
    }


def by_lists(trace, lr, burnin, reported):
    steps = lr.tolist()
    means = trace[..., burnin:].mean(-1).permute(2, 0, 1).tolist()  # [seed][model][step]
    seeds = [[a - b for a, b in zip(*models, strict=True)] for models in means]
    zero = [statistics.linear_regression(steps, seed).intercept for seed in seeds]
    claimed = [seed[reported] for seed in seeds]
    off, off_zero = (statistics.stdev(v) / math.sqrt(len(v)) for v in (claimed, zero))
    mean = statistics.fmean(zero)
    return [
        statistics.fmean(claimed),
        statistics.fmean(claimed) / off,
        mean,
        mean - 1.96 * off_zero,
        mean + 1.96 * off_zero,
    ]


ALTERNATIVES = {"numpy": by_numpy, "each_model": by_each_model, "lists": by_lists}
