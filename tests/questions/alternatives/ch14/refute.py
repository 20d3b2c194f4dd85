"""Right answers to ch14.refute, written differently."""

from __future__ import annotations

import math
import statistics

import numpy as np
import torch


def by_numpy(log_volume, threshold, reported, n):
    gap = np.asarray(log_volume)[0] - np.asarray(log_volume)[1]
    lines = np.polyfit(np.log(np.asarray(threshold)), gap.T, 1)  # [coefficient, run]
    rate, error = lines[0].mean(), lines[0].std(ddof=1) / np.sqrt(gap.shape[0])
    there = np.polyval(lines.mean(axis=1), -np.log(n))
    return np.array([gap[:, reported].mean(), rate, rate - 1.96 * error, rate + 1.96 * error, there])


def by_each_solution(log_volume, threshold, reported, n):
    design = torch.stack([threshold.log(), torch.ones_like(threshold)], dim=1)
    lines = torch.linalg.lstsq(design, log_volume.flatten(0, 1).T).solution.unflatten(1, log_volume.shape[:2])
    rate, intercept = lines[:, 0] - lines[:, 1]
    margin = 1.96 * rate.std() / len(rate) ** 0.5
    claimed = log_volume[0, :, reported].mean() - log_volume[1, :, reported].mean()
    there = intercept.mean() - rate.mean() * math.log(n)
    return {
        "claimed": claimed,
        "difference": rate.mean(),
        "low": rate.mean() - margin,
        "high": rate.mean() + margin,
        "at_n": there,
    }


def by_lists(log_volume, threshold, reported, n):
    first, second = log_volume.tolist()
    x = [math.log(e) for e in threshold.tolist()]
    gaps = [[a - b for a, b in zip(*runs, strict=True)] for runs in zip(first, second, strict=True)]
    lines = [statistics.linear_regression(x, gap) for gap in gaps]
    rates = [line.slope for line in lines]
    mean, error = statistics.fmean(rates), statistics.stdev(rates) / len(rates) ** 0.5
    there = statistics.fmean(line.intercept - line.slope * math.log(n) for line in lines)
    return [statistics.fmean(gap[reported] for gap in gaps), mean, mean - 1.96 * error, mean + 1.96 * error, there]


ALTERNATIVES = {"numpy": by_numpy, "each_solution": by_each_solution, "lists": by_lists}
