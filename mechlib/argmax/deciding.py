"""One token decided: programs against few rivals, and a rival more for every vector that turns out to fail."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int

from mechlib.argmax.certificates import Certificate, Enclosed, Spoken, check, leads
from mechlib.argmax.programs import best_vector, exact_weights, shortest_vector
from mechlib.argmax.readout import Readout

__all__ = ["decide"]

START = 50
"""Rivals of the first program, besides those that are given."""

MORE = 50
"""Rivals that are added after a vector that fails: those that it puts highest."""

EXACT = 64
"""Rows of more entries have their weights in double precision: elimination in rationals would take minutes."""


def decide(readout: Readout, token: int, rivals: Iterable[int] = (), *, exact: bool | None = None) -> Certificate:
    """A certificate that a token can, or cannot, have the largest logit alone.

    A program against some rivals either shows that they enclose the token, which then holds against all, or gives a
    vector. If the vector puts another token first, that one joins the rivals (for no bias the algorithm of Clarkson
    1994). With a finite radius and a bias the shortest vector is asked for, and compared with the radius.

    Args:
        token: its number.
        rivals: tokens likely to be in the way, such as those that are known to be speakable.
        exact: whether weights are to be fractions; by default where rows have at most 64 entries. Weights in
            double precision are a proof for a finite radius only; ``check`` says how much they leave open.

    Raises:
        IndexError: if there is no such token.
        ArithmeticError: if rounding leaves a token open: its largest lead is too near to 0 to be told from 0.
    """
    token = readout.require(token)
    exact = readout.d <= EXACT if exact is None else exact
    twins = np.flatnonzero((readout.rows == readout.rows[token]).all(1) & (readout.bias >= readout.bias[token]))
    if len(twins) > 1:
        return Enclosed(token, {int(twins[twins != token][0]): Fraction(1)})
    met = _first(readout, token, rivals)
    ball = readout.biased and np.isfinite(readout.radius)
    while True:
        among = np.array(sorted(met))
        vector, weights = (_within if ball else _anywhere)(readout, token, among)
        if vector is None:
            return _enclosed(readout, token, among, weights, exact=exact)
        lead, first = leads(readout, np.array([token]), vector[None])
        if lead[0] > 0:
            return Spoken(token, vector)
        if int(first[0]) in met:
            raise ArithmeticError(
                f"token {token} is open: at the vector of its largest lead over {len(met)} rivals double precision "
                f"cannot tell it from token {int(first[0])}, ahead by {-lead[0]:.3g}"
            )
        logits = readout.rows @ vector + readout.bias
        met |= set(np.argsort(-logits)[:MORE].tolist()) - {token}


def _first(readout: Readout, token: int, rivals: Iterable[int]) -> set[int]:
    """The rivals of the first program: those given, and the rows that reach farthest along the token's own."""
    centred = readout.rows[token] - readout.rows.mean(0)
    along = readout.rows @ centred + readout.bias * np.linalg.norm(centred)
    near = np.argsort(-along)[: START + 1]
    return {readout.require(rival) for rival in (*rivals, *near.tolist())} - {token}


def _anywhere(
    readout: Readout, token: int, among: Int[np.ndarray, " rival"]
) -> tuple[Float[np.ndarray, " d"] | None, Float[np.ndarray, " rival"]]:
    lead, vector, weights = best_vector(readout, token, among)
    if not readout.biased:
        vector = readout.inside(vector)
    return (vector if lead > 0 else None), weights


def _within(
    readout: Readout, token: int, among: Int[np.ndarray, " rival"]
) -> tuple[Float[np.ndarray, " d"] | None, Float[np.ndarray, " rival"]]:
    """The vector shorter than the radius, from a lead so small that rounding can still tell it from none."""
    size = np.linalg.norm(readout.rows[token]) * readout.radius + np.abs(readout.bias).max()
    vector, weights = shortest_vector(readout, token, among, 1e-9 * size)
    long = vector is None or np.linalg.norm(vector) * (1 + 1e-9) >= readout.radius
    return (None if long else vector), weights


def _enclosed(
    readout: Readout,
    token: int,
    among: Int[np.ndarray, " rival"],
    weights: Float[np.ndarray, " rival"],
    *,
    exact: bool,
) -> Enclosed:
    if exact and (fractions := exact_weights(readout, token, among, weights)):
        return Enclosed(token, fractions)
    kept = weights > 1e-12 * weights.max()
    total = weights[kept].sum()
    rounded = Enclosed(token, {int(v): float(w / total) for v, w in zip(among[kept], weights[kept], strict=True)})
    if exact and not check(readout, rounded) >= 0:
        raise ArithmeticError(f"token {token} is open: its weights, in double precision, have no exact ones near them")
    return rounded
