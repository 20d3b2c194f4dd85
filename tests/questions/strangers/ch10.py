"""Answers to chapter 10 that its questions have never seen."""

import torch


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


def refute(w, p, c, *, z=1.96, pick=torch.argmin, score=lambda s: s, lead=lambda v: v):
    scale = w.var(0, correction=0).sum()
    own, other = (w - p).square().sum(-1) / scale, (w - c).square().sum(-1) / scale
    best = int(pick(other.mean(1)))
    gap = lead(other[best] - own)
    margin = z * gap.std() / len(gap) ** 0.5
    return score(1 - own.mean()), best, 1 - other[best].mean(), gap.mean(), gap.mean() - margin, gap.mean() + margin


REFUTE_WRONG = {
    "search from zero": lambda *a: refute(*a, pick=lambda left: searched_from_zero(1 - left)),
    "scores cut at zero": lambda *a: refute(*a, score=lambda s: s.clamp(min=0)),
    "90 %": lambda *a: refute(*a, z=1.645),
    "two standard errors": lambda *a: refute(*a, z=2.0),
    "lead without its sign": lambda *a: refute(*a, lead=torch.abs),
    "share left": lambda *a: refute(*a, score=lambda s: 1 - s),
    "root": lambda *a: refute(*a, score=lambda s: s.abs().sqrt()),
    "probe for a control": lambda w, p, c: refute(w, c[0], torch.cat([p[None], c[1:]])),
    "standard deviation of w less one": lambda w, p, c: (
        1 - (1 - refute(w, p, c)[0]) * (len(w) - 1) / len(w),
        *refute(w, p, c)[1:],
    ),
    "five of six": lambda *a: refute(*a)[:5],
    "nothing": lambda *a: (0, 0, 0, 0, 0, 0),
}
REFUTE_RIGHT = {
    "a list": lambda *a: [float(part) for part in refute(*a)],
    "axes of length one": lambda *a: tuple(torch.as_tensor(part)[None] for part in refute(*a)),
    "moved": lambda w, p, c: refute(w + 2, p + 2, c + 2),
    "scaled": lambda w, p, c: refute(3 * w, 3 * p, 3 * c),
}

WRONG = {
    "ch10.acting": ACTING_WRONG,
    "ch10.probing": PROBING_WRONG,
    "ch10.matched": MATCHED_WRONG,
    "ch10.bayes": BAYES_WRONG,
    "ch10.refute": REFUTE_WRONG,
}
RIGHT = {
    "ch10.acting": ACTING_RIGHT,
    "ch10.probing": PROBING_RIGHT,
    "ch10.matched": MATCHED_RIGHT,
    "ch10.bayes": BAYES_RIGHT,
    "ch10.refute": REFUTE_RIGHT,
}
