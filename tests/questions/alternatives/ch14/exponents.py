"""Right answers to ch14.exponents, written differently."""

from __future__ import annotations

import math
import statistics

import numpy as np
import torch


def by_polyfit(threshold, share, multiplicity):
    x = np.log(np.asarray(threshold, dtype=np.float64))
    y = np.cumsum(np.log(np.asarray(share, dtype=np.float64)), axis=1) - (multiplicity - 1) * np.log(-x)
    return np.polyfit(x, y.T, 1)[0]


def by_lstsq(threshold, share, multiplicity):
    x = threshold.double().log()
    y = share.double().log().cumsum(1) - (multiplicity - 1) * (-x).log()
    return torch.linalg.lstsq(torch.stack([x, torch.ones_like(x)], dim=1), y.T).solution[0]


def by_regression(threshold, share, multiplicity):
    x = [math.log(e) for e in threshold.tolist()]
    found = []
    for run in share.tolist():
        total, y = 0.0, []
        for part, at in zip(run, x, strict=True):
            total += math.log(part)
            y.append(total - (multiplicity - 1) * math.log(-at))
        found.append(statistics.linear_regression(x, y).slope)
    return found


ALTERNATIVES = {"polyfit": by_polyfit, "lstsq": by_lstsq, "regression": by_regression}
