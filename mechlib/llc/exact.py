"""Learning coefficients that are known in closed form, and the value an estimator must reach at finite temperature.

Convention: the Bayes free energy of n samples is ``n L* + λ log n - (m - 1) log log n + O(1)``, λ the learning
coefficient and m its multiplicity (Watanabe 2009, ch. 6), so that a regular model with d parameters has λ = d/2.
A loss times a positive constant has the same λ and m.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["LearningCoefficient", "deep_linear", "normal_crossing", "quadratic_expectation", "reduced_rank", "regular"]


@dataclass(frozen=True)
class LearningCoefficient:
    """The largest pole -λ of the zeta function of a loss at a minimum, and its order."""

    value: float
    """λ: at most half the number of parameters."""
    multiplicity: int
    """m: the order of the pole, at least 1."""


def regular(d: int) -> LearningCoefficient:
    """A loss with a positive definite Hessian in d parameters: λ = d/2, m = 1.

    Raises:
        ValueError: if d is not positive.
    """
    if d < 1:
        raise ValueError(f"a model has at least one parameter, got d = {d}")
    return LearningCoefficient(d / 2, 1)


def normal_crossing(exponents: Sequence[int]) -> LearningCoefficient:
    """``L(w) = prod_i w_i^(2 k_i)`` at 0 under a prior positive there (Watanabe 2009, ch. 2).

    λ is the smallest ``1/(2 k_i)``, m the number of coordinates that attain it. A coordinate with exponent 0 does
    not occur in the loss.

    Raises:
        ValueError: if an exponent is negative, or none is positive.
    """
    highest = max(exponents, default=0)
    if highest < 1 or min(exponents) < 0:
        raise ValueError(f"exponents must not be negative and one must be positive, got {list(exponents)}")
    return LearningCoefficient(1 / (2 * highest), list(exponents).count(highest))


def reduced_rank(n_in: int, n_hidden: int, n_out: int, rank: int) -> LearningCoefficient:
    """Two linear layers ``x -> B A x`` whose true map has the given rank (Aoyagi & Watanabe 2005, main theorem).

    Symmetric in ``n_in`` and ``n_out``; equal to :func:`deep_linear` of the three widths.

    Raises:
        ValueError: if a width is not positive, or the rank is negative or above the smallest width.
    """
    _check_linear((n_in, n_hidden, n_out), rank)
    bottleneck = n_hidden + rank
    if n_in + n_hidden < n_out + rank:
        return LearningCoefficient((n_hidden * (n_in - rank) + n_out * rank) / 2, 1)
    if n_out + n_hidden < n_in + rank:
        return LearningCoefficient((n_hidden * (n_out - rank) + n_in * rank) / 2, 1)
    if n_in + n_out < bottleneck:
        return LearningCoefficient(n_in * n_out / 2, 1)
    eight = 4 * n_in * n_out - (n_in + n_out - bottleneck) ** 2
    odd = (n_in + n_out + bottleneck) % 2
    return LearningCoefficient((eight + odd) / 8, 1 + odd)


def deep_linear(widths: Sequence[int], rank: int) -> LearningCoefficient:
    """Linear layers ``x -> W_L ... W_1 x`` of the given widths whose true map has the given rank (Aoyagi 2024).

    With the excess widths ``M_s = width_s - rank`` in ascending order, λ depends on the l + 1 smallest only, where l is
    fixed by ``l M_(l) <= sum of these l + 1 < l M_(l+1)``, counting from 0. With S that sum and
    ``a = S - (ceil(S/l) - 1) l``,

        ``λ = rank (width_0 + width_L - rank)/2 + a (l - a)/(4 l) - (l - 1) S^2/(4 l) + sum_(i<j) M_i M_j / 2``
        ``m = a (l - a) + 1``

    Symmetric in all the widths when the rank is 0, and in the hidden ones always.

    Args:
        widths: the sizes of input, hidden layers and output: one more than there are layers.

    Raises:
        ValueError: if there are fewer than two widths, a width is not positive, or the rank is negative or above the
            smallest width.
    """
    _check_linear(widths, rank)
    excess = sorted(width - rank for width in widths)
    layers = _effective_layers(excess)
    small = excess[: layers + 1]
    total = sum(small)
    a = total - (-(-total // layers) - 1) * layers
    pairs = (total**2 - sum(width**2 for width in small)) // 2
    value = (
        Fraction(rank * (widths[0] + widths[-1] - rank), 2)
        + Fraction(a * (layers - a), 4 * layers)
        - Fraction((layers - 1) * total**2, 4 * layers)
        + Fraction(pairs, 2)
    )
    return LearningCoefficient(float(value), a * (layers - a) + 1)


def _effective_layers(excess: list[int]) -> int:
    """The l of :func:`deep_linear`: the first prefix whose sum stays below l times the next excess width."""
    for layers in range(1, len(excess) - 1):
        if sum(excess[: layers + 1]) < layers * excess[layers + 1]:
            return layers
    return len(excess) - 1


def _check_linear(widths: Sequence[int], rank: int) -> None:
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError(f"at least two positive widths are needed, got {list(widths)}")
    if not 0 <= rank <= min(widths):
        raise ValueError(f"a map through the widths {list(widths)} has rank 0 to {min(widths)}, got {rank}")


def quadratic_expectation(eigenvalues: Float[Tensor, " d"] | Sequence[float], nbeta: float, gamma: float) -> float:
    """``E[nbeta (L - L*)]`` of a quadratic loss, whose Hessian has these eigenvalues, under the tempered posterior.

    Under ``exp(-nbeta L - gamma |w - w*|^2 / 2)`` the deviation along an eigenvector is normal with variance
    ``1 / (nbeta h + gamma)``, so the expectation is ``sum_i nbeta h_i / (2 (nbeta h_i + gamma))``: between 0 and d/2
    for a minimum, and d/2 in the limit of large nbeta, or for ``gamma = 0``, if all ``h_i > 0``.

    Raises:
        ValueError: if some ``nbeta h + gamma`` is not positive: the posterior cannot then be normalised.
    """
    scaled = nbeta * torch.as_tensor(eigenvalues, dtype=torch.float64)
    precision = scaled + gamma
    if precision.numel() == 0 or not (precision > 0).all():
        raise ValueError(
            f"nbeta h + gamma must be positive in every direction, got {precision.tolist()} "
            f"for nbeta = {nbeta:g} and gamma = {gamma:g}"
        )
    return float((scaled / (2 * precision)).sum())
