"""The evidence of two solutions: their free energies at large n, the exact ones, and where the preference changes.

The evidence of a region of the weights is ``Z_n = E_prior exp(-n L_n(w))``, the prior restricted to the region, and its
free energy ``F_n = -log Z_n``: the smaller, the more the Bayesian posterior prefers the region. With
``V(ε) ~ c ε^λ (-log ε)^(m-1)`` the volume of the region's weights within ε of its best loss L*,
``F_n = n L* + λ log n - (m - 1) log log n - log(c Γ(λ + 1)) + o(1)`` (Watanabe 2009, ch. 6).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import brentq
from torch import Tensor

from mechlib.llc.exact import LearningCoefficient

__all__ = ["Grid", "Solution", "graded_grid", "transitions"]

MAX_DIMENSIONS = 3
ORDER = 12
"""Gauss-Legendre points per axis and panel."""
PANEL = 1.0
"""Longest panel, in units of t."""
ROUNDED = 1e-3
"""The most nats by which energies may be rounded."""


@dataclass(frozen=True)
class Solution:
    """A region of the weights around one kind of minimum, as the free energy sees it when n is large."""

    loss: float
    """L*, in nats per sample."""
    coefficient: LearningCoefficient
    """λ and m of the region: those of its most degenerate minimum."""
    constant: float = 0.0
    """The part of the free energy that does not depend on n: ``-log(c Γ(λ + 1))``, c that of the volume."""

    def free_energy(self, n: float) -> float:
        """``n L* + λ log n - (m - 1) log log n + constant``, in nats (Watanabe 2009, ch. 6).

        Raises:
            ValueError: if n is not above 1.
        """
        if n <= 1:
            raise ValueError(f"the expansion is for large n; it needs n above 1, got {n}")
        value, multiplicity = self.coefficient.value, self.coefficient.multiplicity
        return n * self.loss + value * math.log(n) - (multiplicity - 1) * math.log(math.log(n)) + self.constant


def transitions(a: Solution, b: Solution, *, low: float = 2.0, high: float = 1e12) -> tuple[float, ...]:
    """The sample sizes, ascending, at which the free energies of two solutions cross.

    Crossings are looked for on a grid of 100 points per decade; two that lie closer together are missed.

    Raises:
        ValueError: unless ``1 < low < high``.
    """
    if not 1 < low < high:
        raise ValueError(f"sample sizes must satisfy 1 < low < high, got {low:g} and {high:g}")

    def gap(log_n: float) -> float:
        return a.free_energy(math.exp(log_n)) - b.free_energy(math.exp(log_n))

    grid = np.linspace(math.log(low), math.log(high), 2 + int(100 * math.log10(high / low)))
    gaps = np.array([gap(x) for x in grid])
    cells = np.flatnonzero(np.sign(gaps[:-1]) * np.sign(gaps[1:]) < 0)
    return tuple(math.exp(brentq(gap, grid[i], grid[i + 1])) for i in cells)


@dataclass(frozen=True)
class Grid:
    """A quadrature rule for a uniform prior on a box: fixed points, so that many data sets share one pass."""

    points: Float[Tensor, "node d"]
    log_weights: Float[Tensor, " node"]
    """The weights themselves sum to one."""

    def free_energy(self, energy: Float[Tensor, "*batch node"]) -> Float[Tensor, "*batch"]:
        """``-log`` of the mean of ``exp(-energy)`` over the box, in nats.

        Args:
            energy: ``n L_n(w)`` at ``points``; for another prior less the logarithm of its density, relative to the
                uniform one.

        Raises:
            ValueError: if the last axis is not the nodes, or the energies are in a precision that rounds the smallest
                by more than ``ROUNDED`` nats.
        """
        if energy.shape[-1:] != self.log_weights.shape:
            raise ValueError(f"energy needs {len(self.log_weights)} nodes on its last axis, got {list(energy.shape)}")
        unit = torch.finfo(energy.dtype).eps / 2 if energy.is_floating_point() else 0.0
        rounded = unit * float(energy.detach().amin(-1).abs().max())
        if ROUNDED < rounded < math.inf:
            raise ValueError(
                f"the energies are {energy.dtype}, which rounds the smallest by up to {rounded:.2g} nats: compute them "
                "in torch.float64"
            )
        return -(self.log_weights - energy).logsumexp(-1)


def graded_grid(center: Sequence[float], bounds: Sequence[tuple[float, float]], finest: float) -> Grid:
    """Panels of product Gauss-Legendre points that grow with the distance from ``center``, in up to three dimensions.

    The points are even in t, ``w = center + finest sinh(t)``: all scales from ``finest`` to the box are resolved, and
    ridges and cusps that lie along the axes through the centre. Free energies are good to 1e-4 nats if ``finest`` is a
    third of the narrowest scale of the integrand or less, and to 2e-3 if a peak of the integrand that lies away from
    the centre is no narrower than a tenth of its distance. ``mechlib.llc.quadrature`` adapts, to one data set at a
    time.

    Raises:
        ValueError: if there are more than three dimensions, ``finest`` is not positive, or the bounds do not hold the
            centre.
    """
    inside = len(center) == len(bounds) and all(a <= c <= b and a < b for c, (a, b) in zip(center, bounds, strict=True))
    if not (0 < len(center) <= MAX_DIMENSIONS and inside and finest > 0):
        raise ValueError(
            f"needed are 1 to {MAX_DIMENSIONS} coordinates inside their bounds and a positive finest scale, "
            f"got {list(center)}, {list(bounds)} and {finest:g}"
        )
    axes = [_axis(low - at, high - at, finest) for at, (low, high) in zip(center, bounds, strict=True)]
    points = torch.cartesian_prod(*(deviation for deviation, _ in axes)).view(-1, len(axes))
    weights = torch.cartesian_prod(*(weight for _, weight in axes)).view(-1, len(axes)).prod(1)
    return Grid(torch.tensor(center, dtype=torch.float64) + points, (weights / weights.sum()).log())


def _axis(low: float, high: float, finest: float) -> tuple[Float[Tensor, " node"], Float[Tensor, " node"]]:
    """Points and weights from ``low`` to ``high``, one panel ending at 0 where it lies between."""
    nodes, weights = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(ORDER))
    ends = sorted({low, 0.0, high})
    t = torch.cat([_edges(*(math.asinh(end / finest) for end in pair)) for pair in pairwise(ends)]).unique()
    middle, half = (t[1:] + t[:-1]) / 2, t.diff() / 2
    t = (middle[:, None] + half[:, None] * nodes).flatten()
    return finest * t.sinh(), (half[:, None] * weights).flatten() * finest * t.cosh()


def _edges(start: float, end: float) -> Float[Tensor, " edge"]:
    return torch.linspace(start, end, 1 + math.ceil((end - start) / PANEL), dtype=torch.float64)
