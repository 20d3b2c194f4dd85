"""Right answers to ch06.composition_score, written differently."""

from __future__ import annotations

import numpy as np
import torch


def by_einsum(W_V, W_O, W_Q, W_K):
    first = torch.einsum("eah,ehb->eab", W_V, W_O)
    second = torch.einsum("lqh,lkh->lqk", W_Q, W_K)
    product = torch.einsum("eab,lqb->elaq", first, second).flatten(2).norm(dim=-1)
    return product / torch.outer(first.flatten(1).norm(dim=1), second.flatten(1).norm(dim=1)) - W_V.shape[1] ** -0.5


def by_factors(W_V, W_O, W_Q, W_K):
    """Through the products of the small factors, [d_head, d_head]: |A B|^2 is a trace, and traces are cyclic."""
    W_V, W_O, W_Q, W_K = (W.double() for W in (W_V, W_O, W_Q, W_K))
    left, right = W_V.mT @ W_V, W_Q.mT @ W_Q
    middle = W_O[:, None] @ W_K
    product = torch.einsum("eij,eljm,lmn,elin->el", left, middle, right, middle)
    first = torch.einsum("eij,ejk,eik->e", left, W_O, W_O)
    second = torch.einsum("lij,lki,lkj->l", right, W_K, W_K)
    return (product / (first[:, None] * second)).sqrt() - 1 / left.new_tensor(W_V.shape[1]).sqrt()


def by_numpy(W_V, W_O, W_Q, W_K):
    W_V, W_O, W_Q, W_K = (np.asarray(W, dtype=np.float64) for W in (W_V, W_O, W_Q, W_K))
    first, second = W_V @ W_O, W_K @ W_Q.transpose(0, 2, 1)
    scores = np.linalg.norm(first[:, None] @ second[None], axis=(-2, -1))
    scores /= np.linalg.norm(first, axis=(1, 2))[:, None]
    scores /= np.linalg.norm(second, axis=(1, 2))
    return scores - 1 / np.sqrt(W_V.shape[1])


def by_loops(W_V, W_O, W_Q, W_K):
    def one(value, output, query, key):
        first, second = value @ output, query @ key.T
        return float((second @ first.T).norm() / first.norm() / second.norm()) - len(value) ** -0.5

    later = list(zip(W_Q, W_K, strict=True))
    return [[one(v, o, q, k) for q, k in later] for v, o in zip(W_V, W_O, strict=True)]


ALTERNATIVES = {"einsum": by_einsum, "factors": by_factors, "numpy": by_numpy, "loops": by_loops}
