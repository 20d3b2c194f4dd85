"""Right answers to ch11.sparse, written differently."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from scipy.stats import multivariate_normal

from mechlib.questions.ch11.sparse import supports


def inclusions(weight, places, d):
    member = torch.tensor([[float(c in S) for c in range(d)] for S in places], dtype=weight.dtype)
    return weight.mT @ member


def one_after_another(x, y, query, nonzero, var):
    """The density of each ``y`` given those before it."""
    places = supports(x.shape[-1], nonzero)
    log_weight, means = [], []
    for S in places:
        total = torch.zeros(len(y), dtype=y.dtype)
        precision = torch.eye(nonzero, dtype=y.dtype).expand(len(y), -1, -1).clone()
        moment = torch.zeros(len(y), nonzero, dtype=y.dtype)
        for i in range(y.shape[1]):
            row = x[:, i, S]
            seen = torch.linalg.solve(precision, torch.stack([moment, row], -1))
            mean, variance = (row * seen[..., 0]).sum(-1), var + (row * seen[..., 1]).sum(-1)
            total -= 0.5 * ((y[:, i] - mean) ** 2 / variance + variance.log())
            precision += row[:, :, None] * row[:, None] / var
            moment += row * y[:, i, None] / var
        log_weight.append(total)
        means.append((torch.linalg.solve(precision, moment) * query[:, S]).sum(-1))
    weight = torch.stack(log_weight).softmax(0)
    return (weight * torch.stack(means)).sum(0), inclusions(weight, places, x.shape[-1])


def by_scipy(x, y, query, nonzero, var):
    X, Y, Q = (np.asarray(v) for v in (x, y, query))
    predictions, inclusions = [], []
    for a, b, q in zip(X, Y, Q, strict=True):
        logs, means, members = [], [], []
        for S in itertools.combinations(range(a.shape[1]), nonzero):
            part = a[:, S]
            covariance = part @ part.T + var * np.eye(len(a))
            logs.append(multivariate_normal.logpdf(b, np.zeros(len(a)), covariance))
            means.append(q[list(S)] @ part.T @ np.linalg.solve(covariance, b))
            members.append([c in S for c in range(a.shape[1])])
        weight = np.exp(np.array(logs) - max(logs))
        weight /= weight.sum()
        predictions.append(weight @ means)
        inclusions.append(weight @ np.array(members, dtype=float))
    return {"prediction": np.array(predictions), "inclusion": np.array(inclusions)}


def in_weight_space(x, y, query, nonzero, var):
    """By the lemmas of determinant and inverse, with matrices of the size of the support."""
    d, n = x.shape[-1], y.shape[1]
    log_weight, w = [], []
    for S in supports(d, nonzero):
        gram = x[..., S].mT @ x[..., S] / var + torch.eye(nonzero, dtype=x.dtype)
        moment = (x[..., S].mT @ y[..., None])[..., 0] / var
        mean = torch.linalg.solve(gram, moment)
        fit = y.square().sum(-1) / var - (moment * mean).sum(-1)
        log_weight.append(-0.5 * (fit + gram.logdet() + n * math.log(var)))
        w.append(torch.zeros(len(y), d, dtype=x.dtype).index_copy(1, torch.tensor(S), mean))
    weight = torch.stack(log_weight).softmax(0)
    prediction = ((weight[..., None] * torch.stack(w)).sum(0) * query).sum(-1)
    inclusion = [sum(weight[i] for i, S in enumerate(supports(d, nonzero)) if c in S) for c in range(d)]
    return prediction, torch.stack(inclusion, dim=-1)


ALTERNATIVES = {"one_after_another": one_after_another, "scipy": by_scipy, "in_weight_space": in_weight_space}
