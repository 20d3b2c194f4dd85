"""Right answers to ch06.previous_token_score, written differently."""

from __future__ import annotations

import numpy as np
import torch


def by_numpy(pattern):
    return np.diagonal(np.asarray(pattern), offset=-1, axis1=-2, axis2=-1).mean(axis=(-1, -2), dtype=np.float64)


def by_index(pattern):
    queries = torch.arange(1, pattern.shape[-1])
    return pattern[..., queries, queries - 1].mean((2, 3))


def by_mask(pattern):
    pos = pattern.shape[-1]
    mask = torch.eye(pos).roll(-1, -1).tril()
    return torch.einsum("lhbqk,qk->lh", pattern, mask) / (len(pattern[0, 0]) * mask.sum())


def by_loops(pattern):
    def one(rows):
        values = [float(row[q, q - 1]) for row in rows for q in range(1, len(row))]
        return sum(values) / len(values)

    return [[one(rows) for rows in layer] for layer in pattern]


ALTERNATIVES = {"numpy": by_numpy, "index": by_index, "mask": by_mask, "loops": by_loops}
