"""Right answers to ch01.prompts, written differently."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import entropy


def by_scipy(prompted, empty):
    p, q = prompted.double().exp().numpy(), empty.double().exp().numpy()
    average = p.mean(0)
    return np.mean([entropy(row, q) for row in p]), np.mean([entropy(row, average) for row in p]), entropy(average, q)


def nats(log_probs):
    return -(log_probs.exp() * log_probs).sum(-1)


def by_entropies(prompted, empty):
    """Information is the entropy of the average less the average entropy; the divergence is the sum of the others."""
    prompted, empty = prompted.double(), empty.double()
    average = prompted.logsumexp(0) - math.log(len(prompted))
    information = nats(average) - nats(prompted).mean()
    offset = -nats(average) - (average.exp() * empty).sum()
    return {"divergence": information + offset, "information": information, "offset": offset}


def by_lists(prompted, empty):
    rows, q = [[math.exp(x) for x in row] for row in prompted.tolist()], [math.exp(x) for x in empty.tolist()]
    average = [sum(column) / len(rows) for column in zip(*rows, strict=True)]

    def divergence(p, q):
        return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)

    several = [sum(divergence(row, other) for row in rows) / len(rows) for other in (q, average)]
    return [*several, divergence(average, q)]


ALTERNATIVES = {"scipy": by_scipy, "entropies": by_entropies, "lists": by_lists}
