"""Answers to chapter 14 that its questions have never seen."""

import math
from collections import Counter, namedtuple
from fractions import Fraction

import numpy as np
import torch


def rates(k, h):
    return torch.where(k > 0, (h + 1) / (2 * k), torch.inf)


def minimum(found):
    return found.min(), (found == found.min()).sum(1).max()


def counted(k, h):
    charts = [
        Counter(Fraction(b + 1, 2 * a) for a, b in zip(*chart, strict=True) if a)
        for chart in zip(k.tolist(), h.tolist(), strict=True)
    ]
    least = min(min(chart) for chart in charts)
    return namedtuple("Pole", "value order")(least / 1, max(chart[least] for chart in charts))


COEFFICIENT_WRONG = {
    "near ties": lambda k, h: ((r := rates(k, h)).min(), (r < r.min() + 0.02).sum(1).max()),
    "at most 3": lambda k, h: (rates(k, h).min().clamp(max=3), (rates(k, h) == rates(k, h).min()).sum(1).max()),
    "three ties at most": lambda k, h: (
        rates(k, h).min(),
        (rates(k, h) == rates(k, h).min()).sum(1).max().clamp(max=3),
    ),
    "always a third": lambda k, h: (1 / 3, minimum(rates(k, h))[1]),
    "at most a half": lambda k, h: (minimum(rates(k, h))[0].clamp(max=0.5), minimum(rates(k, h))[1]),
    "mean rate": lambda k, h: (rates(k, h)[k > 0].mean(), minimum(rates(k, h))[1]),
    "sum of the exponents": lambda k, h: (1 / (2 * k.sum(1).max()), 1),
    "Jacobian taken off": lambda k, h: minimum(torch.where(k > 0, (1 - h) / (2.0 * k), torch.inf)),
    "k to the power two": lambda k, h: minimum(torch.where(k > 0, (h + 1) / k.square(), torch.inf)),
    "last chart": lambda k, h: minimum(rates(k[-1:], h[-1:])),
    "one more tie": lambda k, h: (minimum(rates(k, h))[0], minimum(rates(k, h))[1] + 1),
    "per chart": lambda k, h: (rates(k, h).amin(1), (rates(k, h) == rates(k, h).amin(1, keepdim=True)).sum(1)),
    "λ only": lambda k, h: rates(k, h).min(),
}
COEFFICIENT_RIGHT = {
    "counters": counted,
    "a list": lambda k, h: [float(part) for part in minimum(rates(k, h))],
    "a dict": lambda k, h: dict(zip(("multiplicity", "coefficient"), minimum(rates(k, h))[::-1], strict=True)),
    "axes of length one": lambda k, h: tuple(part[None] for part in minimum(rates(k, h))),
    "double": lambda k, h: minimum((h.double() + 1) / (2 * k.double())),
}


def logs(threshold, share, multiplicity):
    x = threshold.log()
    return x, share.log().cumsum(1) - (multiplicity - 1) * (-x).log()


def slope(x, y):
    x = x - x.mean()
    return (y * x).sum(-1) / x.square().sum()


def two_regressors(threshold, share, multiplicity):
    x = threshold.log()
    design = torch.stack([x, (-x).log(), torch.ones_like(x)], 1)
    return torch.linalg.pinv(design)[0] @ share.log().cumsum(1).T


def by_covariance(threshold, share, multiplicity):
    x, y = (np.asarray(part) for part in logs(threshold, share, multiplicity))
    return np.array([np.cov(x, row)[0, 1] / np.var(x, ddof=1) for row in y])


def weighted(threshold, share, multiplicity):
    x, y = logs(threshold, share, multiplicity)
    w = -x / (-x).sum()
    x, y = x - (w * x).sum(), y - (y * w).sum(1, keepdim=True)
    return (y * x * w).sum(1) / (x.square() * w).sum()


EXPONENTS_WRONG = {
    "twenty levels": lambda t, s, m: slope(*logs(t[:20], s[:, :20], m)),
    "at least a quarter": lambda *a: slope(*logs(*a)).clamp(min=0.25),
    "multiplicity cut at 3": lambda t, s, m: slope(*logs(t, s, min(m, 3))),
    "two regressors": two_regressors,
    "weighted": weighted,
    "median of steps": lambda t, s, m: (logs(t, s, m)[1].diff(dim=1) / logs(t, s, m)[0].diff()).median(1).values,
    "intercepts": lambda t, s, m: logs(t, s, m)[1].mean(1) - slope(*logs(t, s, m)) * logs(t, s, m)[0].mean(),
    "the smallest half": lambda t, s, m: slope(*(part[..., -len(t) // 2 - 1 :] for part in logs(t, s, m))),
    "an axis too many": lambda t, s, m: slope(*logs(t, s, m))[:, None],
    "standard deviations": lambda t, s, m: logs(t, s, m)[1].std(1) / logs(t, s, m)[0].std(),
    "mean share": lambda t, s, m: s.log().mean(1) / t.log().diff().mean(),
    "logarithm of the slope's part": lambda t, s, m: slope(t.log(), s.log().cumsum(1)) - (m - 1),
    "cumulated twice": lambda t, s, m: slope(t.log(), s.log().cumsum(1).cumsum(1)),
}
EXPONENTS_RIGHT = {
    "covariance": by_covariance,
    "a list": lambda t, s, m: slope(*logs(t, s, m)).tolist(),
    "single precision": lambda t, s, m: slope(*logs(t, s, m)).float(),
    "pinv": lambda t, s, m: torch.linalg.pinv(torch.stack([t.log(), t**0], 1))[0] @ logs(t, s, m)[1].T,
    "powers": lambda t, s, m: slope(t.log(), (s.log().cumsum(1).exp() / (-t.log()) ** (m - 1)).log()),
}


def free(loss, weight, n):
    return -(weight.log() - n[:, None] * loss[:, None]).logsumexp(-1)


def floored(loss, weight, n):
    return -((weight * (-n[:, None] * loss[:, None]).exp()).sum(-1) + 1e-300).log()


FREE_ENERGY_WRONG = {
    "weights up to 1": lambda loss, weight, n: free(loss, weight.clamp(max=1), n),
    "weights from 1e-6": lambda loss, weight, n: free(loss, weight.clamp(min=1e-6), n),
    "fifty nodes": lambda loss, weight, n: free(loss[:, :50], weight[:50], n),
    "a floor": floored,
    "clamped": lambda a, w, n: -(w * (-n[:, None] * a[:, None]).clamp(min=-700).exp()).sum(-1).log(),
    "Laplace": lambda a, w, n: n * a.amin(1, keepdim=True) + n.log() / 2,
    "largest weight only": lambda a, w, n: n * a.amin(1, keepdim=True) - w.max().log(),
    "weights squared": lambda a, w, n: free(a, w.square(), n),
    "Jensen": lambda a, w, n: -(w * (w.log() - n[:, None] * a[:, None])).sum(-1),
    "half the loss": lambda a, w, n: free(a / 2, w, n),
    "weights added": lambda a, w, n: free(a, w, n) + w.sum().log() * 2,
    "less the first": lambda a, w, n: free(a, w, n) - free(a, w, n)[:1],
    "decadic": lambda a, w, n: free(a, w, n) / math.log(10),
    "summed over sizes": lambda a, w, n: free(a, w, n).sum(1),
}
FREE_ENERGY_RIGHT = {
    "numpy": lambda a, w, n: -np.logaddexp.reduce(np.log(w.numpy()) - n.numpy()[:, None] * a.numpy()[:, None], axis=-1),
    "einsum": lambda a, w, n: -(w.log() - torch.einsum("s,rn->rsn", n, a)).logsumexp(2),
    "each size": lambda a, w, n: torch.stack([-(w.log() - size * a).logsumexp(1) for size in n], 1),
    "a list of regions": lambda a, w, n: [free(each[None], w, n)[0] for each in a],
    "single precision": lambda a, w, n: free(a, w, n).float(),
}


def free_energies(loss, coefficient, multiplicity, n):
    n = n[:, None]
    return n * loss + coefficient * n.log() - (multiplicity - 1) * n.log().log()


def shares(*arguments):
    return (-free_energies(*arguments)).softmax(1)


POSTERIOR_WRONG = {
    "multiplicity cut at 3": lambda loss, c, m, n: shares(loss, c, m.clamp(max=3), n),
    "square roots": lambda *a: (-free_energies(*a) / 2).softmax(1),
    "log of one more": lambda a, c, m, n: (
        -n[:, None] * a - c * n[:, None].log() + (m - 1) * n[:, None].log().log1p()
    ).softmax(1),
    "sequential": lambda *a: (-free_energies(*a)).softmax(1).cumsum(1),
    "one less": lambda *a: 1 - shares(*a),
    "ranks": lambda *a: free_energies(*a).argsort(1).argsort(1),
    "prior by multiplicity": lambda a, c, m, n: torch.nn.functional.normalize(shares(a, c, m, n) * m, p=1, dim=1),
    "odds to the first": lambda *a: (free_energies(*a)[:, :1] - free_energies(*a)).exp(),
    "only the last size": lambda a, c, m, n: shares(a, c, m, n[-1:]).expand(len(n), -1),
    "the best alone": lambda *a: shares(*a).amax(1),
    "sigmoid": lambda *a: torch.sigmoid(free_energies(*a).mean(1, keepdim=True) - free_energies(*a)),
}
POSTERIOR_RIGHT = {
    "logsumexp": lambda *a: (-free_energies(*a) - (-free_energies(*a)).logsumexp(1, keepdim=True)).exp(),
    "a list of sizes": lambda a, c, m, n: [shares(a, c, m, size[None])[0] for size in n],
    "single precision": lambda *a: shares(*a).float(),
    "numpy": lambda *a: np.asarray(shares(*a)),
    "double transposed": lambda *a: (-free_energies(*a)).T.softmax(0).T,
}


def by_slope(clear, start=0.5, corrected=True):
    """The verdict by the slopes, in every run, of A's log volume less B's against the log threshold."""

    def verdict(volume_a, volume_b, threshold, m_a, m_b, *others):
        x = threshold.log()
        gap = volume_a - volume_b - ((m_a - m_b) * (-x).log() if corrected else 0)
        first = int(start * len(x))
        x, gap = x[first:] - x[first:].mean(), gap[:, first:]
        return bool(clear((gap * x).sum(1) / x.square().sum()))

    return verdict


def interval(slope, z=1.96):
    return slope.mean() + z * slope.std() / len(slope) ** 0.5 < 0


REFUTE_WRONG = {
    "a fixed gap": by_slope(lambda slope: slope.mean() < -0.02),
    "a wide gap": by_slope(lambda slope: slope.mean() < -0.07),
    "lower on average": by_slope(lambda slope: slope.mean() < 0),
    "one standard error": by_slope(lambda slope: interval(slope, z=1.0)),
    "the spread of single runs": by_slope(lambda slope: slope.mean() + 1.96 * slope.std() < 0),
    "multiplicities forgotten": by_slope(interval, corrected=False),
    "all levels": by_slope(interval, start=0.0),
}

WRONG = {
    "ch14.refute": REFUTE_WRONG,
    "ch14.coefficient": COEFFICIENT_WRONG,
    "ch14.exponents": EXPONENTS_WRONG,
    "ch14.free_energy": FREE_ENERGY_WRONG,
    "ch14.posterior": POSTERIOR_WRONG,
}
RIGHT = {
    "ch14.coefficient": COEFFICIENT_RIGHT,
    "ch14.exponents": EXPONENTS_RIGHT,
    "ch14.free_energy": FREE_ENERGY_RIGHT,
    "ch14.posterior": POSTERIOR_RIGHT,
}
