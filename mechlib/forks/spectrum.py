"""The curvatures of the loss at a network that meets its target; a coefficient and a free energy from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.forks.cues import Cues, Network

__all__ = ["FreeEnergy", "curvatures", "free_energy", "modes"]


def curvatures(network: Network, cues: Cues) -> Float[Tensor, " eigenvalue"]:
    """The eigenvalues of the Fisher information of all weights, largest first; those that must be 0 are left out.

    Where the divergence is 0 it is the Hessian of the loss (the other term has the residuals as factors). It has at
    most ``inputs * (labels - 1)`` eigenvalues that are not 0, the squares of the singular values of the logits'
    Jacobian in the softmax's metric. With :func:`mechlib.llc.quadratic_expectation` they give the local coefficient
    that a chain would read if the loss were quadratic.
    """
    return torch.linalg.svdvals(_rows(network, cues)).square()


@dataclass(frozen=True)
class FreeEnergy:
    """``-log`` of the posterior's integral near a network, in nats, as the sum of two parts."""

    volume: float
    """What the curvatures take from the prior's volume: ``sum_i log(1 + nbeta h_i / gamma) / 2``."""
    place: float
    """What it costs that the weights the loss holds lie away from the prior's centre."""

    @property
    def total(self) -> float:
        return self.volume + self.place


def modes(network: Network, cues: Cues) -> tuple[Float[Tensor, " eigenvalue"], Float[Tensor, " eigenvalue"]]:
    """The curvatures, as :func:`curvatures` gives them, and the part of the network's weights along each direction."""
    _, singular, directions = torch.linalg.svd(_rows(network, cues), full_matrices=False)
    return singular.square(), directions @ network.vector()


def free_energy(
    curvature: Float[Tensor, " eigenvalue"], along: Float[Tensor, " eigenvalue"], nbeta: float, gamma: float
) -> FreeEnergy:
    """The free energy of the neighbourhood of a network under the prior of precision ``gamma`` around 0.

    The integral of ``exp(-nbeta L(w))`` over that prior with L quadratic around the network's weights w*, which is a
    Gaussian one: an eigenvector along which the curvature is h and w* is c contributes ``log(1 + nbeta h / gamma) / 2``
    and ``c^2 gamma nbeta h / (gamma + nbeta h) / 2``. Where the loss is flat, it costs nothing to lie away from 0.

    Args:
        curvature, along: as :func:`modes` gives them.

    Raises:
        ValueError: if ``nbeta`` or ``gamma`` is not positive.
    """
    if not nbeta > 0 or not gamma > 0:
        raise ValueError(f"a posterior has nbeta and gamma above 0, got nbeta = {nbeta:g} and gamma = {gamma:g}")
    scaled = nbeta * curvature
    place = (along.square() * gamma * scaled / (gamma + scaled)).sum() / 2
    return FreeEnergy(float(torch.log1p(scaled / gamma).sum() / 2), float(place))


def _rows(network: Network, cues: Cues) -> Float[Tensor, "row weight"]:
    """Rows whose products with each other over the weights are the Fisher information: ``rows.T @ rows``."""
    own = network.vector()

    def logits(vector: Tensor) -> Tensor:
        found: Tensor = torch.func.functional_call(network, dict(network.named(vector)), (cues.tokens,))
        return found

    jacobian = torch.func.jacrev(logits)(own)
    p = logits(own).softmax(-1).detach()[..., None]
    return ((jacobian - (p * jacobian).sum(1, keepdim=True)) * p.sqrt() / math.sqrt(len(cues))).flatten(0, 1)
