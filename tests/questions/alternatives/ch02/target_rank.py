"""Right answers to ch02.target_rank, written differently."""

from __future__ import annotations

import numpy as np
import torch

from mechlib.questions.ch02.target_rank import values_at


def by_sorting(log_probs, tokens):
    ascending = log_probs[:, :, :-1].contiguous().sort(-1).values
    targets = values_at(log_probs[:, :, :-1], tokens[:, 1:])[..., None]
    return log_probs.shape[-1] - torch.searchsorted(ascending, targets, right=True)[..., 0]


def by_numpy(log_probs, tokens):
    scores, targets = np.asarray(log_probs)[:, :, :-1], np.asarray(tokens)[:, 1:]
    values = np.take_along_axis(scores, np.broadcast_to(targets[None, ..., None], (*scores.shape[:3], 1)), -1)
    return np.count_nonzero(scores > values, axis=-1)


def by_loops(log_probs, tokens):
    def one(scores, target):
        return sum(1.0 for score in scores if score > scores[target])

    n_entries, batch, pos, _ = log_probs.shape
    return [
        [[one(log_probs[entry, row, p], tokens[row, p + 1]) for p in range(pos - 1)] for row in range(batch)]
        for entry in range(n_entries)
    ]


def by_one_hot(log_probs, tokens):
    hot = torch.nn.functional.one_hot(tokens[:, 1:], log_probs.shape[-1]).bool()
    worst = log_probs[:, :, :-1].masked_fill(~hot, -torch.inf).amax(-1, keepdim=True)
    return log_probs[:, :, :-1].gt(worst).double().sum(-1)


ALTERNATIVES = {"sorting": by_sorting, "numpy": by_numpy, "loops": by_loops, "one_hot": by_one_hot}
