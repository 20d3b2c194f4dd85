"""Right answers to ch12.posterior, written differently."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.special import logsumexp, softmax


def by_logsumexp(x, y, pool, noise_var):
    a, b, w = x.numpy(), y.numpy(), pool.numpy()
    values = a @ w.T
    errors = (values - b[..., None]) ** 2
    before = np.concatenate([np.zeros_like(errors[:, :1]), errors[:, :-1].cumsum(1)], 1)
    log_weight = -before / (2 * noise_var)
    log_weight = log_weight - logsumexp(log_weight, axis=-1, keepdims=True)
    return (values * softmax(log_weight, axis=-1)).sum(-1)


def by_mean_task(x, y, pool, noise_var):
    predictions = torch.zeros_like(y)
    log_weight = torch.zeros(len(x), len(pool), dtype=torch.float64)
    for k in range(x.shape[1]):
        predictions[:, k] = (log_weight.softmax(-1) @ pool.double() * x[:, k]).sum(-1)
        log_weight -= (x[:, k].double() @ pool.T.double() - y[:, k, None]) ** 2 / (2 * noise_var)
    return predictions


def by_lists(x, y, pool, noise_var):
    found = []
    for points, targets in zip(x.tolist(), y.tolist(), strict=True):
        losses, row = [0.0] * len(pool), []
        for point, target in zip(points, targets, strict=True):
            values = [sum(p * q for p, q in zip(point, task, strict=True)) for task in pool.tolist()]
            least = min(losses)
            weights = [math.exp((least - loss) / (2 * noise_var)) for loss in losses]
            row.append(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
            losses = [loss + (v - target) ** 2 for loss, v in zip(losses, values, strict=True)]
        found.append(row)
    return found


ALTERNATIVES = {"logsumexp": by_logsumexp, "mean_task": by_mean_task, "lists": by_lists}
