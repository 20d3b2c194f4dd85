"""Right answers to ch06.refute_period, written differently."""

from __future__ import annotations

import numpy as np
import torch


def by_numpy(pattern, tokens, period, claimed):
    pattern, tokens, period = (np.asarray(a) for a in (pattern, tokens, period))
    where = np.arange(tokens.shape[1])
    mask = np.zeros(pattern.shape[1:], dtype=bool)
    mask[:, :, 1:] = tokens[:, :, None] == tokens[:, None, :-1]
    mask &= where[:, None] >= where
    back = where[:, None] - where == claimed - 1

    def mean(values, chosen):
        return values[:, chosen].mean(-1) if chosen.any() else np.full(len(values), np.nan)

    fresh = (claimed % period != 0)[:, None]
    targets, has = (pattern * mask).sum(-1), mask.any(-1)
    distance, far = (pattern * back).sum(-1), where >= claimed - 1
    parts = mean(targets, has & (period == claimed)[:, None]), mean(targets, has & fresh), mean(distance, far & fresh)
    return dict(zip(("claimed", "fresh", "shortcut"), parts, strict=True))


def by_distances(pattern, tokens, period, claimed):
    """Through the attention at every distance, row by row; a row's tokens are compared at each distance too."""
    rows = {"claim": [], "fresh": [], "shortcut": []}
    for row, own in enumerate(period.tolist()):
        kind = "claim" if own == claimed else "fresh" if claimed % own else None
        if kind is None:
            continue
        pos = tokens.shape[1]
        attended, has = torch.zeros(len(pattern), pos), torch.zeros(pos, dtype=torch.bool)
        for distance in range(pos - 1):
            queries = torch.arange(distance + 1, pos)
            hit = tokens[row, queries] == tokens[row, queries - distance - 1]
            attended[:, queries[hit]] += pattern[:, row, queries[hit], queries[hit] - distance]
            has[queries[hit]] = True
        rows[kind].append(attended[:, has])
        if kind == "fresh":
            rows["shortcut"].append(pattern[:, row].diagonal(1 - claimed, -2, -1))
    nothing = [torch.full((len(pattern), 1), torch.nan)]
    return [torch.cat(values or nothing, 1).mean(1) for values in rows.values()]


def by_loops(pattern, tokens, period, claimed):
    n_rows, pos = tokens.shape

    def mean(values):
        return sum(values) / len(values) if values else float("nan")

    def one(weights):
        at_claim, fresh, shortcut = [], [], []
        for row in range(n_rows):
            own = int(period[row])
            for query in range(pos):
                keys = [k for k in range(1, query + 1) if tokens[row, k - 1] == tokens[row, query]]
                total = sum(weights[row][query][k] for k in keys)
                if keys and own == claimed:
                    at_claim.append(total)
                if keys and claimed % own:
                    fresh.append(total)
                if claimed % own and query >= claimed - 1:
                    shortcut.append(weights[row][query][query - claimed + 1])
        return [mean(at_claim), mean(fresh), mean(shortcut)]

    return torch.tensor([one(weights) for weights in pattern.tolist()]).T


ALTERNATIVES = {"numpy": by_numpy, "distances": by_distances, "loops": by_loops}
