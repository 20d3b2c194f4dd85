"""Right answers to ch12.projection, written differently."""

from __future__ import annotations

import numpy as np
import torch


def by_lstsq(f, ridge, dmmse):
    line, own = (v.flatten().double()[:, None] for v in (dmmse - ridge, f - ridge))
    alpha = torch.linalg.lstsq(line, own).solution[0, 0]
    return alpha, 1 - (alpha * line).square().sum() / own.square().sum()


def by_numpy(f, ridge, dmmse):
    own, line = (np.asarray(v).ravel() for v in (f - ridge, dmmse - ridge))
    alpha = own @ line / (line @ line)
    return {"alpha": alpha, "left": 1 - (own @ line) ** 2 / (line @ line) / (own @ own)}


def by_distances_squared(f, ridge, dmmse):
    near, far, apart = (float((a - b).square().mean()) for a, b in ((f, ridge), (f, dmmse), (ridge, dmmse)))
    alpha = (near + apart - far) / (2 * apart)
    return alpha, 1 - alpha**2 * apart / near


ALTERNATIVES = {"lstsq": by_lstsq, "numpy": by_numpy, "distances": by_distances_squared}
