"""Entropies of distributions and divergences between them, from their log-probabilities, in nats.

An outcome of probability 0 counts nothing, whatever stands against it (``0 log 0 = 0``); one that is only too small
for a floating-point number is not taken for it.

>>> fair, loaded = torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log()
>>> print(f"{entropy(fair):.3f} {entropy(loaded):.3f} {kl(fair, loaded):.3f}")
0.693 0.325 0.511
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["cross_entropy", "entropy", "expected", "kl"]


def expected(
    log_probs: Float[Tensor, "*rest outcome"], values: Float[Tensor, "*rest outcome"]
) -> Float[Tensor, "*rest"]:
    """The mean of ``values`` under the distribution: infinite where a possible outcome's value is."""
    products = torch.where(values.isinf(), values, log_probs.exp() * values)
    return products.masked_fill(log_probs == -torch.inf, 0.0).sum(-1)


def entropy(log_probs: Float[Tensor, "*rest outcome"]) -> Float[Tensor, "*rest"]:
    """``-sum p log p``; from 0 to the log of the number of outcomes."""
    return cross_entropy(log_probs, log_probs)


def cross_entropy(p: Float[Tensor, "*rest outcome"], q: Float[Tensor, "*rest outcome"]) -> Float[Tensor, "*rest"]:
    """``-sum p log q``: what outcomes of ``p`` cost in a code made for ``q``; at least the entropy of ``p``."""
    return -expected(p, q)


def kl(p: Float[Tensor, "*rest outcome"], q: Float[Tensor, "*rest outcome"]) -> Float[Tensor, "*rest"]:
    """``KL(p || q) = sum p (log p - log q)``: at least 0 up to rounding, and 0 where the two are equal.

    Infinite where ``q`` rules out what ``p`` does not. The cross-entropy of the two is larger by the entropy of ``p``.
    """
    return expected(p, p - q)
