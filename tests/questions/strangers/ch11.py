"""Answers to chapter 11 that its questions have never seen."""

import itertools

import torch


def near(x, y, k, *, power=2.0, reduce=torch.mean, first=0.0, start=0):
    found = torch.full_like(y, first)
    for b in range(len(y)):
        for n in range(1, y.shape[1]):
            order = (x[b, start:n] - x[b, n]).abs().pow(power).sum(-1).argsort()[:k]
            if len(order):
                found[b, n] = reduce(y[b, start:n][order])
    return found


NEIGHBOURS_WRONG = {
    "median": lambda x, y, k: near(x, y, k, reduce=torch.median),
    "sum": lambda x, y, k: near(x, y, k, reduce=torch.sum),
    "largest difference": lambda x, y, k: near(x, y, k, power=40.0),
    "two more": lambda x, y, k: near(x, y, k + 2),
    "first prediction is one": lambda x, y, k: near(x, y, k) + (torch.arange(y.shape[1]) == 0),
    "first example forgotten": lambda x, y, k: near(x, y, k, start=1),
    "first coordinate": lambda x, y, k: near(x[..., :1], y, k),
    "all examples": lambda x, y, k: near(x, y, y.shape[1]),
    "no first prediction": lambda x, y, k: near(x, y, k)[:, 1:],
}
NEIGHBOURS_RIGHT = {
    "a list": lambda x, y, k: near(x, y, k).tolist(),
    "numpy": lambda x, y, k: near(x, y, k).numpy(),
    "double": lambda x, y, k: near(x.double(), y.double(), k),
    "squares": lambda x, y, k: near(x, y, k, power=2),
}


def line(d, v, most, *, few=lambda d, n: n / (d - n - 1), many=lambda d, n: d / (n - d - 1), between=float("inf")):
    found = [1.0]
    for n in range(1, most + 1):
        part = few(d, n) if n < d - 1 else many(d, n) if n > d + 1 else between
        found.append(max(0, d - n) / d + v * part / d)
    return torch.tensor(found, dtype=torch.float64)


CURVE_WRONG = {
    "peak at d alone": lambda d, v, most: torch.where(
        torch.arange(most + 1) == d, torch.inf, line(d, v, most, between=1.0)
    ),
    "half": lambda d, v, most: line(d, v, most) / 2,
    "clipped at one": lambda d, v, most: line(d, v, most).clamp(max=1),
    "two off": lambda d, v, most: line(d, v, most, many=lambda d, n: d / (n - d)),
    "one over n": lambda d, v, most: line(d, v, most, many=lambda d, n: d / n),
    "nan at the peak": lambda d, v, most: line(d, v, most, between=float("nan")),
    "weights alone": lambda d, v, most: line(d, v, most) * torch.arange(most + 1),
    "minus": lambda d, v, most: line(d, -v, most),
}
CURVE_RIGHT = {
    "a list": lambda *a: line(*a).tolist(),
    "numpy": lambda *a: line(*a).numpy(),
    "stacked": lambda *a: torch.stack(list(line(*a))),
}


def mixture(x, y, q, s, v, *, temper=1.0, ridge=None, prior=1.0, places=itertools.combinations):
    found, member, logs = [], [], []
    d = x.shape[-1]
    for S in places(range(d), s):
        part = x[..., list(S)]
        C = prior * part @ part.mT + v * torch.eye(y.shape[1], dtype=x.dtype)
        logs.append(temper * torch.distributions.MultivariateNormal(torch.zeros_like(y), C).log_prob(y))
        G = part.mT @ part + (v / prior if ridge is None else ridge) * torch.eye(s, dtype=x.dtype)
        w = torch.linalg.solve(G, part.mT @ y[..., None])[..., 0]
        found.append((w * q[:, list(S)]).sum(-1))
        member.append([float(c in S) for c in range(d)])
    weight = torch.stack(logs, -1).softmax(-1)
    return (weight * torch.stack(found, -1)).sum(-1), weight @ torch.tensor(member, dtype=x.dtype)


SPARSE_WRONG = {
    "noise at least 0.01": lambda x, y, q, s, v: mixture(x, y, q, s, max(v, 0.01)),
    "half as sure": lambda *a: mixture(*a, temper=0.5),
    "wide prior": lambda *a: mixture(*a, prior=10.0),
    "ridge of one": lambda *a: mixture(*a, ridge=1.0),
    "one example less": lambda x, y, q, s, v: mixture(x[:, 1:], y[:, 1:], q, s, v),
    "query not used": lambda x, y, q, s, v: mixture(x, y, torch.ones_like(q), s, v),
    "exchanged results": lambda *a: mixture(*a)[::-1],
    "exclusion": lambda *a: (mixture(*a)[0], 1 - mixture(*a)[1]),
    "prediction alone": lambda *a: mixture(*a)[0],
    "sure": lambda *a: (mixture(*a)[0], mixture(*a)[1].round()),
}
SPARSE_RIGHT = {
    "a dict": lambda *a: dict(zip(("inclusion", "prediction"), mixture(*a)[::-1], strict=True)),
    "lists": lambda *a: [part.tolist() for part in mixture(*a)],
    "prompt by prompt": lambda x, y, q, s, v: [
        torch.cat(part)
        for part in zip(*(mixture(x[i : i + 1], y[i : i + 1], q[i : i + 1], s, v) for i in range(len(y))), strict=True)
    ],
}


def quotient(a, b, *, level=1.96, extra=0):
    r = a.mean() / b.mean()
    margin = level * ((a - r * b) / b.mean()).std() / (len(a) - extra) ** 0.5
    return r, r - margin, r + margin


RATIO_WRONG = {
    "90 %": lambda a, b: quotient(a, b, level=1.645),
    "99 %": lambda a, b: quotient(a, b, level=2.576),
    "root of one less": lambda a, b: quotient(a, b, extra=1),
    "percent": lambda a, b: [100 * part for part in quotient(a, b)],
    "gain": lambda a, b: [1 - part for part in quotient(a, b)],
    "roots": lambda a, b: quotient(a.sqrt(), b.sqrt()),
    "squares": lambda a, b: quotient(a**2, b**2),
    "logarithms": lambda a, b: [part.log() for part in quotient(a, b)],
    "two of three": lambda a, b: quotient(a, b)[:2],
}
RATIO_RIGHT = {
    "a list": lambda a, b: [float(part) for part in quotient(a, b)],
    "axes of length one": lambda a, b: tuple(part[None] for part in quotient(a, b)),
    "other units": lambda a, b: quotient(7 * a, 7 * b),
}


def lead(of, against):
    return (of - against).square().mean(-1)


def sure(values):
    return bool(values.mean() > 1.96 * values.std() / len(values) ** 0.5)


def beside(*which, reference=lambda networks: networks[0], judge=sure):
    """The networks beside some of the rivals, in the order of the arguments."""

    def trains(model, networks, *rivals):
        own = lead(model, reference(networks))
        return all(judge(lead(model, rivals[i]) - own) for i in which)

    return trains


def like_a_start(model, networks, *rivals):
    return not sure(lead(model, networks[0]) - 1.25 * lead(networks[1], networks[0]))


def correlated(model, networks, *rivals):
    return bool(torch.corrcoef(torch.stack([model.flatten(), networks[0].flatten()]))[0, 1] > 0.9)


def every(sure, flat=False):
    """The lead over every rival, by another rule for when it is above 0."""

    def trains(model, networks, *rivals):
        own = (model - networks.mean(0)) ** 2
        leads = [(model - rival) ** 2 - own for rival in rivals]
        return all(sure(lead.flatten() if flat else lead.mean(1)) for lead in leads)

    return trains


REFUTE_WRONG = {
    "no interval": every(lambda lead: bool(lead.mean() > 0)),
    "one standard error": every(lambda lead: bool(lead.mean() > lead.std() / len(lead) ** 0.5)),
    "every answer a unit": every(sure, flat=True),
    "every answer a unit, one and a half errors": every(
        lambda lead: bool(lead.mean() > 1.5 * lead.std() / len(lead) ** 0.5), flat=True
    ),
    "kernel regression alone": beside(0),
    "one network beside all": beside(0, 1, 2, 3, 4),
    "without the truth": beside(0, 1, 2, 4),
    "no interval, one network": beside(0, 1, 2, 3, 4, judge=lambda values: bool(values.mean() > 0)),
    "as far as two starts": like_a_start,
    "correlation": correlated,
    "the reverse": lambda *tools: not beside(0, 1, 2, 3, 4)(*tools),
}


def mean(networks):
    return networks.mean(0)


REFUTE_RIGHT = {
    "a tensor": lambda *tools: torch.tensor(beside(0, 1, 2, 3, 4, reference=mean)(*tools)),
    "an integer": lambda *tools: int(beside(4, 3, 2, 1, 0, reference=mean)(*tools)),
}


def shepard(x, y, query, power=4):
    """All examples, weighted by distance."""
    weight = torch.cdist(query, x) ** -power
    return weight @ y / weight.sum(1)


def bell(x, y, query, noise=0.25, width=1.0):
    """Kernel regression with a Gaussian of the distance."""

    def K(a, b):
        return 4 * (-(torch.cdist(a, b) ** 2) / (2 * width**2 * x.shape[1])).exp()

    return K(query, x) @ torch.linalg.solve(K(x, x) + noise * torch.eye(len(x)), y)


UNSEEN_WRONG = {
    "weighted by distance": shepard,
    "a narrow bell": lambda *a: bell(*a, width=0.3),
    "one column too many": lambda *a: bell(*a)[:, None],
    "the first query alone": lambda x, y, query: bell(x, y, query[:1]),
    "the examples' own values": lambda x, y, query: y,
}
WRONG = {
    "ch11.neighbours": NEIGHBOURS_WRONG,
    "ch11.curve": CURVE_WRONG,
    "ch11.sparse": SPARSE_WRONG,
    "ch11.ratio": RATIO_WRONG,
    "ch11.refute": REFUTE_WRONG,
    "ch11.unseen": UNSEEN_WRONG,
}
RIGHT = {
    "ch11.neighbours": NEIGHBOURS_RIGHT,
    "ch11.curve": CURVE_RIGHT,
    "ch11.sparse": SPARSE_RIGHT,
    "ch11.ratio": RATIO_RIGHT,
    "ch11.refute": REFUTE_RIGHT,
}
