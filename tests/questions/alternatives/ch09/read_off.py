"""Right answers to ch09.read_off, written differently."""

from __future__ import annotations

import numpy as np
import torch

from mechlib.questions.ch09.read_off import function, one_step, symmetric


def by_cosine(W_Q, W_K, W_V, W_O, n):
    T = torch.einsum("ak,bk,cv,v->abc", W_Q[:-1], W_K, W_V, W_O[:, -1])
    T = (T + T.transpose(1, 2)).flatten() / 2
    unit = one_step(len(W_Q) - 1, n).flatten()
    rate = T @ unit / (unit @ unit)
    return torch.stack([rate, 1 - torch.cosine_similarity(T, unit, dim=0) ** 2])


def by_formula(W_Q, W_K, W_V, W_O, n):
    M, u = (W_Q @ W_K.T)[:-1].double(), (W_V @ W_O)[:, -1].double()
    d = len(M)
    both = (M.diagonal() * u[d] + M[:, d] * u[:d]).sum()
    of_function = (M.square().sum() * u.square().sum() + (M @ u).square().sum()) / 2
    return {"rate": -n * both / d, "unexplained": 1 - both**2 / (2 * d) / of_function}


def by_lstsq(W_Q, W_K, W_V, W_O, n):
    T = symmetric(function(W_Q, W_K, W_V, W_O)).numpy().astype(np.float64).ravel()
    unit = one_step(len(W_Q) - 1, n).numpy().astype(np.float64).reshape(-1, 1)
    (rate,), *_ = np.linalg.lstsq(unit, T, rcond=None)
    rest = T - rate * unit[:, 0]
    return rate, (rest @ rest) / (T @ T)


ALTERNATIVES = {"cosine": by_cosine, "formula": by_formula, "lstsq": by_lstsq}
