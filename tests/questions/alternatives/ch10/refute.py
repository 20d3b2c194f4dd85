"""Right answers to ch10.refute, written differently."""

from __future__ import annotations

import math
import statistics

import numpy as np
import torch


def by_errors_table(w, probed, controls):
    errors = ((torch.cat([probed[None], controls]) - w) ** 2).sum(-1)
    shares = errors / ((w - w.mean(0)) ** 2).sum() * len(w)
    best = int(shares[1:].mean(1).argmin())
    lead = shares[1 + best] - shares[0]
    error = (lead.var() / len(lead)) ** 0.5
    return (
        1 - shares[0].mean(),
        best,
        1 - shares[1 + best].mean(),
        lead.mean(),
        lead.mean() - 1.96 * error,
        lead.mean() + 1.96 * error,
    )


def by_numpy(w, probed, controls):
    truth, ours, theirs = (np.asarray(v) for v in (w, probed, controls))
    variance = truth.var(axis=0).sum()
    own = ((ours - truth) ** 2).sum(-1) / variance
    other = ((theirs - truth) ** 2).sum(-1) / variance
    best = other.mean(-1).argmin()
    lead, error = (other[best] - own).mean(), (other[best] - own).std(ddof=1) / np.sqrt(len(truth))
    return {
        "claimed": 1 - own.mean(),
        "best": best,
        "control": 1 - other[best].mean(),
        "lead": lead,
        "low": lead - 1.96 * error,
        "high": lead + 1.96 * error,
    }


def by_lists(w, probed, controls):
    truth = w.tolist()
    means = [statistics.fmean(column) for column in zip(*truth, strict=True)]

    def miss(values):
        return [math.dist(p, q) ** 2 for p, q in zip(values, truth, strict=True)]

    scale = statistics.fmean(miss([means] * len(truth)))
    own, others = miss(probed.tolist()), [miss(control) for control in controls.tolist()]
    best = min(range(len(others)), key=lambda c: sum(others[c]))
    gaps = [(a - b) / scale for a, b in zip(others[best], own, strict=True)]
    lead, error = statistics.fmean(gaps), statistics.stdev(gaps) / len(gaps) ** 0.5
    scores = [1 - statistics.fmean(errors) / scale for errors in (own, others[best])]
    return scores[0], best, scores[1], lead, lead - 1.96 * error, lead + 1.96 * error


ALTERNATIVES = {"errors_table": by_errors_table, "numpy": by_numpy, "lists": by_lists}
