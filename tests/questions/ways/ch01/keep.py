"""Ways to choose the columns that are kept: what a query of the present cares for, by what earlier ones did."""

import torch

KEPT = 10


def by_those_that_see_it(pattern):
    """The mean attention over the queries that can see a column."""
    n = pattern.shape[-1]
    return (pattern.sum(1) / torch.arange(n, 0, -1)).topk(KEPT).indices


def by_later_queries(pattern):
    """The same in loops, of others than the column's own query, and the last column in any case."""
    kept = []
    for layer in pattern.tolist():
        n = len(layer)
        mean = [sum(layer[q][c] for q in range(c + 1, n)) / (n - 1 - c) for c in range(n - 1)]
        best = sorted(range(n - 1), key=lambda c: -mean[c])[: KEPT - 1]
        kept.append([*best, n - 1])
    return kept


def with_the_last_ones(pattern):
    """The first and the last three in any case."""
    n = pattern.shape[-1]
    mean = pattern.sum(1).numpy() / (n - torch.arange(n)).numpy()
    mean[:, [0, n - 3, n - 2, n - 1]] = 9
    return (-mean).argsort(-1)[:, :KEPT]


WAYS = {
    "by those that see it": by_those_that_see_it,
    "by later queries": by_later_queries,
    "with the last ones": with_the_last_ones,
}
