"""Answers to chapter 10 that its questions have never seen."""

import torch

from mechlib.questions.ch10 import direction


def acting(q, f, *, keep=slice(None, -1), rest=lambda r, s: r.square().sum() / s.square().sum()):
    design = torch.cat([q, torch.ones_like(q[:, :1])], 1)
    solution = torch.linalg.pinv(design) @ f.T
    return solution[keep].T, rest(f - (design @ solution).T, f - f.mean(1, keepdim=True))


ACTING_WRONG = {
    "intercept kept": lambda q, f: acting(q, f, keep=slice(None)),
    "axes exchanged": lambda q, f: (acting(q, f)[0].T, acting(q, f)[1]),
    "ridge": lambda q, f: (
        (f - f.mean(1, keepdim=True)) @ q @ torch.linalg.inv(q.T @ q + torch.eye(q.shape[1]).to(q)),
        acting(q, f)[1],
    ),
    "fewer degrees of freedom": lambda q, f: (
        acting(q, f)[0],
        acting(q, f)[1] * (len(q) - 1) / (len(q) - q.shape[1] - 1),
    ),
    "first queries alone": lambda q, f: (
        acting(q[: q.shape[1] + 1], f[:, : q.shape[1] + 1])[0],
        acting(q, f)[1],
    ),
    "sizes": lambda q, f: acting(q, f, rest=lambda r, s: r.abs().sum() / s.abs().sum()),
    "sum": lambda q, f: acting(q, f, rest=lambda r, s: r.square().sum()),
    "weights alone": lambda q, f: acting(q, f)[0],
}
ACTING_RIGHT = {
    "a dict": lambda q, f: dict(zip(("curved", "weights"), acting(q, f)[::-1], strict=True)),
    "one prompt at a time": lambda q, f: ([acting(q, row[None])[0][0] for row in f], acting(q, f)[1].item()),
    "numpy": lambda q, f: [part.numpy() for part in acting(q, f)],
}


def probing(a, u, t, order, n, p, *, held=slice(None)):
    def score(x, y):
        x = x - x[:n].mean(0)
        m = y[:n].mean(0)
        w = torch.linalg.inv(x[:n].T @ x[:n] + p * torch.eye(x.shape[1]).to(x)) @ x[:n].T @ (y[:n] - m)
        rest, truth = (y - m - x @ w)[n:][held], y[n:][held]
        return 1 - (rest.square().sum(0) / (truth - truth.mean(0)).square().sum(0)).mean()

    return score(a, t), score(u, t), score(a, t[order])


PROBING_WRONG = {
    "standardised": lambda a, u, t, o, n, p: probing(a / a[:n].std(0), u / u[:n].std(0), t, o, n, p),
    "one more": lambda a, u, t, o, n, p: probing(a, u, t, o, n + 1, p),
    "last left out": lambda *args: probing(*args, held=slice(None, -1)),
    "half the penalty": lambda a, u, t, o, n, p: probing(a, u, t, o, n, p / 2),
    "not below zero": lambda *args: tuple(s.clamp(min=0.0) for s in probing(*args)),
    "error": lambda *args: tuple(1 - s for s in probing(*args)),
    "only the first target": lambda a, u, t, o, n, p: probing(a, u, t[:, :1], o, n, p),
    "shuffled activations": lambda a, u, t, o, n, p: (*probing(a, u, t, o, n, p)[:2], probing(a[o], u, t, o, n, p)[0]),
    "selectivity": lambda *args: (probing(*args)[0], probing(*args)[0] - probing(*args)[1], probing(*args)[2]),
    "two of three": lambda *args: probing(*args)[:2],
}
PROBING_RIGHT = {
    "a list": lambda *args: [float(s) for s in probing(*args)],
    "a dict": lambda *args: dict(zip(("shuffled", "untrained", "trained"), probing(*args)[::-1], strict=True)),
    "stacked": lambda *args: torch.stack(probing(*args)),
}


def matched(m, t, f, *, gap=lambda r: r.log().abs(), keep=lambda c: c):
    own, theirs = m - t, f - t
    chosen = gap(theirs.norm(dim=-1) / own.norm()).argmin(-1)
    mistakes = torch.stack([family[i] for family, i in zip(theirs, chosen, strict=True)])
    cosine = keep(mistakes @ own / mistakes.norm(dim=-1) / own.norm())
    return chosen, cosine, cosine.argmax()


def searched_from_zero(values):
    best, place = 0.0, 0
    for number, value in enumerate(values.tolist()):
        if value > best:
            best, place = value, number
    return place


MATCHED_WRONG = {
    "search from zero": lambda *a: (*matched(*a)[:2], searched_from_zero(matched(*a)[1])),
    "largest size": lambda *a: (*matched(*a)[:2], matched(*a)[1].abs().argmax()),
    "worst": lambda m, t, f: matched(m, t, f, gap=lambda r: -r),
    "squared cosine": lambda m, t, f: matched(m, t, f, keep=torch.square),
    "angles": lambda m, t, f: matched(m, t, f, keep=torch.arccos),
    "one less cosine": lambda m, t, f: matched(m, t, f, keep=lambda c: 1 - c),
    "truth scaled": lambda m, t, f: matched(m, 0.9 * t, f),
    "counted from the end": lambda m, t, f: (*matched(m, t, f)[:2], matched(m, t, f)[2] - len(f)),
    "least not worse": lambda m, t, f: matched(m, t, f, gap=lambda r: torch.where(r <= 1, 1 - r, 1e9)),
    "absolute cosines": lambda m, t, f: matched(m, t, f, keep=torch.abs),
    "mistakes turned on one side": lambda m, t, f: matched(m, t, f, keep=torch.neg),
    "relative mistakes": lambda m, t, f: matched(m / t, torch.ones_like(t), f / t),
    "only the nearest": lambda m, t, f: matched(m, t, f)[2],
}
MATCHED_RIGHT = {
    "lists": lambda m, t, f: [part.tolist() for part in matched(m, t, f)],
    "floats": lambda m, t, f: tuple(part.double() for part in matched(m, t, f)),
    "ratio above one": lambda m, t, f: matched(m, t, f, gap=lambda r: torch.maximum(r, 1 / r)),
    "turned": lambda m, t, f: matched(-m, -t, -f),
}


def bayes(x, y, s2, t2, *, eye=1.0, error=lambda cov: cov.diagonal(dim1=-2, dim2=-1).sum(-1)):
    cov = torch.linalg.inv(x.mT @ x / s2 + eye * torch.eye(x.shape[-1]).to(x) / t2)
    return torch.einsum("pab,pnb,pn->pa", cov, x, y) / s2, error(cov)


BAYES_WRONG = {
    "penalty doubled": lambda *a: bayes(*a, eye=2.0),
    "root": lambda *a: bayes(*a, error=lambda c: c.diagonal(dim1=-2, dim2=-1).sum(-1).sqrt()),
    "determinant": lambda *a: bayes(*a, error=torch.linalg.det),
    "all entries": lambda *a: bayes(*a, error=lambda c: c.sum((-2, -1))),
    "whole covariance": lambda *a: bayes(*a, error=lambda c: c),
    "one error for all": lambda *a: bayes(*a, error=lambda c: c.diagonal(dim1=-2, dim2=-1).sum(-1).mean()),
    "first example left out": lambda x, y, s2, t2: bayes(x[:, 1:], y[:, 1:], s2, t2),
    "exchanged variances": lambda x, y, s2, t2: bayes(x, y, t2, s2),
}
BAYES_RIGHT = {
    "a dict": lambda *a: dict(zip(("error", "weights"), bayes(*a)[::-1], strict=True)),
    "numpy": lambda *a: [part.numpy() for part in bayes(*a)],
    "one prompt at a time": lambda x, y, *v: list(
        map(torch.cat, zip(*(bayes(a[None], b[None], *v) for a, b in zip(x, y, strict=True)), strict=True))
    ),
}


def sure(difference):
    return bool(difference.mean() > 1.96 * difference.std() / len(difference) ** 0.5)


def by_controls(*names, unit=lambda v: v.square().sum(1)):
    """The verdict of a test that knows these controls alone."""

    def verdict(w, x, y, probed, untrained, wide, other, below):
        read = {
            "untrained": untrained - w,
            "wide": wide - w,
            "below": below - w,
            "other": other - w.roll(-1, 0),
            "other, from the own weights": other - w,
            "sum": (x * y[..., None]).sum(1) / (x.shape[1] + x.shape[2] + 1) - w,
            "sum, not scaled": (x * y[..., None]).mean(1) - w,
            "least squares": torch.linalg.lstsq(x.double(), y[..., None].double()).solution[..., 0] - w,
        }
        return all(sure(unit(read[name]) - unit(probed - w)) for name in names)

    return verdict


def unpaired(*tools):
    """Intervals that forget that the same prompts are read."""
    w, x, y, probed, untrained, wide, other, _ = tools
    summed = (x * y[..., None]).sum(1) / (x.shape[1] + x.shape[2] + 1)
    ours = (probed - w).square().sum(1)
    for read, aim in ((untrained, w), (wide, w), (summed, w), (other, w.roll(-1, 0))):
        theirs = (read - aim).square().sum(1)
        if theirs.mean() - ours.mean() < 1.96 * ((theirs.var() + ours.var()) / len(w)) ** 0.5:
            return False
    return True


def without_interval(w, x, y, probed, untrained, wide, other, below):
    summed = (x * y[..., None]).sum(1) / (x.shape[1] + x.shape[2] + 1)
    missed = [(a - b).square().mean() for a, b in ((untrained, w), (wide, w), (summed, w), (other, w.roll(-1, 0)))]
    return bool(min(missed) > (probed - w).square().mean())


REFUTE_WRONG = {
    "the sum left out": by_controls("untrained", "wide", "other"),
    "the untrained network left out": by_controls("wide", "sum", "other"),
    "the wide network left out": by_controls("untrained", "sum", "other"),
    "other prompts left out": by_controls("untrained", "wide", "sum"),
    "what stands in the table": by_controls("untrained", "wide", "other", "below"),
    "the layer before as well": by_controls("untrained", "wide", "sum", "other", "below"),
    "least squares as well": by_controls("untrained", "wide", "sum", "other", "least squares"),
    "other prompts from the own weights": by_controls("untrained", "wide", "sum", "other, from the own weights"),
    "without an interval": without_interval,
    "unpaired": unpaired,
    "the sum alone": by_controls("sum"),
}


def columns():
    """Columns of prompts, and the answers."""
    pairs = direction.drawn(torch.Generator().manual_seed(3), 600)
    return pairs.own - pairs.own.mean(0), direction.swapped(pairs, 0.0), pairs.donor - pairs.own


def of_ridge(penalty):
    column, answer, _ = columns()
    return torch.linalg.solve(column.T @ column + penalty * torch.eye(column.shape[1]), column.T @ answer)


DIRECTION_WRONG = {
    "a probe": of_ridge(1e-3),
    "a probe with a small penalty": of_ridge(10.0),
    "a probe with a penalty": of_ridge(100.0),
    "how columns and donors differ most": torch.linalg.svd(columns()[2], full_matrices=False)[2][0],
    "the second of the columns": torch.linalg.svd(columns()[0], full_matrices=False)[2][1],
    "the number that goes best with the answer": torch.eye(64)[(columns()[0].T @ columns()[1]).abs().argmax()],
    "ones": [1.0] * 64,
    "one number too few": [1.0] * 63,
    "two directions": torch.ones(2, 64),
    "a text": "the covariance",
}

WRONG = {
    "ch10.acting": ACTING_WRONG,
    "ch10.probing": PROBING_WRONG,
    "ch10.matched": MATCHED_WRONG,
    "ch10.bayes": BAYES_WRONG,
    "ch10.refute": REFUTE_WRONG,
    "ch10.direction": DIRECTION_WRONG,
}
RIGHT = {
    "ch10.acting": ACTING_RIGHT,
    "ch10.probing": PROBING_RIGHT,
    "ch10.matched": MATCHED_RIGHT,
    "ch10.bayes": BAYES_RIGHT,
}
