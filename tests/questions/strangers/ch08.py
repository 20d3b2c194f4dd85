"""Answers to chapter 08 that its questions have never seen."""

import math
from collections import namedtuple
from fractions import Fraction

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
    "median": lambda k, w: (k[w].float().median() / 2, paths(k, w)[1]),
    "at most 1/2 from three on": lambda k, w: (k[w].min() / 2 if w.sum() < 3 else 0.5, paths(k, w)[1]),
    "sum of those that work": lambda k, w: (k[w].sum() / 2, w.sum()),
    "ties at most two": lambda k, w: (paths(k, w)[0], min(2, int(paths(k, w)[1]))),
    "ties at most three": lambda k, w: (paths(k, w)[0], min(3, int(paths(k, w)[1]))),
    "idle ones as zeros": lambda k, w: ((k * w).min() / 2, (k * w == (k * w).min()).sum()),
    "at most 3/2": lambda k, w: (min(1.5, float(paths(k, w)[0])), paths(k, w)[1]),
    "sorted before the mask": lambda k, w: paths(k.sort().values, w),
    "first three": lambda k, w: paths(k[:3], w[:3]) if w[:3].any() else paths(k, w),
    "number of different ones": lambda k, w: (paths(k, w)[0], len(k[w].unique())),
    "half of how many work": lambda k, w: (w.sum() / 2, paths(k, w)[1]),
    "ties of neighbours": lambda k, w: (paths(k, w)[0], (k[w].diff() == 0).sum() + 1),
    "swapped": lambda k, w: paths(k, w)[::-1],
    "small bytes": lambda k, w: (k[w].to(torch.uint8).min() / 2, paths(k, w)[1]),
}


def counted(k, w):
    best, ties = None, 0
    for equations, works in zip(k.tolist(), w.tolist(), strict=True):
        if works and (best is None or equations < best):
            best, ties = equations, 1
        elif works and equations == best:
            ties += 1
    return Fraction(best, 2), ties


def uniques(k, w):
    values, counts = np.unique(k.numpy()[w.numpy()], return_counts=True)
    return values[0] / 2, counts[0]


PATHS_RIGHT = {
    "named": lambda k, w: namedtuple("Lambda", "value multiplicity")(*paths(k, w)),
    "plain numbers": lambda k, w: (float(paths(k, w)[0]), int(paths(k, w)[1])),
    "floats": lambda k, w: tuple(map(float, paths(k, w))),
    "a loop": counted,
    "numpy's unique": uniques,
    "infinite where idle": lambda k, w: paths(torch.where(w, k.double(), math.inf), w | True),
    "0-d arrays": lambda k, w: [np.array(float(x)) for x in paths(k, w)],
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
    "length where curved": lambda h, c, n, g: (weigh(h, c, n, g)[0], g * c[h > 0].square().sum() / 2),
    "positive places": lambda h, c, n, g: weigh(h, c.clamp(min=0), n, g),
    "gamma a variance": lambda h, c, n, g: weigh(h, c, n, 1 / g),
    "cut at the prior": lambda h, c, n, g: ((n * h / g).clamp(min=1).log().sum() / 2, weigh(h, c, n, g)[1]),
    "one sample": lambda h, c, n, g: weigh(h, c, 1.0, g),
    "prior of one": lambda h, c, n, g: weigh(h, c, n, 1.0),
    "coefficient times log n": lambda h, c, n, g: (
        (n * h / (n * h + g)).sum() / 2 * math.log(n),
        weigh(h, c, n, g)[1],
    ),
    "first three": lambda h, c, n, g: weigh(h[:3], c[:3], n, g),
    "curvature at most 1e4": lambda h, c, n, g: weigh(h.clamp(max=1e4), c, n, g),
    "at least one sample": lambda h, c, n, g: weigh(h, c, max(n, 1.0), g),
    "prior at least one": lambda h, c, n, g: weigh(h, c, n, max(g, 1.0)),
    "curvature at least 1e-6": lambda h, c, n, g: weigh(h.clamp(min=1e-6), c, n, g),
    "curvature at least 1e-9": lambda h, c, n, g: weigh(h.clamp(min=1e-9), c, n, g),
    "loss at the mean": lambda h, c, n, g: (
        weigh(h, c, n, g)[0],
        (n * h * (c * g / (g + n * h)) ** 2).sum() / 2,
    ),
    "prior at the mean": lambda h, c, n, g: (weigh(h, c, n, g)[0], (g * (c * n * h / (g + n * h)) ** 2).sum() / 2),
    "centred": lambda h, c, n, g: weigh(h, c - c.mean(), n, g),
    "a percent off": lambda h, c, n, g: (1.01 * weigh(h, c, n, g)[0], weigh(h, c, n, g)[1]),
}


def determinants(h, c, n, g):
    stiff, prior = torch.diag(n * h.double()), g * torch.eye(len(h)).double()
    volume = (torch.logdet(stiff + prior) - torch.logdet(prior)) / 2
    left = stiff - stiff @ torch.linalg.inv(stiff + prior) @ stiff
    return volume, torch.einsum("i,ij,j->", c.double(), left, c.double()) / 2


def one_by_one(h, c, n, g):
    volume = place = 0.0
    for a, b in zip(h.tolist(), c.tolist(), strict=True):
        volume += math.log(1 + n * a / g) / 2
        place += b * b / (1 / g + 1 / (n * a)) / 2 if a else 0
    return volume, place


def square_completed(h, c, n, g):
    b = n * h
    return ((b + g).log() - math.log(g)).sum() / 2, (b * c**2 - (b * c) ** 2 / (b + g)).sum() / 2


WEIGH_RIGHT = {
    "double": lambda h, c, n, g: weigh(h.double(), c.double(), n, g),
    "an array": lambda *a: np.array([float(x) for x in weigh(*a)]),
    "a list": lambda *a: [x.item() for x in weigh(*a)],
    "determinants": determinants,
    "one by one": one_by_one,
    "the square completed": square_completed,
    "single precision": lambda h, c, n, g: weigh(h.float(), c.float(), n, g),
}

REFUTE_WRONG = {
    "lower by a tenth at the coldest": lambda n, r, s: bool(r[-1] < 0.9 * s[-1]),
    "the gap does not close": lambda n, r, s: bool((s - r)[-1] >= (s - r)[0]),
    "the mean": lambda n, r, s: bool(r.mean() < s.mean()),
    "the sum of signs": lambda n, r, s: bool((r < s).sum() > 4),
    "always": lambda n, r, s: True,
    "never": lambda n, r, s: False,
    "a gap of 0.05": lambda n, r, s: r[-1] < s[-1] - 0.05,
    "a gap of 0.15": lambda n, r, s: r[-1] < s[-1] - 0.15,
    "the gap grows": lambda n, r, s: (s - r)[-1] > (s - r)[-2],
    "against 1 / nbeta": lambda n, r, s: np.polyfit(1 / n.numpy(), (r - s).numpy(), 1)[1] < -0.02,
    "against log nbeta": lambda n, r, s: np.polyfit(np.log(n.numpy()), (r - s).numpy(), 1)[1] < 0,
    "rises less": lambda n, r, s: r[-1] - r[-2] < s[-1] - s[-2],
    "two warmest": lambda n, r, s: limit(n[:2], (r - s)[:2]) < -0.05,
    "sign of the limit": lambda n, r, s: limit(n[2:], (r - s)[2:]) < 0,
}


def limit(nbeta, values, degree=1):
    return np.polyfit(1 / np.log(nbeta.numpy()), values.numpy(), degree)[-1]


def from_two(n, r, s):
    log, gap = n.log(), r - s
    return bool((log[-1] * gap[-1] - log[-3] * gap[-3]) / (log[-1] - log[-3]) < -0.04)


REFUTE_RIGHT = {
    "least squares": lambda n, r, s: bool(
        torch.linalg.lstsq(torch.stack([torch.ones(4).double(), 1 / n.log()[2:]], 1), (r - s)[2:, None]).solution[0]
        < -0.05 * s[-1]
    ),
    "two temperatures": from_two,
    "a parabola": lambda n, r, s: limit(n[1:], (r - s)[1:], 2) < -0.05,
    "each by itself": lambda n, r, s: limit(n[3:], r[3:]) < 0.95 * limit(n[3:], s[3:]),
    "0-d": lambda n, r, s: torch.tensor(limit(n[2:], (r - s)[2:]) < -0.05),
}

WRONG = {"ch08.paths": PATHS_WRONG, "ch08.weigh": WEIGH_WRONG, "ch08.refute": REFUTE_WRONG}
RIGHT = {"ch08.paths": PATHS_RIGHT, "ch08.weigh": WEIGH_RIGHT, "ch08.refute": REFUTE_RIGHT}
