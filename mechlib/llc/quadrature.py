"""Exact expectations under the tempered posterior in up to three dimensions, by adaptive quadrature.

The posterior of a singular loss has its mass at all scales around the minimum, in cusps along the coordinate axes and
in ridges. So the integral is taken in ``t`` with ``w = w* + s sinh t``, which spaces the scales evenly, and boxes in
``t`` are halved until a product Gauss-Legendre rule on the box and on its halves agree. They must agree, more loosely,
at every higher temperature too: a ridge too thin to be met by the first boxes is found where it is still broad.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import norm
from torch import Tensor

__all__ = ["Quadrature", "quadrature"]

MAX_DIMENSIONS = 3
TAIL = 8.0
"""Standard deviations of the prior that are integrated over where no bounds are given: 1e-15 of it lies outside."""
ORDER = 6
"""Gauss-Legendre points per axis and box."""
FIRST_BOX = 1.5
"""Length in t of the first boxes."""
COOLING = 4.0
"""Ratio of successive inverse temperatures, from at most 1 up to nbeta, at which the boxes must resolve the mass."""
WARM_RTOL = 1e-3
"""Relative accuracy of the mass at the higher temperatures."""
MAX_EVALUATIONS = 50_000_000
CHUNK = 500_000
"""Points at which the loss is evaluated at once."""

Loss = Callable[[Float[Tensor, "point d"]], Float[Tensor, " point"]]


@dataclass(frozen=True)
class Quadrature:
    """Exact values under ``exp(-nbeta (L - L*)) φ(w)``, φ the prior, L* the loss at the centre."""

    value: float
    """``E[nbeta (L - L*)]``: what an estimator of the learning coefficient converges to at this nbeta."""
    error: float
    """Error of ``value``: the disagreement of two rules, summed over all boxes; the true error is far smaller."""
    free_energy: float
    """``-log`` of the integral, the prior normalised over the domain: ``λ log nbeta - (m-1) log log nbeta + O(1)``."""
    evaluations: int
    """Points at which the loss was evaluated."""


def quadrature(
    loss: Loss,
    center: Float[Tensor, " d"] | Sequence[float],
    nbeta: float,
    gamma: float,
    *,
    bounds: Sequence[tuple[float, float]] | None = None,
    rtol: float = 1e-5,
) -> Quadrature:
    """``E[nbeta (L - L*)]`` and the free energy under the prior ``exp(-gamma |w - center|^2 / 2)``.

    For a quadratic loss the value is :func:`mechlib.llc.exact.quadratic_expectation`. As nbeta grows the value tends
    to the smallest learning coefficient in the domain, if all minima there have the loss of the centre.

    Args:
        loss: from points ``[point, d]`` in float64 to losses ``[point]``.
        center: w*, with 1 to 3 coordinates; its scales are resolved best, so let cusps of the loss meet there.
        gamma: precision of the prior; 0 means a uniform prior and needs ``bounds``.
        bounds: low and high end of every coordinate; the prior is cut off there. The whole space by default.
        rtol: relative accuracy asked for; ``error`` says what was reached.

    Raises:
        ValueError: if the dimension is not 1 to 3; if ``nbeta``, ``gamma`` or ``bounds`` make no proper posterior; if
            the loss returns another shape or NaN.
        RuntimeError: if the accuracy is not reached after 50 million evaluations.
    """
    center = torch.as_tensor(center, dtype=torch.float64)
    _check(center, nbeta, gamma, bounds)
    low, high = _domain(center, gamma, bounds)
    reference = _losses(loss, center[None])
    scale = 0.1 / math.sqrt(nbeta + gamma)

    cooling = nbeta / COOLING ** torch.arange(1, 1 + max(0, math.ceil(math.log(nbeta, COOLING))), dtype=torch.float64)
    nbetas = torch.cat([torch.tensor([nbeta], dtype=torch.float64), cooling])

    def integrand(t: Tensor) -> Tensor:
        deviation = scale * t.sinh()
        excess = _losses(loss, center + deviation) - reference
        log_prior = (scale * t.cosh()).log().sum(1) - gamma / 2 * deviation.square().sum(1)
        masses = torch.exp(log_prior[:, None] - excess[:, None] * nbetas)
        moment = torch.where(masses[:, 0] > 0, nbeta * excess * masses[:, 0], 0.0)
        return torch.cat([moment[:, None], masses], dim=1)

    first, last = (torch.asinh(end / scale) for end in (low, high))
    tolerance = torch.tensor([rtol, rtol] + [WARM_RTOL] * len(cooling), dtype=torch.float64)
    (moment, mass, *_), (moment_error, mass_error, *_), evaluations = _integrate(integrand, first, last, tolerance)
    value = moment / mass
    return Quadrature(
        value=value,
        error=(moment_error + abs(value) * mass_error) / mass,
        free_energy=_log_prior_mass(low, high, gamma) - math.log(mass),
        evaluations=evaluations,
    )


def _check(center: Tensor, nbeta: float, gamma: float, bounds: Sequence[tuple[float, float]] | None) -> None:
    d = center.numel()
    if center.ndim != 1 or not 1 <= d <= MAX_DIMENSIONS:
        raise ValueError(f"center must have 1 to {MAX_DIMENSIONS} coordinates, got shape {tuple(center.shape)}")
    if not (nbeta > 0 and gamma >= 0):
        raise ValueError(f"nbeta must be positive and gamma not negative, got nbeta = {nbeta:g}, gamma = {gamma:g}")
    if bounds is None:
        if gamma == 0:
            raise ValueError("gamma = 0 on the whole space is no proper prior: give bounds, or a positive gamma")
        return
    inside = all(low <= w <= high and low < high for (low, high), w in zip(bounds, center.tolist(), strict=False))
    if len(bounds) != d or not inside:
        raise ValueError(f"bounds must be {d} pairs (low, high) around {center.tolist()}, got {list(bounds)}")


def _domain(center: Tensor, gamma: float, bounds: Sequence[tuple[float, float]] | None) -> tuple[Tensor, Tensor]:
    """Both ends of every coordinate, relative to the centre."""
    if bounds is not None:
        low, high = torch.as_tensor(bounds, dtype=torch.float64).T
        return low - center, high - center
    reach = torch.full_like(center, TAIL / math.sqrt(gamma))
    return -reach, reach


def _log_prior_mass(low: Tensor, high: Tensor, gamma: float) -> float:
    """The logarithm of the integral of ``exp(-gamma |w - center|^2 / 2)`` over the domain."""
    if gamma == 0:
        return float((high - low).log().sum())
    inside = norm.cdf(high.numpy() * math.sqrt(gamma)) - norm.cdf(low.numpy() * math.sqrt(gamma))
    return float(np.log(inside * math.sqrt(2 * math.pi / gamma)).sum())


def _losses(loss: Loss, points: Tensor) -> Tensor:
    parts = points.split(CHUNK)
    losses = [loss(part) for part in parts]
    for part, found in zip(parts, losses, strict=True):
        if found.shape != part.shape[:1]:
            raise ValueError(
                f"the loss must give one number for each of {len(part)} points, got shape {tuple(found.shape)}"
            )
    values = torch.cat(losses)
    if values.isnan().any():
        raise ValueError(f"the loss is NaN at {points[values.isnan()][0].tolist()}")
    return values.to(torch.float64)


def _integrate(
    integrand: Callable[[Tensor], Tensor], low: Tensor, high: Tensor, rtol: Tensor
) -> tuple[list[float], list[float], int]:
    """Integrals over a box of the columns of ``integrand``, bounds on their errors, and the number of evaluations."""
    boxes, sizes = _first_boxes(low, high)
    values = _rule(integrand, boxes, sizes)
    done, error = torch.zeros(2, len(rtol), dtype=torch.float64)
    evaluations = len(boxes) * ORDER ** len(low)
    while len(boxes):
        halves = torch.tensor(list(product((0.0, 0.5), repeat=len(low))), dtype=torch.float64)
        child_boxes = boxes[:, None] + halves * sizes[:, None]
        child_sizes = (sizes[:, None] / 2).expand_as(child_boxes)
        evaluations += child_boxes[..., 0].numel() * ORDER ** len(low)
        if evaluations > MAX_EVALUATIONS:
            raise RuntimeError(f"a relative accuracy of {rtol[0]:g} needs more than {MAX_EVALUATIONS:,} evaluations")
        children = _rule(integrand, child_boxes.flatten(0, 1), child_sizes.flatten(0, 1)).unflatten(0, (len(boxes), -1))
        gaps = (children.sum(1) - values).abs()
        magnitude = done.abs() + children.abs().sum((0, 1))
        split = (gaps > rtol / 4 * magnitude / len(boxes)).any(1)
        done, error = done + children[~split].sum((0, 1)), error + gaps[~split].sum(0)
        boxes, sizes, values = (x[split].flatten(0, 1) for x in (child_boxes, child_sizes, children))
    return done.tolist(), error.tolist(), evaluations


def _first_boxes(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Lower corners and sizes of boxes that tile the domain, the coordinate planes among their faces."""
    axes = []
    for start, end in zip(low.tolist(), high.tolist(), strict=True):
        below, above = (1 + math.ceil(length / FIRST_BOX) for length in (-start, end))
        to_center = torch.linspace(start, 0, below, dtype=torch.float64)
        axes.append(torch.cat([to_center[:-1], torch.linspace(0, end, above, dtype=torch.float64)]))
    corners = torch.cartesian_prod(*(axis[:-1] for axis in axes)).view(-1, len(axes))
    sizes = torch.cartesian_prod(*(axis.diff() for axis in axes)).view(-1, len(axes))
    return corners, sizes


def _rule(integrand: Callable[[Tensor], Tensor], boxes: Tensor, sizes: Tensor) -> Tensor:
    """The product Gauss-Legendre rule on every box: ``[box, column]``."""
    nodes, weights = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(ORDER))
    d = boxes.shape[1]
    grid = torch.cartesian_prod(*[(nodes + 1) / 2] * d).view(-1, d)
    weight = torch.cartesian_prod(*[weights / 2] * d).view(-1, d).prod(1)
    points = boxes[:, None] + grid * sizes[:, None]
    values = integrand(points.flatten(0, 1)).unflatten(0, points.shape[:2])
    return torch.einsum("bpc,p->bc", values, weight) * sizes.prod(1, keepdim=True)
