"""Answers to chapter 08 that its questions have never seen."""

import math
from collections import namedtuple

import numpy as np
import torch


def paths(equations, works):
    kept = equations[works]
    return kept.min() / 2, (kept == kept.min()).sum()


PATHS_WRONG = {
    "mean": lambda k, w: (k[w].float().mean() / 2, paths(k, w)[1]),
    "free weights": lambda k, w: (k.sum() / 2, 1),
    "harmonic": lambda k, w: (1 / (2 / k[w]).sum(), paths(k, w)[1]),
    "at most 1/2": lambda k, w: (min(0.5, float(paths(k, w)[0])), paths(k, w)[1]),
    "idle ones add": lambda k, w: (paths(k, w)[0] + (~w).sum() / 2, paths(k, w)[1]),
    "ties among all": lambda k, w: (paths(k, w)[0], (k == k[w].min()).sum()),
    "multiplicity less one": lambda k, w: (paths(k, w)[0], paths(k, w)[1] - 1),
    "a second path lowers by its tie": lambda k, w: (paths(k, w)[0] / paths(k, w)[1], paths(k, w)[1]),
    "the first that works": lambda k, w: (k[w][0] / 2, 1),
    "coefficient alone": lambda k, w: paths(k, w)[0],
    "whole numbers": lambda k, w: (k[w].min() // 2, paths(k, w)[1]),
}
PATHS_RIGHT = {
    "named": lambda k, w: namedtuple("Lambda", "value multiplicity")(*paths(k, w)),
    "plain numbers": lambda k, w: (float(paths(k, w)[0]), int(paths(k, w)[1])),
    "floats": lambda k, w: tuple(map(float, paths(k, w))),
}


def weigh(h, c, nbeta, gamma):
    b = nbeta * h
    return torch.log1p(b / gamma).sum() / 2, (c**2 * gamma * b / (gamma + b)).sum() / 2


WEIGH_WRONG = {
    "in bits": lambda h, c, n, g: (weigh(h, c, n, g)[0] / math.log(2), weigh(h, c, n, g)[1]),
    "mean": lambda h, c, n, g: (torch.log1p(n * h / g).mean() / 2, (c**2 * g * n * h / (g + n * h)).mean() / 2),
    "stiff ones only": lambda h, c, n, g: weigh(h[n * h > g], c[n * h > g], n, g),
    "prior in units of nbeta": lambda h, c, n, g: weigh(h, c, 1.0, g),
    "gamma over both": lambda h, c, n, g: (weigh(h, c, n, g)[0], (c**2 * g / (g + n * h)).sum() / 2),
    "of the sum": lambda h, c, n, g: (weigh(h, c, n, g)[0], (c.sum() ** 2 * g * n * h / (g + n * h)).sum() / 2),
    "no prior": lambda h, c, n, g: (torch.log1p(n * h).sum() / 2, weigh(h, c, n, g)[1]),
    "prior's own": lambda h, c, n, g: ((n * h + g).log().sum() / 2, weigh(h, c, n, g)[1]),
    "minus": lambda h, c, n, g: (-weigh(h, c, n, g)[0], weigh(h, c, n, g)[1]),
    "the total": lambda h, c, n, g: sum(weigh(h, c, n, g)),
    "the softer": lambda h, c, n, g: (weigh(h, c, n, g)[0], (c**2 * (n * h).clamp(max=g)).sum() / 2),
    "swapped": lambda h, c, n, g: weigh(h, c, n, g)[::-1],
}
WEIGH_RIGHT = {
    "double": lambda h, c, n, g: weigh(h.double(), c.double(), n, g),
    "an array": lambda *a: np.array([float(x) for x in weigh(*a)]),
    "a list": lambda *a: [x.item() for x in weigh(*a)],
}

REFUTE_WRONG = {
    "lower by a tenth at the coldest": lambda n, r, s: bool(r[-1] < 0.9 * s[-1]),
    "the gap does not close": lambda n, r, s: bool((s - r)[-1] >= (s - r)[0]),
    "the mean": lambda n, r, s: bool(r.mean() < s.mean()),
    "the sum of signs": lambda n, r, s: bool((r < s).sum() > 4),
}
REFUTE_RIGHT = {
    "least squares": lambda n, r, s: bool(
        torch.linalg.lstsq(torch.stack([torch.ones(4).double(), 1 / n.log()[2:]], 1), (r - s)[2:, None]).solution[0]
        < -0.05 * s[-1]
    ),
}

WRONG = {"ch08.paths": PATHS_WRONG, "ch08.weigh": WEIGH_WRONG, "ch08.refute": REFUTE_WRONG}
RIGHT = {"ch08.paths": PATHS_RIGHT, "ch08.weigh": WEIGH_RIGHT, "ch08.refute": REFUTE_RIGHT}
