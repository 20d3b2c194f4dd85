"""Right answers to ch09.refute, written differently."""

from __future__ import annotations

import math
import statistics

import numpy as np
import torch


def by_unit_vectors(model, step, rivals):
    a, b, c = (v / v.norm(dim=-1, keepdim=True) for v in (model, step, rivals))
    own, to_rivals = (a * b).sum(-1), torch.einsum("pc,rpc->rp", a, c)
    best = int(to_rivals.sum(1).argmax())
    lead = to_rivals[best] - own
    error = (lead.var() / len(lead)) ** 0.5
    baseline = (a * torch.cat([b[1:], b[:1]])).sum(-1)
    return own.mean(), baseline.mean(), best, lead.mean(), lead.mean() - 1.96 * error, lead.mean() + 1.96 * error


def by_numpy(model, step, rivals):
    a, b, c = (np.asarray(v) for v in (model, step, rivals))

    def angle(p, q):
        return (p * q).sum(-1) / np.linalg.norm(p, axis=-1) / np.linalg.norm(q, axis=-1)

    leads = angle(a, c) - angle(a, b)
    best = leads.mean(1).argmax()
    lead, error = leads[best].mean(), leads[best].std(ddof=1) / np.sqrt(len(a))
    return {
        "claimed": angle(a, b).mean(),
        "baseline": angle(a, np.roll(b, -1, axis=0)).mean(),
        "best": best,
        "lead": lead,
        "low": lead - 1.96 * error,
        "high": lead + 1.96 * error,
    }


def by_lists(model, step, rivals):
    def angle(p, q):
        return sum(u * v for u, v in zip(p, q, strict=True)) / math.hypot(*p) / math.hypot(*q)

    a, b = model.tolist(), step.tolist()
    own = [angle(p, q) for p, q in zip(a, b, strict=True)]
    other = [angle(p, q) for p, q in zip(a, b[1:] + b[:1], strict=True)]
    angles = [[angle(p, q) for p, q in zip(a, rival, strict=True)] for rival in rivals.tolist()]
    best = max(range(len(angles)), key=lambda r: statistics.fmean(angles[r]))
    leads = [u - v for u, v in zip(angles[best], own, strict=True)]
    lead, error = statistics.fmean(leads), statistics.stdev(leads) / len(leads) ** 0.5
    return statistics.fmean(own), statistics.fmean(other), best, lead, lead - 1.96 * error, lead + 1.96 * error


ALTERNATIVES = {"unit_vectors": by_unit_vectors, "numpy": by_numpy, "lists": by_lists}
