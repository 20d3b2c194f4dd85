"""Certificates that a token can, or cannot, have the largest logit, and the check that makes belief unnecessary.

That one of the two exists is the lemma of Farkas (see Schrijver 1986, section 7.3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int

from mechlib.argmax.readout import Readout

__all__ = ["Certificate", "Enclosed", "Spoken", "check", "leads"]

UNIT = 2.0**-53
"""The unit roundoff of double precision."""

SINGLE = 2.0**-24
"""That of single precision."""

TINY = 1e-30
"""More than what products can lose by underflow."""

LARGE = 8192
"""Of more tokens than this, most leads are seen in single precision, and only what is not is computed in double."""

BLOCK = 2**24
"""Logits that are held at a time."""


@dataclass(frozen=True, eq=False)
class Spoken:
    """A vector that gives the token the largest logit."""

    token: int
    vector: Float[np.ndarray, " d"]
    """In double precision."""


@dataclass(frozen=True, eq=False)
class Enclosed:
    """Other tokens whose weighted mean is the token's row, with a weighted bias at least as high."""

    token: int
    weights: Mapping[int, Fraction | float]
    """Of other tokens, above 0 and of sum 1. Fractions where the mean is exact."""

    @property
    def exact(self) -> bool:
        """Whether the weights are fractions."""
        return all(isinstance(weight, Fraction) for weight in self.weights.values())


Certificate = Spoken | Enclosed


def check(readout: Readout, certificate: Certificate) -> float:
    """By how much the certificate proves what it says; it proves it if that is above 0, or 0 for an ``Enclosed``.

    For a ``Spoken`` token: a lower bound of its lead over every other logit, in logits. Scalar products are in double
    precision, and the bound allows for the worst rounding that they can have in any order of summation: each is wrong
    by at most ``n u / (1 - n u)`` times the sum of the sizes of its n terms (Higham 2002, section 3.1).

    For an ``Enclosed`` one: minus an upper bound of the lead that any vector within the radius can give it. With
    fractions nothing is rounded, and the result is 0 or more, however long the vector. With floats the weighted mean
    misses the row by some r, and a vector h can give a lead of at most ``|r| |h|`` less what the others' bias is higher
    by: without a radius that is minus infinity, so that nothing is proved.

    Raises:
        ValueError: if the vector has another length than the rows or is longer than the radius; if weights are not
            positive, do not sum to 1 (floats: to 1e-9), or name the token itself.
        IndexError: if a token is none of the read-out's.
    """
    if isinstance(certificate, Spoken):
        return _lead(readout, certificate.token, certificate.vector)
    return -_reach(readout, certificate)


def _lead(readout: Readout, token: int, vector: Float[np.ndarray, " d"]) -> float:
    """A lower bound of the lead of a token at a vector, whatever the rounding."""
    token, h = readout.require(token), np.asarray(vector, dtype=np.float64)
    if h.shape != (readout.d,):
        raise ValueError(f"the vector has {readout.d} entries as the rows have; its shape is {h.shape}")
    if not np.linalg.norm(h) * (1 + 1e-12) < readout.radius:
        raise ValueError(f"the vector is shorter than {readout.radius:g}; its length is {np.linalg.norm(h):g}")
    return float(leads(readout, np.array([token]), h[None])[0][0])


def leads(
    readout: Readout, tokens: Int[np.ndarray, " some"], vectors: Float[np.ndarray, "some d"]
) -> tuple[Float[np.ndarray, " some"], Int[np.ndarray, " some"]]:
    """For each token at its own vector a lower bound of its lead over all others, and the best of the others.

    The bound takes the sum of the sizes of a scalar product's terms for the product of the two lengths, which is more.
    """
    if readout.n <= LARGE:
        return _leads(readout, tokens, vectors, np.float64)
    lead, first = _leads(readout, tokens, vectors, np.float32)
    again = np.flatnonzero(lead <= 0)
    lead[again], first[again] = _leads(readout, tokens[again], vectors[again], np.float64)
    return lead, first


def _leads(
    readout: Readout, tokens: Int[np.ndarray, " some"], vectors: Float[np.ndarray, "some d"], dtype: type
) -> tuple[Float[np.ndarray, " some"], Int[np.ndarray, " some"]]:
    lead, first = np.empty(len(tokens)), np.empty(len(tokens), dtype=int)
    rows: np.ndarray = readout.rows.astype(dtype)
    bias: np.ndarray = readout.bias.astype(dtype)
    length = np.linalg.norm(readout.rows, axis=1).astype(dtype)
    # twelve more for the bias, what rows and vectors lose to the precision, the lengths' own rounding and what follows
    unit = UNIT if dtype is np.float64 else SINGLE
    rounding = dtype(gamma(readout.d + 12, unit))
    block = max(BLOCK // readout.n, 1)
    for start in range(0, len(tokens), block):
        here = slice(start, start + block)
        h: np.ndarray = vectors[here].astype(dtype)
        own = np.arange(len(h)), tokens[here]
        logits = h @ rows.T + bias
        error = rounding * (np.linalg.norm(h, axis=1)[:, None] * length + np.abs(bias)) + dtype(TINY)
        mine = logits[own] - error[own]
        logits += error
        logits[own] = -math.inf
        first[here] = logits.argmax(1)
        lead[here] = (mine - logits.max(1)).astype(float)
    return lead - 4 * unit * np.abs(lead), first


def _reach(readout: Readout, certificate: Enclosed) -> float:
    """An upper bound of the lead that any vector within the radius gives an enclosed token."""
    token = readout.require(certificate.token)
    others = [readout.require(other) for other in certificate.weights]
    weights = list(certificate.weights.values())
    total: Fraction | float = sum(weights, start=Fraction(0))
    off = total != 1 if certificate.exact else abs(float(total) - 1) > 1e-9
    if token in others or not weights or any(w <= 0 for w in weights) or off:
        raise ValueError(
            f"weights are above 0, of others than token {token}, and of sum 1; got {len(others)} of sum "
            f"{float(total):.17g}, the smallest {min(map(float, weights), default=0):g}"
        )
    if certificate.exact:
        mean = [sum(w * Fraction(x) for w, x in zip(weights, column, strict=True)) for column in readout.rows[others].T]
        missed = [m - Fraction(x) for m, x in zip(mean, readout.rows[token], strict=True)]
        higher = sum(w * Fraction(b) for w, b in zip(weights, readout.bias[others], strict=True))
        less = float(higher - Fraction(readout.bias[token]))
        return -less if not any(missed) else readout.radius * math.hypot(*map(float, missed)) * (1 + 1e-12) - less
    w = np.asarray(weights) / math.fsum(weights)
    residual = w @ readout.rows[others] - readout.rows[token]
    slack = gamma(len(w) + 4) * (w @ np.abs(readout.rows[others]) + np.abs(readout.rows[token]))
    longest = float(np.linalg.norm(np.abs(residual) + slack) * (1 + gamma(readout.d + 4)))
    less = float(w @ readout.bias[others] - readout.bias[token])
    less -= gamma(len(w) + 4) * float(w @ np.abs(readout.bias[others]) + abs(readout.bias[token]))
    return readout.radius * longest - less if longest else -less


def gamma(n: int, unit: float = UNIT) -> float:
    """The relative error that n roundings can make together."""
    return n * unit / (1 - n * unit)
