"""The curvature that chains meet, and a step that suits it."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.llc.posterior import Posterior
from mechlib.llc.samplers import Normals, adapt, mala

__all__ = ["STEP", "auto_lr", "curvature_met", "steepness_met", "top_curvature"]

STEP = {"lm": 1.0, "sgld": 0.1, "mala": 1.0}
"""The step that ``lr="auto"`` takes, times the largest curvature of U that the pilot met."""

ROUNDS, STEPS = 3, 30
"""The pilot measures the curvature so often, with so many steps between."""


def top_curvature(
    gradient: Callable[[Tensor], Tensor],
    w: Float[Tensor, "row param"],
    *,
    nbeta: float,
    gamma: float | Float[Tensor, " row"],
    normals: Normals,
    iterations: int = 12,
) -> Float[Tensor, " row"]:
    """The largest absolute eigenvalue of the Hessian of L near each row of ``w``.

    Power iteration on differences of gradients, taken over half a standard deviation of the posterior in the direction
    that is looked at, so that a loss flatter than a quadratic at w* is seen as steep as the chains find it. From below,
    up to the anharmonicity over that length.

    Args:
        gradient: the gradient of L at every row, on fixed data.
        nbeta, gamma: they set the posterior's standard deviation, 1 / sqrt(nbeta a + gamma) at curvature a.
        iterations: two gradients each.
    """
    direction = torch.nn.functional.normalize(normals(torch.empty_like(w)), dim=1)
    curvature = torch.zeros_like(w[:, 0]) + (gamma / nbeta + 1.0)
    for _ in range(iterations):
        length = 0.5 * (nbeta * curvature + gamma).rsqrt()
        shift = length[:, None] * direction
        difference = (gradient(w + shift) - gradient(w - shift)) / (2 * length[:, None])
        size = torch.linalg.vector_norm(difference, dim=1)
        curvature = (size * curvature).sqrt()
        direction = difference / size[:, None].clamp_min(torch.finfo(w.dtype).tiny)
    return size


def curvature_met(
    posterior: Posterior, w: Float[Tensor, "chain param"], nbeta: float, gamma: float, normals: Normals
) -> float:
    """The largest of :func:`top_curvature` over the chains' points ``w`` and w*, on the posterior's last batch.

    Chains that are not finite are left out; 0 if none is.
    """
    rows = posterior.with_anchor(w)
    return _largest(top_curvature(posterior.gradient, rows, nbeta=nbeta, gamma=gamma, normals=normals))


def steepness_met(
    posterior: Posterior,
    w: Float[Tensor, "chain param"],
    nbeta: float,
    gamma: float,
    normals: Normals,
    scale: Float[Tensor, " param"] | None = None,
) -> float:
    """The largest curvature of U that is met, as :func:`curvature_met` has it; or of U over w / sqrt(scale).

    That is the largest eigenvalue of G^(1/2) (nbeta H + gamma) G^(1/2), with G the diagonal matrix of ``scale``.
    """
    if scale is None:
        return nbeta * curvature_met(posterior, w, nbeta, gamma, normals) + gamma
    root = scale.sqrt()

    def gradient(rows: Tensor) -> Tensor:
        return root * (nbeta * posterior.gradient(root * rows) + gamma * root * rows)

    return _largest(top_curvature(gradient, posterior.with_anchor(w) / root, nbeta=1.0, gamma=0.0, normals=normals))


def _largest(found: Float[Tensor, " row"]) -> float:
    return float(found.nan_to_num(nan=0.0, posinf=0.0).max())


def auto_lr(posterior: Posterior, sampler: str, nbeta: float, gamma: float, normals: Normals) -> float:
    """``STEP[sampler] / (nbeta a + gamma)`` with a the largest curvature that a short run from w* met.

    The run is of ``mala`` on one batch, which finds its own step and cannot fly apart.

    Raises:
        ValueError: if the loss is flat wherever the run came and gamma is 0, so that no step is too large.
    """
    posterior.evaluate(posterior.w)
    steepest = steepness_met(posterior, posterior.w, nbeta, gamma, normals)
    if steepest == 0:
        raise ValueError('lr="auto" found no curvature: the loss is flat around w*, and gamma is 0')
    lr = posterior.w.new_full((1, 1), STEP["mala"] / steepest)
    target = functools.partial(mala, posterior.center, nbeta=nbeta, gamma=gamma)
    state = target(lr=lr).init(posterior.w.clone(), posterior.evaluate_again, normals)
    for _ in range(ROUNDS):
        for _ in range(STEPS):
            state, info = target(lr=lr).step(state, posterior.evaluate_again, normals)
            lr = adapt(lr, info, rate=0.3)
        steepest = max(steepest, steepness_met(posterior, state.w, nbeta, gamma, normals))
    return STEP[sampler] / steepest
