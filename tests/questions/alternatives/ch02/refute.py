"""Right answers to ch02.refute, written differently."""

from __future__ import annotations

import statistics

import numpy as np
import torch


def by_numpy(rise, half):
    rise, half = np.asarray(rise, dtype=np.float64), np.asarray(half)
    values = np.empty(len(rise))
    for mask in (half, ~half):
        values[mask] = rise[mask, rise[~mask].mean(axis=0).argmax()]
    error = values.std(ddof=1) / np.sqrt(values.size)
    claimed, mean = rise.mean(axis=0).max(), values.mean()
    return np.array([claimed, mean, mean - 1.96 * error, mean + 1.96 * error])


def by_lists(rise, half):
    files, tokens = rise.tolist(), range(rise.shape[1])

    def best(members):
        return max(tokens, key=lambda token: sum(files[f][token] for f in members))

    groups = [[f for f, inside in enumerate(half.tolist()) if inside is wanted] for wanted in (True, False)]
    values = [files[f][best(other)] for own, other in (groups, groups[::-1]) for f in own]
    mean, error = statistics.fmean(values), statistics.stdev(values) / len(values) ** 0.5
    claimed = max(statistics.fmean(file[token] for file in files) for token in tokens)
    return {"claimed": claimed, "held_out": mean, "low": mean - 1.96 * error, "high": mean + 1.96 * error}


def by_matrices(rise, half):
    member = torch.stack([half, ~half]).double()
    means = member @ rise.double() / member.sum(1, keepdim=True)
    picked = rise.double()[:, means.argmax(1)]
    values = torch.cat([picked[~half, 0], picked[half, 1]])
    variance = (values - values.mean()).square().sum() / (len(values) - 1)
    margin = 1.96 * (variance / len(values)) ** 0.5
    return torch.stack([rise.double().mean(0).amax(), values.mean(), values.mean() - margin, values.mean() + margin])


ALTERNATIVES = {"numpy": by_numpy, "lists": by_lists, "matrices": by_matrices}
