"""A step for each weight: a diagonal preconditioner, learned while burning in and fixed from then on.

Where curvatures differ from weight to weight, a step that the steepest can bear lets the others creep. With a diagonal
G that does not depend on the place,

    w' = w - eps/2 G grad U + sqrt(eps G) (xi + xi') / 2

is Leimkuhler and Matthews's scheme in the coordinates G^(-1/2) w. It samples ``exp(-U)`` whatever G is, on quadratics
exactly for eps a < 4, with a the largest eigenvalue of G^(1/2) (Hessian of U) G^(1/2). A G that a chain makes of the
gradients on its own way does depend on the place, and samples another law (:mod:`mechlib.llc.rmsprop`).

Jacobi's G is one over the diagonal of the Hessian of U. By parts, E[d_i U d_i U] = E[d_ii U] under ``exp(-U)``, so that
is one over the mean square of the gradient of U: of U with its prior, not of the loss, whose square is that of the
Hessian where the loss is steep. It helps where the weights' own scales differ, as those of layers do, and not where
the Hessian has its small eigenvalues across the axes.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64
from torch import Tensor

__all__ = ["LEAST_BURNIN", "PRECONDITIONS", "WORTHWHILE", "Jacobi"]

PRECONDITIONS = (None, "jacobi")
LEAST_BURNIN = 80
"""Steps of burn-in below which nothing is learned."""
WORTHWHILE = 10.0
"""A spread of G below which it gains less than its warm-up costs."""

ROUNDS = (1 / 8, 3 / 8, 7 / 8)
"""Where in the burn-in G is learned anew: each round moves with the G of the one before, and is twice as long."""
FLOOR = 0.01
"""What is added to the mean squares, as a share of the mean over weights: no step is more than a hundred times that of
a weight with the mean curvature."""


class Jacobi:
    """``G = 1 / (v + FLOOR mean v)``, with v the mean square of the gradient of U over chains and half a round."""

    def __init__(self, burnin: int):
        ends = [round(share * burnin) for share in ROUNDS]
        self._ends = frozenset(ends)
        self.last = ends[-1] - 1
        """The step of the burn-in after which G stays as it is."""
        starts = [0, *ends[:-1]]
        self._learning = [range((start + end) // 2, end) for start, end in zip(starts, ends, strict=True)]
        self._total: Float64[Tensor, " param"] | None = None
        self._seen = 0

    def learns(self, step: int) -> bool:
        """Whether the gradients after a step of the burn-in are wanted."""
        return any(step in learning for learning in self._learning)

    def after(self, step: int, slope: Float[Tensor, "chain param"]) -> Float[Tensor, " param"] | None:
        """Take in the gradients of U after a step; G, if it has been learned anew. Chains that are lost have no say."""
        square = slope.double().square().nan_to_num(nan=torch.nan, posinf=torch.nan).nanmean(0)
        self._total = square if self._total is None else self._total.add_(square)
        self._seen += 1
        if step + 1 not in self._ends:
            return None
        mean, self._total, self._seen = self._total / self._seen, None, 0
        return (1 / (mean + FLOOR * mean.mean())).to(slope)
