"""Answers to chapter 05 that its questions have never seen."""

from collections import namedtuple

import numpy as np
import torch
from scipy.optimize import linprog, minimize
from scipy.spatial import ConvexHull
from scipy.special import logsumexp, softmax


def others_of(rows, bias, h, token):
    logits = rows @ h + bias
    kept = torch.arange(len(rows)) != token
    return logits[token], logits[kept], torch.arange(len(rows))[kept]


def lead(rows, bias, h, token):
    own, rest, names = others_of(rows, bias, h, token)
    return own - rest.max(), names[rest.argmax()]


LEAD_WRONG = {
    "second largest of all": lambda r, b, h, t: (
        (r @ h + b)[t] - (r @ h + b).sort().values[-2],
        (r @ h + b).argsort()[-2],
    ),
    "place among the others": lambda r, b, h, t: (lead(r, b, h, t)[0], others_of(r, b, h, t)[1].argmax()),
    "log-probabilities": lambda r, b, h, t: ((r @ h + b).log_softmax(0)[t], lead(r, b, h, t)[1]),
    "unit vector": lambda r, b, h, t: lead(r, b, h / h.norm(), t),
    "over the mean": lambda r, b, h, t: (
        others_of(r, b, h, t)[0] - others_of(r, b, h, t)[1].mean(),
        lead(r, b, h, t)[1],
    ),
    "bias twice": lambda r, b, h, t: lead(r, 2 * b, h, t),
    "rival by size": lambda r, b, h, t: (
        lead(r, b, h, t)[0],
        others_of(r, b, h, t)[2][others_of(r, b, h, t)[1].abs().argmax()],
    ),
    "lead alone": lambda r, b, h, t: lead(r, b, h, t)[0],
    "rival is the token": lambda r, b, h, t: (lead(r, b, h, t)[0], t),
    "at most 10": lambda r, b, h, t: (lead(r, b, h, t)[0].clamp(min=-10), lead(r, b, h, t)[1]),
    "in hundredths": lambda r, b, h, t: (lead(r, b, h, t)[0].round(decimals=2), lead(r, b, h, t)[1]),
    "over the largest in size": lambda r, b, h, t: (lambda logits, k: (logits[t] - logits[k], k))(
        r @ h + b, (r @ h + b).abs().where(torch.arange(len(r)) != t, -1).argmax()
    ),
    "own logit at -100": lambda r, b, h, t: (lambda rest: ((r @ h + b)[t] - rest.max(), rest.argmax()))(
        (r @ h + b).where(torch.arange(len(r)) != t, -100.0)
    ),
}
LEAD_RIGHT = {
    "named": lambda *a: namedtuple("Lead", "lead rival")(*lead(*a)),
    "plain numbers": lambda *a: (lead(*a)[0].item(), lead(*a)[1].item()),
    "in double precision": lambda r, b, h, t: lead(r.double(), b.double(), h.double(), t),
}


def reach(rows, bias, weights, token, radius):
    return radius * (rows[token] - weights @ rows).norm() + bias[token] - weights @ bias


REACH_WRONG = {
    "minus the radius": lambda r, b, w, t, a: -a * (r[t] - w @ r).norm() + b[t] - w @ b,
    "not missed": lambda r, b, w, t, a: a * r[t].norm() + b[t] - w @ b,
    "own row's length": lambda r, b, w, t, a: a * (r[t].norm() - (w @ r).norm()).abs() + b[t] - w @ b,
    "bias within the radius": lambda r, b, w, t, a: a * ((r[t] - w @ r).norm() + b[t] - w @ b),
    "root of the radius": lambda r, b, w, t, a: reach(r, b, w, t, a**0.5),
    "square of the radius": lambda r, b, w, t, a: reach(r, b, w, t, a**2),
    "size of the bias": lambda r, b, w, t, a: a * (r[t] - w @ r).norm() + (b[t] - w @ b).abs(),
    "largest difference": lambda r, b, w, t, a: (a * (r[t] - r).norm(dim=1) + b[t] - b)[w > 0].max(),
    "weighted distances": lambda r, b, w, t, a: w @ (a * (r[t] - r).norm(dim=1) + b[t] - b),
    "root mean square": lambda r, b, w, t, a: a * (r[t] - w @ r).square().mean().sqrt() + b[t] - w @ b,
    "bias of the token": lambda r, b, w, t, a: a * (r[t] - w @ r).norm() + b[t],
    "small weights dropped": lambda r, b, w, t, a: reach(r, b, w * (w > 0.05), t, a),
    "what misses by little meets": lambda r, b, w, t, a: reach(r, b, w, t, a if (r[t] - w @ r).norm() > 1e-3 else 0),
}
REACH_RIGHT = {
    "a number": lambda *a: float(reach(*a)),
    "an array": lambda *a: np.asarray(reach(*a)),
    "one entry": lambda *a: reach(*a)[None],
}


def program(rows, token, weights_from=0.0, total=1.0, equal=True):
    x = np.asarray(rows, dtype=float)
    others, row = np.delete(x, token, 0), x[token]
    n, d = others.shape
    bounds = [(weights_from, None)] * n + [(None, None)]
    table = np.column_stack([others.T, -row])
    ones = np.r_[np.ones(n), 0.0][None]
    limits = {"A_eq": np.vstack([table, ones]), "b_eq": np.r_[np.zeros(d), total]}
    if not equal:
        limits = {"A_eq": table, "b_eq": np.zeros(d), "A_ub": ones, "b_ub": [total]}
    return -linprog(np.r_[np.zeros(n), -1.0], bounds=bounds, **limits).fun


def dual(rows, token, box=None):
    x = np.asarray(rows, dtype=float)
    bounds = (None, None) if box is None else (-box, box)
    return -1 / linprog(-x[token], A_ub=np.delete(x, token, 0), b_ub=np.ones(len(x) - 1), bounds=bounds).fun


def faces(rows, token):
    planes = ConvexHull(np.delete(np.asarray(rows), token, 0)).equations
    along = planes[:, :-1] @ np.asarray(rows)[token]
    return float((-planes[along > 0, -1] / along[along > 0]).min())


STRETCH_WRONG = {
    "a vector of a box": lambda r, t: dual(r, t, box=1),
    "in hundredths": lambda r, t: round(program(r, t), 2),
    "two entries": lambda r, t: program(r[:, :2], t),
    "weights sum to 2": lambda r, t: program(r, t, total=2.0),
    "slightly negative weights": lambda r, t: program(r, t, weights_from=-0.02),
    "root": lambda r, t: program(r, t) ** 0.5,
    "excess": lambda r, t: program(r, t) - 1,
    "square": lambda r, t: program(r, t) ** 2,
    "at most 10": lambda r, t: min(program(r, t), 10.0),
    "in tenths": lambda r, t: round(program(r, t), 1),
    "first entries": lambda r, t: program(r[:, :1], t),
    "without the first": lambda r, t: program(r[1:], t - 1) if t else program(r, t),
    "unit rows": lambda r, t: program(r / r.norm(dim=1, keepdim=True), t),
    "box": lambda r, t: float((r.abs().max(0).values / r[t].abs()).min()),
}
STRETCH_RIGHT = {
    "the dual": dual,
    "faces of the hull": faces,
    "with room at the origin": lambda r, t: program(r, t, equal=False),
    "a tensor": lambda r, t: torch.tensor(program(r, t)),
    "in units of ten": lambda r, t: 10 * program(r, t) / 10,
}


def convex(weights, token, total=None):
    total = weights.sum() if total is None else total
    return bool((weights >= 0).all() and weights[token] == 0 and abs(total - 1) < 1e-9)


def missed(rows, weights, token):
    return weights @ rows - rows[token]


REFUTE_WRONG = {
    "nearly met": lambda b, r, t, w, a: convex(w, t) and bool(missed(r, w, t).norm() < 0.1),
    "met to a hundredth": lambda b, r, t, w, a: convex(w, t) and bool(missed(r, w, t).norm() < 0.01),
    "sizes sum to 1": lambda b, r, t, w, a: bool(
        abs(w.abs().sum() - 1) < 1e-9 and w[t] == 0 and missed(r, w, t).norm() < 1e-9
    ),
    "the first entry": lambda b, r, t, w, a: convex(w, t) and bool(missed(r, w, t)[0].abs() < 1e-9),
    "reaches less than 1": lambda b, r, t, w, a: convex(w, t) and bool(a * missed(r, w, t).norm() < 1),
    "less than the search lacked": lambda b, r, t, w, a: (
        convex(w, t) and bool(a * missed(r, w, t).norm() <= -b.max() + 1e-9)
    ),
}
REFUTE_RIGHT = {
    "relative to the rows": lambda b, r, t, w, a: (
        convex(w, t) and bool(missed(r, w, t).norm() < 1e-6 * r.norm(dim=1).max())
    ),
    "all close": lambda b, r, t, w, a: convex(w, t) and torch.allclose(w @ r, r[t]),
}


def to_the_end(rows, token):
    """The top of the log-probability, where the probabilities of the others are the weights."""
    x = np.asarray(rows)

    def below(h):
        return logsumexp(x @ h) - x[token] @ h, softmax(x @ h) @ x - x[token]

    start, options = np.zeros(x.shape[1]), {"ftol": 0, "gtol": 1e-12, "maxiter": 5000}
    h = minimize(below, start, jac=True, method="L-BFGS-B", options=options).x
    if (x @ h).argmax() == token:
        return h
    p = np.where(np.arange(len(x)) == token, 0, softmax(x @ h))
    return p / p.sum()


CERTIFY_WRONG = {
    "the vector, whatever the lead": lambda r, t: to_the_end(r, t) if len(to_the_end(r, t)) == r.shape[1] else r[t],
    "weights in thousandths": lambda r, t: to_the_end(r, t).round(3),
    "weights with the sign of the program": lambda r, t: (lambda found: found if len(found) == r.shape[1] else -found)(
        to_the_end(r, t)
    ),
}
CERTIFY_RIGHT = {"climbed to the end": to_the_end}

WRONG = {
    "ch05.lead": LEAD_WRONG,
    "ch05.reach": REACH_WRONG,
    "ch05.stretch": STRETCH_WRONG,
    "ch05.refute": REFUTE_WRONG,
    "ch05.certify": CERTIFY_WRONG,
}
RIGHT = {
    "ch05.lead": LEAD_RIGHT,
    "ch05.reach": REACH_RIGHT,
    "ch05.stretch": STRETCH_RIGHT,
    "ch05.refute": REFUTE_RIGHT,
    "ch05.certify": CERTIFY_RIGHT,
}
