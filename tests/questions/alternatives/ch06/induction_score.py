"""Right answers to ch06.induction_score, written differently."""

from __future__ import annotations

import numpy as np
import torch

from mechlib.questions.ch06.patterns import duplicates


def by_numpy(pattern, tokens):
    pattern, tokens = np.asarray(pattern, dtype=np.float64), np.asarray(tokens)
    mask = np.zeros(pattern.shape[2:])
    mask[:, :, 1:] = tokens[:, :, None] == tokens[:, None, :-1]
    mask = np.tril(mask)
    n_queries = np.float64(mask.max(-1).sum())
    with np.errstate(invalid="ignore"):
        return np.tensordot(pattern, mask, axes=((2, 3, 4), (0, 1, 2))) / n_queries


def by_rolled_duplicates(pattern, tokens):
    same = torch.tril((tokens[:, None] == tokens[:, :, None]).double(), -1)
    mask = torch.cat([torch.zeros_like(same[..., :1]), same[..., :-1]], -1)
    share = torch.einsum("lhbqk,bqk->lh", pattern.double(), mask)
    return share / (mask.sum(-1) > 0).sum()


def by_loops(pattern, tokens):
    total, count = torch.zeros(pattern.shape[:2]), 0
    for row, ids in enumerate(tokens.tolist()):
        for query, token in enumerate(ids):
            keys = [key for key in range(1, query + 1) if ids[key - 1] == token]
            count += bool(keys)
            total += pattern[:, :, row, query, keys].sum(-1)
    return total / count


def by_where(pattern, tokens):
    rows, queries, copies = torch.nonzero(duplicates(tokens), as_tuple=True)
    attended = pattern[:, :, rows, queries, copies + 1].sum(-1)
    return (attended / len(torch.unique(torch.stack([rows, queries]), dim=1).T)).tolist()


ALTERNATIVES = {"numpy": by_numpy, "rolled": by_rolled_duplicates, "loops": by_loops, "where": by_where}
