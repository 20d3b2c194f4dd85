"""Right answers to ch12.refute, written differently."""

from __future__ import annotations

import math
import statistics

import numpy as np
import torch


def by_numpy(distance):
    values = np.asarray(distance)
    mean = values.mean(axis=1)
    chosen = int(np.argmin(values[:-1, 0::2].mean(axis=1)))
    end, then = values[-1, 1::2], values[chosen, 1::2]
    found = end.mean() - then.mean()
    margin = 1.96 * np.hypot(*(v.std(ddof=1) / np.sqrt(v.size) for v in (end, then)))
    return {
        "claimed": mean[-1] - min(mean[:-1]),
        "chosen": chosen,
        "rise": found,
        "low": found - margin,
        "high": found + margin,
    }


def by_lists(distance):
    rows = distance.tolist()
    means = [statistics.fmean(row) for row in rows]
    by_even = [statistics.fmean(row[::2]) for row in rows[:-1]]
    chosen = by_even.index(min(by_even))
    end, then = rows[-1][1::2], rows[chosen][1::2]
    found = statistics.fmean(end) - statistics.fmean(then)
    error = math.sqrt(statistics.variance(end) / len(end) + statistics.variance(then) / len(then))
    return means[-1] - min(means[:-1]), chosen, found, found - 1.96 * error, found + 1.96 * error


def by_folding(distance):
    pairs, single = divmod(distance.shape[1], 2)
    folded = torch.nn.functional.pad(distance.double(), (0, single), value=torch.nan).unflatten(1, (-1, 2))
    choosing, judging = folded[..., 0], folded[:, :pairs, 1]
    chosen = int(choosing.mean(1)[:-1].argsort()[0])
    errors = judging.var(1) / judging.shape[1]
    found = judging.mean(1)[-1] - judging.mean(1)[chosen]
    margin = 1.96 * (errors[-1] + errors[chosen]) ** 0.5
    mean = folded.nanmean((1, 2))
    return mean[-1] - mean[:-1].amin(), chosen, found, found - margin, found + margin


ALTERNATIVES = {"numpy": by_numpy, "lists": by_lists, "folding": by_folding}
