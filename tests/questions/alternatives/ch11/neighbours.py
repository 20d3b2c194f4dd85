"""Right answers to ch11.neighbours, written differently."""

from __future__ import annotations

import numpy as np
import torch


def by_loops(x, y, k):
    found = torch.zeros_like(y)
    for b, points in enumerate(x):
        for n in range(1, len(points)):
            order = (points[:n] - points[n]).norm(dim=-1).argsort()
            found[b, n] = y[b, order[:k]].mean()
    return found


def by_numpy(x, y, k):
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    distance = ((a[:, :, None] - a[:, None]) ** 2).sum(-1)
    n_points = distance.shape[1]
    distance[:, np.triu(np.ones((n_points, n_points), dtype=bool))] = np.inf
    order = np.argsort(distance, axis=-1, kind="stable")[..., :k]
    values = np.take_along_axis(np.broadcast_to(b[:, None], distance.shape), order, -1)
    seen = np.isfinite(np.take_along_axis(distance, order, -1))
    return (values * seen).sum(-1) / np.maximum(seen.sum(-1), 1)


def by_sorting(x, y, k):
    found = [torch.zeros(len(y), 1)]
    for n in range(1, y.shape[1]):
        distance = torch.cdist(x[:, n : n + 1].double(), x[:, :n].double())[:, 0]
        order = distance.sort(-1).indices[:, :k]
        found.append(y[:, :n].gather(1, order).mean(1, keepdim=True))
    return torch.cat(found, 1)


ALTERNATIVES = {"loops": by_loops, "numpy": by_numpy, "sorting": by_sorting}
