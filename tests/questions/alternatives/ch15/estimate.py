"""Right answers to ch15.estimate, written differently."""

from __future__ import annotations

import math
import statistics

import numpy as np
import torch


def by_numpy(loss, loss_star, nbeta, burnin):
    rise = nbeta * (np.asarray(loss)[:, burnin:] - loss_star)
    means = rise.mean(axis=1)
    with np.errstate(invalid="ignore"):  # an infinite mean has no deviation
        return rise.mean(), means.std(ddof=1) / np.sqrt(len(means)), means


def by_lists(loss, loss_star, nbeta, burnin):
    means = [nbeta * (sum(chain[burnin:]) / len(chain[burnin:]) - loss_star) for chain in loss.tolist()]
    mean = sum(means) / len(means)
    spread = statistics.stdev(means) if all(map(math.isfinite, means)) else float("nan")
    return {"llc": mean, "error": spread / len(means) ** 0.5, "per_chain": means}


def by_variance(loss, loss_star, nbeta, burnin):
    kept = loss[:, burnin:].sub(loss_star).mul(nbeta)
    means = torch.einsum("cs->c", kept) / kept.shape[1]
    return kept.mean(), (means.var() / means.numel()).sqrt(), means


ALTERNATIVES = {"numpy": by_numpy, "lists": by_lists, "variance": by_variance}
