"""Right answers to ch06.ablation_effect, written differently."""

from __future__ import annotations

import statistics
from itertools import combinations

import numpy as np
import torch
from torch.nn import functional as F


def by_numpy(residual, out, W_U, b_U, tokens, period, heads):
    residual, out, W_U, b_U = (np.asarray(a, dtype=np.float64) for a in (residual, out, W_U, b_U))
    tokens = np.asarray(tokens)

    def loss(chosen):
        chosen = list(chosen)
        x = residual - out[chosen].sum(0) + out[chosen].mean(axis=(1, 2), keepdims=True).sum(0)
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        logits = (x @ W_U + b_U)[:, -period:-1]
        right = np.take_along_axis(logits, tokens[:, 1 - period :, None], -1)
        return (np.logaddexp.reduce(logits, axis=-1, keepdims=True) - right).mean()

    others = np.setdiff1d(np.arange(len(out)), heads)
    rises = [loss(chosen) - loss([]) for chosen in combinations(others, len(heads))]
    return np.array([loss(heads) - loss([]), np.mean(rises)])


def by_weights(residual, out, W_U, b_U, tokens, period, heads):
    """Ablation as weights, 1 for a head that stays; every set in one batch."""
    others = [head for head in range(len(out)) if head not in heads]
    sets = [(), tuple(heads), *combinations(others, len(heads))]
    gone = torch.tensor([[float(head in chosen) for head in range(len(out))] for chosen in sets]).double()
    out = out.double()
    streams = residual + torch.einsum("sh,hbpd->sbpd", gone, out.mean((1, 2), keepdim=True) - out)
    scores = F.layer_norm(streams, streams.shape[-1:]) @ W_U.double() + b_U
    log_probs = scores[:, :, -period:-1].log_softmax(-1)
    targets = tokens[:, -period + 1 :].expand(len(sets), -1, -1)[..., None]
    loss = -log_probs.gather(-1, targets).mean((1, 2, 3))
    return {"effect": loss[1] - loss[0], "control": (loss[2:] - loss[0]).mean()}


def by_loops(residual, out, W_U, b_U, tokens, period, heads):
    pos, width = tokens.shape[1], residual.shape[-1]
    means = [each.flatten(0, 1).mean(0) for each in out]

    def loss(chosen):
        values = []
        for row, ids in enumerate(tokens.tolist()):
            for p in range(pos - period, pos - 1):
                vector = residual[row, p].clone()
                for head in chosen:
                    vector += means[head] - out[head, row, p]
                scores = F.layer_norm(vector, (width,)) @ W_U + b_U
                values.append(float(scores.logsumexp(0) - scores[ids[p + 1]]))
        return statistics.fmean(values)

    intact = loss(())
    sets = [chosen for chosen in combinations(range(len(out)), len(heads)) if not set(chosen) & set(heads)]
    return loss(heads) - intact, statistics.fmean(loss(chosen) - intact for chosen in sets)


ALTERNATIVES = {"numpy": by_numpy, "weights": by_weights, "loops": by_loops}
