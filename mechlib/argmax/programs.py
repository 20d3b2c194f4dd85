"""The linear program: the largest lead that a vector of a box gives a token over some rivals, and its dual."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linprog, nnls

from mechlib.argmax.readout import Readout

__all__ = ["best_vector", "exact_weights", "shortest_vector"]

LEAST = 1e-9
"""A largest lead below this, of rows scaled to a largest entry of 1, is taken for 0; the certificate has to show it."""


def best_vector(
    readout: Readout, token: int, rivals: Int[np.ndarray, " rival"]
) -> tuple[float, Float[np.ndarray, " d"], Float[np.ndarray, " rival"]]:
    """The largest lead over rivals, a vector that has it, and the weights of the dual, by SciPy's HiGHS.

    The program is ``max m`` so that ``(row - rival) · h + s (bias - rival's bias) >= m`` for every rival, each entry of
    h between -1 and 1, and s between 0 and 1: logits are compared at ``h / s``, so that vectors of any length take
    part. Its optimum is 0 exactly if no vector puts the token alone in front of the rivals, and then the weights are
    those of a convex combination.

    Raises:
        RuntimeError: if the solver gives no optimum.
    """
    away = readout.rows[token] - readout.rows[rivals]
    ahead = readout.bias[token] - readout.bias[rivals]
    scale = max(float(np.abs(away).max()), 1e-300)
    shift = max(float(np.abs(ahead).max()), 1e-300)
    table = np.column_stack([-away / scale, -ahead / shift, np.ones(len(rivals))])
    d = readout.d
    bounds = [(-1, 1)] * d + [(0, 1), (None, None)]
    cost = np.r_[np.zeros(d + 1), -1.0]
    found = linprog(cost, A_ub=table, b_ub=np.zeros(len(rivals)), bounds=bounds, method="highs")
    if found.status != 0:
        raise RuntimeError(f"the program of token {token} against {len(rivals)} rivals: {found.message}")
    lead, s = -found.fun, found.x[d] / shift * scale
    if s <= 0:  # a lead at infinity: so far out that the bias counts for half of it
        s = lead * scale / 2 / shift
    vector = found.x[:d] / s if readout.biased and s > 0 else found.x[:d]
    return (lead if lead > LEAST else 0.0), vector, np.maximum(-found.ineqlin.marginals, 0)


def shortest_vector(
    readout: Readout, token: int, rivals: Int[np.ndarray, " rival"], lead: float
) -> tuple[Float[np.ndarray, " d"] | None, Float[np.ndarray, " rival"]]:
    """The shortest vector with at least this lead over the rivals, ``None`` if there is none; and weights of rivals.

    Least distance programming by non-negative least squares (Lawson and Hanson 1974, chapter 23). If the shortest
    vector is longer than the radius, the weights are those of a certificate for the radius.
    """
    away = readout.rows[token] - readout.rows[rivals]
    wanted = lead - (readout.bias[token] - readout.bias[rivals])
    table, target = np.vstack([away.T, wanted]), np.r_[np.zeros(readout.d), 1.0]
    weights, _ = nnls(table, target, maxiter=30 * len(target) + 3 * len(rivals))
    residual = table @ weights - target
    vector = None if np.linalg.norm(residual) < LEAST else -residual[:-1] / residual[-1]
    return vector, weights


def exact_weights(
    readout: Readout, token: int, others: Int[np.ndarray, " other"], weights: Float[np.ndarray, " other"]
) -> dict[int, Fraction] | None:
    """The weights of a convex combination without rounding, near those that are given; ``None`` if there are none.

    Rows are binary fractions, so the combination's equations are solved by elimination in rationals on the others that
    carry weight.
    """
    kept = others[weights > 1e-12 * weights.max()]
    target = [*readout.rows[token], 1.0]
    table = [[*column, x] for column, x in zip([*readout.rows[kept].T, np.ones(len(kept))], target, strict=True)]
    if len(kept) > len(table):  # the biases balance as well
        table.append([*readout.bias[kept], readout.bias[token]])
    solved = _solved([[Fraction(x) for x in row] for row in table], len(kept))
    if solved is None or min(solved) < 0:
        return None
    found = {int(v): w for v, w in zip(kept, solved, strict=True) if w}
    higher = sum(w * Fraction(readout.bias[v]) for v, w in found.items())
    return found if higher >= Fraction(readout.bias[token]) else None


def _solved(table: list[list[Fraction]], unknowns: int) -> list[Fraction] | None:
    """The solution of equations ``[*coefficients, right side]``; ``None`` if there is none, or not one only."""
    done = 0
    for column in range(unknowns):
        pivot = next((row for row in range(done, len(table)) if table[row][column]), None)
        if pivot is None:
            return None
        table[done], table[pivot] = table[pivot], table[done]
        factor = table[done][column]
        table[done] = [x / factor for x in table[done]]
        for row in range(len(table)):
            if row != done and (times := table[row][column]):
                table[row] = [x - times * y for x, y in zip(table[row], table[done], strict=True)]
        done += 1
    return None if any(row[-1] for row in table[done:]) else [row[-1] for row in table[:unknowns]]
