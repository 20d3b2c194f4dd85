"""Right answers to ch01.prompts, written differently."""

from __future__ import annotations

import math

from scipy.special import logsumexp, rel_entr


def by_scipy(prompted, empty):
    """With the empty prompt's logarithms as they are given: its probabilities may round to zero."""
    p, log_q = prompted.double().exp().numpy(), empty.double().numpy()
    average = p.mean(0)
    information = rel_entr(p, average).sum(1).mean()
    offset = average @ (logsumexp(prompted.double().numpy(), 0) - math.log(len(p)) - log_q)
    return information + offset, information, offset


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
    rows, q = prompted.tolist(), empty.tolist()
    average = [_log_mean(column) for column in zip(*rows, strict=True)]

    def divergence(p, q):
        return sum(math.exp(a) * (a - b) for a, b in zip(p, q, strict=True))

    several = [sum(divergence(row, other) for row in rows) / len(rows) for other in (q, average)]
    return [*several, divergence(average, q)]


def _log_mean(column):
    largest = max(column)
    return largest + math.log(sum(math.exp(x - largest) for x in column) / len(column))


ALTERNATIVES = {"scipy": by_scipy, "entropies": by_entropies, "lists": by_lists}
