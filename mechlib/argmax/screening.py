"""Vectors that put most tokens first at the cost of a matrix product, before any program is solved."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float, Int

from mechlib.argmax.certificates import Spoken, leads
from mechlib.argmax.readout import Readout

__all__ = ["CORRECTED", "Screened", "directions", "screen"]

STEPS = 20
"""Corrections that are tried on tokens that no direction has settled."""

MARGIN = 0.1
"""What a correction aims at beyond a tie, as a share of the whitened distance of the two rows."""


class Screened:
    """What cheap vectors settle, of some tokens."""

    def __init__(self, readout: Readout, tokens: Int[np.ndarray, " some"]) -> None:
        self.tokens = tokens
        self.by: Int[np.ndarray, " some"] = np.full(len(tokens), -1)
        """The number of the direction that put the token first, or ``CORRECTED``; -1 for none."""
        self.lead: Float[np.ndarray, " some"] = np.full(len(tokens), -math.inf)
        """A lower bound of its lead at the vector, whatever the rounding."""
        self.vectors: Float[np.ndarray, "some d"] = np.zeros((len(tokens), readout.d))
        """The vectors with the largest leads that were met."""
        self._readout = readout

    @property
    def settled(self) -> Bool[np.ndarray, " some"]:
        """Whether the token is known to be speakable."""
        return self.by >= 0

    @property
    def certificates(self) -> dict[int, Spoken]:
        """By token, those of the settled ones."""
        return {int(self.tokens[i]): Spoken(int(self.tokens[i]), self.vectors[i]) for i in np.flatnonzero(self.settled)}

    def try_on(
        self, number: int, which: Int[np.ndarray, " open"], along: Float[np.ndarray, "open d"]
    ) -> Int[np.ndarray, " open"]:
        """Try vectors, in some lengths, on the tokens of these places; the best rival of each."""
        best, rival = np.full(len(which), -math.inf), np.zeros(len(which), dtype=int)
        for vectors in _in_lengths(self._readout, along):
            lead, first = leads(self._readout, self.tokens[which], vectors)
            better = lead > best
            best[better], rival[better] = lead[better], first[better]
            record = lead > self.lead[which]
            self.lead[which[record]], self.vectors[which[record]] = lead[record], vectors[record]
        self.by[which[best > 0]] = number
        return rival


CORRECTED = 2
"""The number of the corrections, after those of the directions."""


def directions(readout: Readout) -> dict[str, Float[np.ndarray, "d d"]]:
    """By name, maps from a row less the mean row to a vector that may well put its token first.

    The row itself, which does wherever no other row reaches as far along it; and the row over the covariance of all
    rows, which keeps out of the directions that many rows share, and settles far more.
    """
    centred = readout.rows - readout.rows.mean(0)
    covariance = centred.T @ centred / readout.n
    floor = max(1e-12 * np.trace(covariance) / readout.d, 1e-300)
    whitened = np.linalg.inv(covariance + floor * np.eye(readout.d))
    return {"own row": np.eye(readout.d), "own row, whitened": whitened}


def screen(readout: Readout, tokens: Int[np.ndarray, " some"] | None = None, *, steps: int = STEPS) -> Screened:
    """Try each of ``directions`` on every token, then some corrections of the last one.

    A correction is a step of the perceptron in whitened coordinates: away from the rival whose logit is the highest.
    With a bias every direction is tried in several lengths within the radius.

    Args:
        tokens: only these; all by default.
        steps: corrections; 0 for none.
    """
    tokens = np.arange(readout.n) if tokens is None else np.asarray(tokens)
    centred = readout.rows[tokens] - readout.rows.mean(0)
    found = Screened(readout, tokens)
    maps = list(directions(readout).values())
    which, rival = np.arange(len(tokens)), np.arange(0)
    for number, one in enumerate(maps):
        rival = found.try_on(number, which, centred[which] @ one)
        rival, which = rival[~found.settled[which]], which[~found.settled[which]]
    h = centred[which] @ maps[-1]
    for _ in range(steps):
        away = readout.rows[tokens[which]] - readout.rows[rival]
        distance = np.einsum("td,de,te->t", away, maps[-1], away)
        short = MARGIN * distance - np.einsum("td,td->t", away, h)
        h = h + np.divide(short, distance, out=np.zeros_like(short), where=distance > 0)[:, None] * (away @ maps[-1])
        rival = found.try_on(CORRECTED, which, h)
        still = ~found.settled[which]
        which, h, rival = which[still], h[still], rival[still]
    return found


def _in_lengths(readout: Readout, along: Float[np.ndarray, "open d"]) -> list[Float[np.ndarray, "open d"]]:
    """The vectors in one length, or with a bias in three: up to the radius, or to where the bias counts little."""
    if not readout.biased:
        return [readout.inside(along)]
    spread = np.linalg.norm(readout.rows - readout.rows.mean(0), axis=1).mean()
    longest = 0.999 * readout.radius if math.isfinite(readout.radius) else 100 * np.ptp(readout.bias) / spread
    unit = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-300)
    return [share * longest * unit for share in (1.0, 0.3, 0.1)]
