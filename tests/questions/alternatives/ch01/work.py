"""Right answers to ch01.work, written differently."""

from __future__ import annotations

import numpy as np


def by_sums(n_prompt, n_new, n_layers, d_model, width, d_mlp, d_vocab):
    """Sums of the first powers in closed form."""

    def first(n):
        return n * (n + 1) // 2

    def squares(n):
        return n * (n + 1) * (2 * n + 1) // 6

    last, before = n_prompt + n_new - 1, n_prompt - 1
    column = 4 * d_model * width + 2 * d_model * d_mlp
    linear, quadratic = first(last) - first(before), squares(last) - squares(before)
    output = n_new * d_model * d_vocab
    again = n_layers * (column * linear + 2 * width * quadratic) + output
    pairs = n_prompt**2 + first(last) - first(n_prompt)
    return again, n_layers * (column * last + 2 * width * pairs) + output


def by_numpy(n_prompt, n_new, n_layers, d_model, width, d_mlp, d_vocab):
    total = np.arange(n_prompt, n_prompt + n_new, dtype=np.int64)
    added = np.where(total == n_prompt, n_prompt, 1)
    parts = [
        n_layers * (new * d_model * (4 * width + 2 * d_mlp) + 2 * new * total * width) + d_model * d_vocab
        for new in (total, added)
    ]
    return np.array([part.sum() for part in parts])


def by_matrices(n_prompt, n_new, n_layers, d_model, width, d_mlp, d_vocab):
    """The shape of every matrix product, one after another."""

    def products(new, total):
        for _ in range(n_layers):
            yield from [(new, d_model, width)] * 3
            yield from [(new, width, total), (new, total, width), (new, width, d_model)]
            yield from [(new, d_model, d_mlp), (new, d_mlp, d_model)]
        yield 1, d_model, d_vocab

    def count(new, total):
        return sum(a * b * c for a, b, c in products(new, total))

    totals = range(n_prompt, n_prompt + n_new)
    return {
        "recomputed": float(sum(count(t, t) for t in totals)),
        "cached": float(sum(count(n_prompt if t == n_prompt else 1, t) for t in totals)),
    }


ALTERNATIVES = {"sums": by_sums, "numpy": by_numpy, "matrices": by_matrices}
