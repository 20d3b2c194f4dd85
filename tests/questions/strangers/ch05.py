"""Answers to chapter 05 that its questions have never seen."""

from collections import namedtuple

import numpy as np
import torch
from scipy.optimize import linprog


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


STRETCH_WRONG = {
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
    "with room at the origin": lambda r, t: program(r, t, equal=False),
    "a tensor": lambda r, t: torch.tensor(program(r, t)),
    "in units of ten": lambda r, t: 10 * program(r, t) / 10,
}

WRONG = {"ch05.lead": LEAD_WRONG, "ch05.reach": REACH_WRONG, "ch05.stretch": STRETCH_WRONG}
RIGHT = {"ch05.lead": LEAD_RIGHT, "ch05.reach": REACH_RIGHT, "ch05.stretch": STRETCH_RIGHT}
