"""The volume of near-optimal weights, and how it shrinks with the threshold.

Volume is a share here: of all perturbations ``scale * z`` of a minimum w*, z standard normal, those that raise the loss
by less than a threshold ε. It obeys ``V(ε) ~ c ε^λ (-log ε)^(m-1)`` as ε falls, λ the learning coefficient at w* and m
its multiplicity (Watanabe 2009, ch. 7; for any prior density that is smooth and positive around w*). The integral of
``exp(-n ε) dV(ε)`` is the evidence of n samples (``mechlib.llc.evidence``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import chi2
from torch import Tensor

__all__ = ["VolumeCurve", "linear_network_volume", "nested_volume"]

Rise = Callable[[Float[Tensor, "run particle d"]], Float[Tensor, "run particle"]]
"""From deviations ``w - w*`` to ``L(w) - L(w*)``."""

ACCEPTED = 0.5
"""Share of the proposals of all weights that the step length is steered towards."""

FARTHEST, ORDER = 80.0, 16
"""How far below the smallest scale the integral over log y begins, and its points per panel."""


@dataclass(frozen=True)
class VolumeCurve:
    """Shares of the perturbations below falling thresholds, as independent runs measure them."""

    log_threshold: Float[Tensor, " level"]
    """Falling."""
    log_volume: Float[Tensor, "run level"]
    """Natural logarithms of the shares; the levels of a run share their errors, the runs nothing."""

    def exponents(self, multiplicity: int = 1, *, below: float = math.inf) -> Float[Tensor, " run"]:
        """λ in every run: the slope of ``log V - (m - 1) log(-log ε)`` over log ε, by least squares.

        With m > 1 the correction is the leading one: the error left falls like ``1/log(ε)^2``.

        Args:
            multiplicity: m, which must be known: over any few decades it looks like a smaller λ.
            below: only levels with a smaller threshold than this are used.

        Raises:
            ValueError: if fewer than two levels are used, m is not positive, or m > 1 and a threshold used is 1 or
                more.
        """
        used = self.log_threshold < math.log(below)
        x, y = self.log_threshold[used], self.log_volume[:, used]
        if len(x) < 2 or multiplicity < 1:
            raise ValueError(
                f"a slope needs two thresholds below {below:g} and a multiplicity of 1 or more, "
                f"got {len(x)} thresholds and multiplicity {multiplicity}"
            )
        if multiplicity > 1:
            if x.max() >= 0:
                raise ValueError(f"multiplicity {multiplicity} needs thresholds below 1, got {float(x.max().exp()):g}")
            y = y - (multiplicity - 1) * (-x).log()
        x = x - x.mean()
        return y @ x / x.square().sum()


def nested_volume(
    rise: Rise,
    d: int,
    thresholds: Sequence[float] | Float[Tensor, " level"],
    *,
    scale: float = 1.0,
    runs: int = 8,
    particles: int = 500,
    moves: int = 15,
    seed: int = 0,
) -> VolumeCurve:
    """Measure the volume below falling thresholds, each as a share of the volume below the one before.

    Particles start as free perturbations. At every level those below the threshold are counted and resampled, and walk
    on below it: proposals ``sqrt(1 - s^2) z + s z'`` leave the normal distribution unchanged, and are accepted if they
    stay below (multilevel splitting, Cérou et al. 2012). The product of the shares reaches volumes far below
    1/particles. The steps s adapt to the acceptance, so the walk is exact only in the limit of many moves.

    Args:
        rise: see ``Rise``; vectorised over its first two axes, in float64.
        d: number of weights.
        thresholds: positive and falling. Steps that keep a tenth of the particles or more are sound.
        scale: standard deviation of the perturbations.
        runs: independent repetitions; their spread is the error.
        moves: proposals per particle and level.

    Raises:
        ValueError: if the thresholds are not positive and falling, a count or the scale is not positive, or ``rise``
            gives another shape than one number per particle, or NaN.
        RuntimeError: if no particle of a run lies below a threshold.
    """
    thresholds = torch.as_tensor(thresholds, dtype=torch.float64)
    _check(thresholds, d=d, scale=scale, runs=runs, particles=particles, moves=moves)
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(runs, particles, d, generator=generator, dtype=torch.float64)
    risen = _risen(rise, scale * z)
    step = torch.full((runs, 1), 0.5, dtype=torch.float64)
    log_volume = torch.zeros(runs, len(thresholds), dtype=torch.float64)
    for level, threshold in enumerate(thresholds.tolist()):
        below = (risen < threshold).double()
        if (below.sum(1) == 0).any():
            raise RuntimeError(f"none of {particles} particles lies below {threshold:g}: put thresholds in between")
        log_volume[:, level:] += below.mean(1, keepdim=True).log()
        kept = torch.multinomial(below, particles, replacement=True, generator=generator)
        z, risen = z.gather(1, kept[..., None].expand_as(z)), risen.gather(1, kept)
        for _ in range(moves):
            z, risen, step = _walk(rise, z, risen, step, threshold, scale, generator)
    return VolumeCurve(thresholds.log(), log_volume)


def _check(thresholds: Tensor, *, scale: float, **counts: int) -> None:
    falling = thresholds.ndim == 1 and len(thresholds) > 0 and (thresholds > 0).all() and (thresholds.diff() < 0).all()
    if not falling:
        raise ValueError(f"thresholds must be positive and falling, got {thresholds.tolist()}")
    if scale <= 0 or min(counts.values()) < 1:
        raise ValueError(f"all of these must be positive: {dict(scale=scale, **counts)}")


def _risen(rise: Rise, deviation: Tensor) -> Tensor:
    risen = rise(deviation)
    if risen.shape != deviation.shape[:2]:
        raise ValueError(
            f"rise must give shape {list(deviation.shape[:2])} for deviations "
            f"{list(deviation.shape)}, got {list(risen.shape)}"
        )
    if risen.isnan().any():
        raise ValueError(f"rise is NaN at the deviation {deviation[risen.isnan()][0].tolist()}")
    return risen


def _walk(
    rise: Rise, z: Tensor, risen: Tensor, step: Tensor, threshold: float, scale: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """One proposal for every particle, and ``step`` ``[run, 1]`` adapted.

    Step lengths are spread around ``step``. Half of the particles move whole, and steer the step; of the others any
    number of weights move: near a degenerate minimum some weights are free while others are pinned.
    """

    def normal(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=torch.float64)

    def uniform(like: Tensor) -> Tensor:
        return torch.rand(like.shape, generator=generator, dtype=torch.float64)

    whole = uniform(risen) < 0.5
    moved = whole[..., None] | (uniform(z) < uniform(risen)[..., None])
    s = (step * normal(risen).exp()).clamp(max=1.0)[..., None] * moved
    proposal = (1 - s.square()).sqrt() * z + s * normal(z)
    proposed = _risen(rise, scale * proposal)
    accepted = proposed < threshold
    rate = (accepted & whole).sum(1, keepdim=True) / whole.sum(1, keepdim=True).clamp(min=1)
    z, risen = torch.where(accepted[..., None], proposal, z), torch.where(accepted, proposed, risen)
    return z, risen, (step * (rate - ACCEPTED).exp()).clamp(max=1.0)


def linear_network_volume(
    n_hidden: int, n_out: int, thresholds: Sequence[float], *, scale: float = 1.0
) -> Float[Tensor, " level"]:
    """The exact volume at 0 of a linear network with one input, ``L = |B a|^2 / 2``, a target of 0.

    ``|a|^2`` and ``|B a|^2 / |a|^2`` are independent: chi-squared with ``n_hidden`` and ``n_out`` degrees of freedom,
    times ``scale^2``. So the volume is one integral. As ε falls it obeys the law of
    ``mechlib.llc.exact.reduced_rank(1, n_hidden, n_out, 0)``. Widths of 1 give the normal crossing ``a^2 b^2 / 2``.

    Raises:
        ValueError: if a width, the scale or a threshold is not positive.
    """
    if min(n_hidden, n_out, scale, *thresholds) <= 0:
        raise ValueError(
            f"widths, scale and thresholds must be positive, got {n_hidden}, {n_out}, {scale}, {thresholds}"
        )

    log_product = torch.as_tensor(thresholds, dtype=torch.float64).mul(2 / scale**4).log()
    log_y, width = _panels(min(0.0, float(log_product.min())) - FARTHEST, math.log(n_out + 40 * math.sqrt(n_out) + 200))
    y = log_y.exp()
    density = torch.from_numpy(chi2.pdf(y, n_out)) * y * width
    return torch.from_numpy(chi2.cdf((log_product[:, None] - log_y).exp(), n_hidden)) @ density


def _panels(low: float, high: float) -> tuple[Float[Tensor, " node"], Float[Tensor, " node"]]:
    """Points and weights of Gauss-Legendre rules on panels of about unit length."""
    nodes, weights = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(ORDER))
    edges = torch.linspace(low, high, 1 + math.ceil(high - low), dtype=torch.float64)
    middle, half = (edges[1:] + edges[:-1]) / 2, edges.diff() / 2
    return (middle[:, None] + half[:, None] * nodes).flatten(), (half[:, None] * weights).flatten()
