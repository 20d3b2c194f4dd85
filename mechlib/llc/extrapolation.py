"""From estimates at several inverse temperatures to the learning coefficient and its multiplicity.

The evidence of a loss is a sum over the poles of its zeta function (Watanabe 2009, ch. 6),

    ``Z(n) = sum_k n^(-λ_k) P_k(log n)``, P_k a polynomial of degree m_k - 1, λ_1 = λ the smallest,

and an estimate at nbeta = n converges to ``E(n) = -d log Z / d log n``. Two cases decide how it approaches λ:

- m > 1: the two leading terms of P_1 are those of ``(log n + c)^(m-1)``, whence ``E = λ - (m - 1) / (log n + c)``;
- m = 1: a next pole at λ + p of order 1 or 2 adds ``b n^-p`` or, up to lower terms, ``b n^-p log n``. The pull of a
  Gaussian prior on regular directions has p = 1; the poles next to those of linear networks and small crossings are 1/2
  or 1/4 away.

Each law has two unknowns, and holds from some rung on. All laws are fitted from every rung on, and averaged with the
weights ``exp(-chi^2 / 2 - rungs left out)`` of Jay & Neil (2021), the multiplicities having equal priors. λ is
sharp long before m is: laws of different m differ by less over the rungs than beyond them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.optimize import least_squares

__all__ = ["Extrapolation", "Fit", "extrapolate"]

MULTIPLICITIES = (2, 3)
"""The m of the laws with a logarithm; higher ones cannot be told from these over the range of a ladder."""
POWERS = ((1.0, 0), (0.5, 0), (0.5, 1), (0.25, 0))
"""The p of the laws with multiplicity 1, and the power of log n beside it."""
LEAST_RUNGS = 4
"""The fewest rungs that a law is fitted to."""
LEAST_LOG = 0.5
"""The smallest ``log n + c`` at the first rung."""

Law = Callable[[Float[ndarray, " unknown"], Float[ndarray, " rung"]], Float[ndarray, " rung"]]
"""From the two unknowns, λ first, and log n to E."""


@dataclass(frozen=True)
class Fit:
    """One law, fitted to all rungs from one on."""

    multiplicity: int
    law: str
    first: int
    """The index of the first rung that is fitted."""
    llc: float
    std_error: float
    """Of ``llc``, given the law."""
    chi2: float
    """The squared distance from the estimates, in units of their covariance; rungs fitted less 2 are expected."""
    weight: float
    """Its share; all shares sum to 1."""
    curve: Float[ndarray, " rung"]
    """The law at the rungs that are fitted."""


@dataclass(frozen=True)
class Extrapolation:
    """The learning coefficient that the laws agree on."""

    llc: float
    """The mean of the laws' coefficients by weight."""
    std_error: float
    """From the error within each law and the spread between them."""
    multiplicity: int
    """That of the largest weight."""
    multiplicity_weights: dict[int, float]
    """The weight of each multiplicity; they sum to 1."""
    fits: tuple[Fit, ...]
    """All fits, the heaviest first."""


def extrapolate(
    nbetas: Float[ndarray, " rung"],
    estimates: Float[ndarray, " rung"],
    covariance: Float[ndarray, "rung rung"],
    *,
    n_params: int,
) -> Extrapolation:
    """λ and m from estimates ``E[nbeta (L - L*)]`` over inverse temperatures.

    Args:
        covariance: of the estimates' errors.
        n_params: the number of free weights, which no multiplicity exceeds.

    Raises:
        ValueError: if there are fewer than four rungs, or nbetas are not above 1 and ascending.
    """
    nbetas = np.asarray(nbetas, dtype=float)
    if len(nbetas) < LEAST_RUNGS or not nbetas[0] > 1 or not (np.diff(nbetas) > 0).all():
        raise ValueError(f"at least four ascending nbetas above 1 are needed, got {nbetas.tolist()}")
    log_n = np.log(nbetas)
    fits, log_weights = [], []
    for first in range(len(nbetas) - LEAST_RUNGS + 1):
        whiten = np.linalg.inv(np.linalg.cholesky(covariance[first:, first:]))
        for multiplicity, name, law, starts, least, prior in _laws(log_n[first], estimates[-1], n_params):
            fit = partial(_fit, law, log_n=log_n[first:], estimates=estimates[first:], whiten=whiten, least=least)
            llc, error, chi2, curve = min((fit(start) for start in starts), key=lambda found: found[2])
            fits.append(Fit(multiplicity, name, first, llc, error, chi2, 0.0, curve))
            log_weights.append(np.log(prior) - chi2 / 2 - first)
    weights = np.exp(np.array(log_weights) - max(log_weights))
    return _average(fits, weights / weights.sum())


def _average(fits: list[Fit], weights: Float[ndarray, " fit"]) -> Extrapolation:
    fits = [Fit(**{**vars(fit), "weight": float(weight)}) for fit, weight in zip(fits, weights, strict=True)]
    shares: dict[int, float] = defaultdict(float)
    for fit in fits:
        shares[fit.multiplicity] += fit.weight
    llc = sum(fit.weight * fit.llc for fit in fits)
    variance = sum(fit.weight * (fit.std_error**2 + (fit.llc - llc) ** 2) for fit in fits)
    ordered = tuple(sorted(fits, key=lambda fit: -fit.weight))
    best = max(shares, key=lambda m: shares[m])
    return Extrapolation(llc, variance**0.5, best, dict(sorted(shares.items())), ordered)


def _laws(
    first: float, last: float, n_params: int
) -> Iterator[tuple[int, str, Law, list[tuple[float, float]], float, float]]:
    """Multiplicity, name, law, starting points, least second unknown and prior of each, from ``log n = first`` on."""
    for power, log_power in POWERS:
        law = partial(_power_law, power=power, log_power=log_power)
        name = f"λ + b n^-{power:g}" + " log n" * log_power
        yield 1, name, law, [(last, 0.0)], -np.inf, 1 / len(POWERS)
    for multiplicity in (m for m in MULTIPLICITIES if m <= n_params):
        law = partial(_log_law, first=first, multiplicity=multiplicity)
        starts = [(last, offset) for offset in (1.0, first, 20.0)]
        yield multiplicity, f"λ - {multiplicity - 1}/(log n + c)", law, starts, LEAST_LOG, 1.0


def _power_law(theta: ndarray, log_n: ndarray, *, power: float, log_power: int) -> ndarray:
    return theta[0] + theta[1] * np.exp(-power * log_n) * log_n**log_power


def _log_law(theta: ndarray, log_n: ndarray, *, first: float, multiplicity: int) -> ndarray:
    return theta[0] - (multiplicity - 1) / (log_n - first + theta[1])


def _fit(
    law: Law, start: tuple[float, float], *, log_n: ndarray, estimates: ndarray, whiten: ndarray, least: float
) -> tuple[float, float, float, ndarray]:
    """λ, its standard error, chi-squared and the curve, by least squares from one starting point."""
    found = least_squares(
        lambda theta: whiten @ (law(theta, log_n) - estimates), start, bounds=([-np.inf, least], [np.inf, np.inf])
    )
    covariance = np.linalg.pinv(found.jac.T @ found.jac)
    return float(found.x[0]), float(covariance[0, 0] ** 0.5), float(2 * found.cost), law(found.x, log_n)
