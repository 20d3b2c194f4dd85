"""Right answers to ch08.gap, written differently."""

from __future__ import annotations

import statistics

import numpy as np
import torch


def by_numpy(measured, control):
    difference = np.asarray(measured - control, dtype=float)
    return difference.mean(), difference.mean() - 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))


def by_lists(measured, control):
    difference = [m - c for m, c in zip(measured.tolist(), control.tolist(), strict=True)]
    mean = statistics.fmean(difference)
    return mean, mean - 1.96 * statistics.stdev(difference) / len(difference) ** 0.5


def by_moments(measured, control):
    d, n = (measured - control).double(), len(measured)
    error = torch.sqrt((d.square().mean() - d.mean() ** 2) / (n - 1))
    return {"gap": d.mean(), "low": d.mean() - 1.96 * error}


ALTERNATIVES = {"numpy": by_numpy, "lists": by_lists, "moments": by_moments}
