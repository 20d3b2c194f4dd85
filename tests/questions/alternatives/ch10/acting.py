"""Right answers to ch10.acting, written differently."""

from __future__ import annotations

import numpy as np
import torch

from mechlib.questions.ch10.acting import centred


def by_normal_equations(queries, predictions):
    x, f = centred(queries, 0), centred(predictions, 1)
    weights = torch.linalg.solve(x.T @ x, x.T @ f.T).T
    return weights, 1 - (weights @ x.T).square().sum() / f.square().sum()


def by_numpy(queries, predictions):
    x, f = queries.numpy(), predictions.numpy()
    design = np.column_stack([np.ones(len(x)), x])
    fitted = [np.linalg.lstsq(design, row, rcond=None)[0] for row in f]
    rest = sum(np.sum((row - design @ c) ** 2) for row, c in zip(f, fitted, strict=True))
    return {"weights": [c[1:] for c in fitted], "curved": rest / sum(len(x) * row.var() for row in f)}


def by_pseudo_inverse(queries, predictions):
    x = queries - queries.mean(0)
    projector = torch.linalg.pinv(x)
    f = predictions - predictions.mean(1, keepdim=True)
    rest = f @ (torch.eye(len(x), dtype=x.dtype) - x @ projector).T
    return predictions @ projector.T, float(rest.norm() / f.norm()) ** 2


ALTERNATIVES = {"normal_equations": by_normal_equations, "numpy": by_numpy, "pseudo_inverse": by_pseudo_inverse}
