"""Right answers to ch10.matched, written differently."""

from __future__ import annotations

import math

import numpy as np
import torch

from mechlib.questions.ch10.matched import at


def by_loops(model, truth, families):
    def size(values):
        return sum((a - b) ** 2 for a, b in zip(values, truth.tolist(), strict=True))

    def cosine(values):
        own = [a - b for a, b in zip(model.tolist(), truth.tolist(), strict=True)]
        theirs = [a - b for a, b in zip(values, truth.tolist(), strict=True)]
        return sum(a * b for a, b in zip(own, theirs, strict=True)) / math.hypot(*own) / math.hypot(*theirs)

    own = size(model.tolist())
    chosen, cosines = [], []
    for family in families.tolist():
        gaps = [abs(math.log(size(setting) / own)) for setting in family]
        chosen.append(gaps.index(min(gaps)))
        cosines.append(cosine(family[chosen[-1]]))
    return chosen, cosines, cosines.index(max(cosines))


def by_numpy(model, truth, families):
    own, theirs = (model - truth).numpy(), (families - truth).numpy()
    norms = np.linalg.norm(theirs, axis=-1)
    chosen = np.abs(np.log(norms) - np.log(np.linalg.norm(own))).argmin(1)
    picked = np.take_along_axis(theirs, chosen[:, None, None], 1)[:, 0]
    cosines = picked @ own / np.linalg.norm(own) / np.linalg.norm(picked, axis=1)
    return {"chosen": chosen, "cosine": cosines, "nearest": np.argmax(cosines)}


def by_distances(model, truth, families):
    """From ``|a - b|² = |a|² + |b|² - 2 a.b``."""
    own, theirs = (model - truth).square().sum(), (families - truth).square().sum(-1)
    chosen = torch.maximum(own / theirs, theirs / own).argmin(1)
    apart = (families - model).square().sum(-1)
    cosines = at((own + theirs - apart) / (2 * (own * theirs).sqrt()), chosen)
    return chosen, cosines, int(torch.argmax(cosines))


ALTERNATIVES = {"loops": by_loops, "numpy": by_numpy, "distances": by_distances}
