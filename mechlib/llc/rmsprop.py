"""SGLD with a preconditioner that each chain makes of its own gradients: for comparison, because it is biased.

It is what the field's benchmark recommends (arXiv:2507.21449) and what devinterp ships, after Li, Chen, Carlson & Carin
(2016, arXiv:1512.07666), whose correction term is left out there. With g the gradient of the loss and
U = nbeta L + gamma/2 |w - w*|^2,

    v' = alpha v + (1 - alpha) g^2,    G = 1 / (sqrt(v') + floor),    w' = w - eps/2 G grad U + sqrt(eps G) xi.

**What it samples.** In the limit of short steps a chain moves little while v is averaged, so that v is g(w)^2 and G is
a function of the place. Then w follows dw = -G grad U / 2 dt + sqrt(G) dB, whose stationary density p has no flux:
G p grad U + grad(G p) = 0. So G p is proportional to exp(-U), and

    p(w) is proportional to exp(-U(w)) / G(w) = exp(-U(w)) (|g(w)| + floor)

in every coordinate: places with large gradients are visited too often. For a quadratic along an axis with curvature h,
precision a = nbeta h, r = h / sqrt(a) the root mean square of g and m = sqrt(2 / pi), the energy is

    E[a x^2] = (2 r m + floor) / (r m + floor)    where 1 is right:

up to twice too large, and right only if ``floor`` is large beside the gradients, which is plain SGLD. In longer steps v
is an average over the posterior and not over the place, and the bias is smaller: to halve the step makes it worse, and
so does an anchor, since the noise of minibatches is what hides the place from v.

**What removes it.** The term eps/2 dG/dw in the step, for which the diagonal of the Hessian is needed
(``correction``): all of it for ``alpha=0``, and a share of 1 - alpha of what would be needed where v is an average, as
Li et al. have it. Or a v that does not depend on the chain's own place: of the other chains (``share="others"``; the
product of the laws of all chains is then stationary, since G of one chain has no derivative by its own place), or held
fixed (``alpha=1``). A fixed one is what :mod:`mechlib.llc.preconditioner` learns, with the square of the gradient of U
and no root, for the scheme of Leimkuhler and Matthews.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mechlib.llc.samplers import Evaluate, Normals

__all__ = ["RMSProp", "Running", "exact_bias", "rmsprop"]


class Running(NamedTuple):
    """Where the chains are, and their averages."""

    w: Float[Tensor, "chain param"]
    loss: Float64[Tensor, " chain"]
    """What ``evaluate`` said at ``w``."""
    grad: Float[Tensor, "chain param"]
    """Its gradient there."""
    square: Float[Tensor, "chain param"]
    """v, before it is given the gradient at ``w``."""


class RMSProp(NamedTuple):
    """An ``init`` and a ``step`` as the samplers of :mod:`mechlib.llc.samplers` have them."""

    init: Callable[[Tensor, Evaluate], Running]
    step: Callable[[Running, Evaluate, Normals], Running]


def rmsprop(
    center: Float[Tensor, " param"],
    *,
    nbeta: float,
    gamma: float,
    lr: float,
    alpha: float = 0.99,
    floor: float = 0.1,
    square: float | Float[Tensor, "#chain param"] = 0.0,
    share: Literal["own", "others"] = "own",
    correction: Callable[[Tensor], Float[Tensor, "chain param"]] | None = None,
) -> RMSProp:
    """RMSProp-preconditioned SGLD; ``alpha`` and ``floor`` are by default devinterp's.

    Args:
        alpha: the weight of the past in v; 1 leaves it at ``square``, 0 makes it the square of the last gradient.
        square: v at the start.
        share: whether v is of the chain's ``"own"`` gradients, or the mean of those of the ``"others"``.
        correction: the diagonal of the Hessian of L at each chain's place, with which the derivative of G is added, v
            being a function of the place through the last gradient. None leaves it out, as devinterp does.

    Raises:
        ValueError: if ``alpha`` is not from 0 to 1, or ``share`` is neither; by ``init``, if one chain is to share with
            others.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is from 0 to 1, not {alpha!r}")
    if share not in ("own", "others"):
        raise ValueError(f"share is 'own' or 'others', not {share!r}")

    def init(w: Tensor, evaluate: Evaluate) -> Running:
        if share == "others" and len(w) < 2:
            raise ValueError("share='others' takes v of the other chains: run at least 2, not 1")
        start = torch.as_tensor(square, dtype=w.dtype, device=w.device)
        return Running(w, *evaluate(w), square=start.expand_as(w).clone())

    def step(state: Running, evaluate: Evaluate, normals: Normals) -> Running:
        w, _, grad, before = state
        new = grad.square()
        if share == "others":
            new = (new.sum(0, keepdim=True) - new) / (len(new) - 1)
        v = torch.lerp(new, before, alpha)
        root = v.sqrt()
        scale = 1 / (root + floor)
        drift = scale * (nbeta * grad + gamma * (w - center))
        if correction is not None:
            by_place = (1 - alpha) * grad * correction(w) / root.clamp_min(torch.finfo(w.dtype).tiny)
            drift = drift + scale.square() * by_place
        noise = (lr * scale).sqrt() * normals(torch.empty_like(w))
        moved = w - lr / 2 * drift + noise
        return Running(moved, *evaluate(moved), square=v)

    return RMSProp(init, step)


def exact_bias(curvature: Float[Tensor, " d"], nbeta: float, floor: float) -> Float[Tensor, " d"]:
    """``E[a x^2]`` along each axis of a quadratic, 1 where it is right: that of short steps, without prior."""
    gradient = curvature / (nbeta * curvature).sqrt() * (2 / torch.pi) ** 0.5
    return (2 * gradient + floor) / (gradient + floor)
