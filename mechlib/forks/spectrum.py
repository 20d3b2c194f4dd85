"""The eigenvalues of the loss's Hessian at a network that meets its target, and coefficients from them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.forks.cues import Cues, Network

__all__ = ["curvatures"]


def curvatures(network: Network, cues: Cues) -> Float[Tensor, " eigenvalue"]:
    """The eigenvalues of the Fisher information of all weights, largest first; those that must be 0 are left out.

    Where the divergence is 0 it is the Hessian of the loss (the other term has the residuals as factors). It has at
    most ``inputs * (labels - 1)`` eigenvalues that are not 0, the squares of the singular values of the logits'
    Jacobian with the softmax's metric. With :func:`mechlib.llc.quadratic_expectation` they give the local coefficient
    that a chain would read if the loss were quadratic.
    """
    own = network.vector()

    def logits(vector: Tensor) -> Tensor:
        return torch.func.functional_call(network, dict(network.named(vector)), (cues.tokens,))

    jacobian = torch.func.jacrev(logits)(own)
    p = logits(own).softmax(-1).detach()[..., None]
    metric = (jacobian - (p * jacobian).sum(1, keepdim=True)) * p.sqrt() / len(cues) ** 0.5
    return torch.linalg.svdvals(metric.flatten(0, 1)).square()
