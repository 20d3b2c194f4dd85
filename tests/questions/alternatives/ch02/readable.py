"""Right answers to ch02.readable, written differently."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F


def by_topk(log_probs, tokens, top_k):
    top = log_probs.topk(top_k, dim=-1).indices[:, :, :-1]
    guess = top[-1, ..., 0]
    right = (guess == tokens[:, 1:]).flatten()
    shares = []
    for wanted in (tokens[:, :-1], guess):
        hit = (top == wanted[..., None]).any(-1).flatten(1).double()
        shares.append(torch.stack([hit[:, ~right].mean(-1), hit[:, right].mean(-1)], dim=1))
    return {"current": shares[0], "guess": shares[1]}


def by_numpy(log_probs, tokens, top_k):
    scores, ids = np.asarray(log_probs)[:, :, :-1], np.asarray(tokens)
    rank = (-scores).argsort(-1).argsort(-1)
    guess = scores[-1].argmax(-1)
    right = guess == ids[:, 1:]

    def shares(wanted):
        hit = np.take_along_axis(rank, np.broadcast_to(wanted[None, ..., None], (*rank.shape[:3], 1)), -1) < top_k
        return np.stack([hit[:, ~right, 0].mean(-1), hit[:, right, 0].mean(-1)], axis=-1)

    return np.stack([shares(ids[:, :-1]), shares(guess)])


def by_loops(log_probs, tokens, top_k):
    n_entries, batch, pos, _ = log_probs.shape
    counts = torch.zeros(2, n_entries, 2)
    totals = torch.zeros(2)
    for row in range(batch):
        for p in range(pos - 1):
            guess = int(log_probs[-1, row, p].argmax())
            right = int(guess == tokens[row, p + 1])
            totals[right] += 1
            for entry in range(n_entries):
                top = log_probs[entry, row, p].topk(top_k).indices.tolist()
                counts[0, entry, right] += int(tokens[row, p]) in top
                counts[1, entry, right] += guess in top
    current, guessed = (counts / totals).tolist()
    return [current, guessed]


def by_weights(log_probs, tokens, top_k):
    threshold = log_probs[:, :, :-1].sort(-1, descending=True).values[..., top_k - 1]
    guess = log_probs[-1, :, :-1].max(-1).indices
    weights = F.one_hot((guess == tokens[:, 1:]).long(), 2).double()
    weights = weights / weights.sum((0, 1))

    def shares(wanted):
        values = torch.stack([entry[:, :-1].gather(-1, wanted[..., None])[..., 0] for entry in log_probs])
        return torch.einsum("ebp,bpr->er", (values >= threshold).double(), weights)

    return shares(tokens[:, :-1]), shares(guess)


ALTERNATIVES = {"topk": by_topk, "numpy": by_numpy, "loops": by_loops, "weights": by_weights}
