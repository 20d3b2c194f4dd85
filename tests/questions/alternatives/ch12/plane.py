"""Right answers to ch12.plane, written differently."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.decomposition import PCA


def by_covariance(paths):
    flat = paths.flatten(0, 1).double()
    centred = flat - flat.mean(0)
    variance, vectors = torch.linalg.eigh(centred.T @ centred)
    kept = vectors[:, -2:]
    return (variance / variance.sum()).flip(0)[:2], (centred @ kept @ kept.T + flat.mean(0)).view_as(paths)


def by_sklearn(paths):
    flat = np.asarray(paths.flatten(0, 1))
    fitted = PCA(2, svd_solver="full").fit(flat)
    seen = fitted.inverse_transform(fitted.transform(flat)).reshape(paths.shape)
    return {"share": fitted.explained_variance_ratio_, "seen": seen}


def by_best_rank(paths):
    flat = paths.flatten(0, 1)
    mean = flat.mean(0)
    left, spread, right = torch.linalg.svd(flat - mean, full_matrices=False)
    spread = spread.double()
    low_rank = left[:, :2] * spread[:2] @ right[:2]
    return (spread**2 / (spread**2).sum())[:2].tolist(), (low_rank + mean).reshape(paths.shape).numpy()


ALTERNATIVES = {"covariance": by_covariance, "sklearn": by_sklearn, "best_rank": by_best_rank}
