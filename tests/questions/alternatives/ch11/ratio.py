"""Right answers to ch11.ratio, written differently."""

from __future__ import annotations

import math
import statistics

import numpy as np
import torch


def by_covariance(ours, theirs):
    r = ours.mean() / theirs.mean()
    (a, c), (_, b) = torch.cov(torch.stack([ours, theirs])).tolist()
    error = math.sqrt(max(0.0, a - 2 * float(r) * c + float(r) ** 2 * b) / len(ours)) / float(theirs.mean())
    return float(r), float(r) - 1.96 * error, float(r) + 1.96 * error


def by_numpy(ours, theirs):
    a, b = np.asarray(ours), np.asarray(theirs)
    r = a.sum() / b.sum()
    influence = (a - r * b) / b.mean()
    margin = 1.96 * influence.std(ddof=1) / np.sqrt(len(a))
    return {"ratio": r, "low": r - margin, "high": r + margin}


def by_lists(ours, theirs):
    a, b = ours.tolist(), theirs.tolist()
    r = statistics.fmean(a) / statistics.fmean(b)
    left = [p - r * q for p, q in zip(a, b, strict=True)]
    margin = 1.96 * statistics.stdev(left) / len(a) ** 0.5 / statistics.fmean(b)
    return [r, r - margin, r + margin]


ALTERNATIVES = {"covariance": by_covariance, "numpy": by_numpy, "lists": by_lists}
