"""How the questions of a chapter did in a class: how hard each was, and whether it tells students apart.

Lord and Novick, Statistical Theories of Mental Test Scores (1968), chapter 15: difficulty is the mean share of the
points; discrimination is the correlation of a question with the rest of the chapter, without itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mechlib.grading.results import SubmissionGrade
from mechlib.stats import Estimate

__all__ = ["FEWEST", "Item", "discrimination", "items"]

FEWEST = 20
"""Students from which on a discrimination is given: the interval of fewer reaches from hardly any to nearly perfect."""


@dataclass(frozen=True)
class Item:
    """One question in a class."""

    id: str
    title: str
    n: int
    """Students whose answer was judged."""
    difficulty: float
    """Mean share of the question's points, 0 to 1; NaN if nobody's was judged. The higher, the easier."""
    discrimination: Estimate | None
    """``None`` if ``why`` says why not."""
    why: str = ""


def items(grades: Sequence[SubmissionGrade]) -> list[Item]:
    """The questions of one chapter, in its order.

    A question that could not be judged for somebody counts in nobody's rest.

    Args:
        grades: one for each student, of the same questions.
    """
    asked = list(dict.fromkeys((q.id, q.title, q.points) for grade in grades for q in grade.questions))
    scores = np.full((len(grades), len(asked)), np.nan)
    for row, grade in enumerate(grades):
        given = {q.id: q.score for q in grade.questions if q.status != "unjudged"}
        scores[row] = [given.get(name, np.nan) for name, _, _ in asked]
    whole = ~np.isnan(scores).any(0)
    found = []
    for column, (name, title, points) in enumerate(asked):
        judged = ~np.isnan(scores[:, column])
        others = whole & (np.arange(len(asked)) != column)
        own, rest = scores[judged, column], scores[judged][:, others].sum(1)
        share = float(own.mean() / points) if len(own) else float("nan")
        found.append(Item(name, title, len(own), share, *discrimination(own, rest)))
    return found


def discrimination(
    own: Float[np.ndarray, " student"], rest: Float[np.ndarray, " student"]
) -> tuple[Estimate | None, str]:
    """The corrected item-rest correlation, -1 to 1, with a 95 % interval by Fisher's transformation; or why there is
    none.

    Args:
        own: points for the question.
        rest: points for all others.
    """
    n = len(own)
    if n < FEWEST:
        return None, f"{n} students are too few"
    if np.ptp(own) == 0:
        return None, "all have the same points here"
    if np.ptp(rest) == 0:
        return None, "all have the same points elsewhere"
    r = float(np.clip(np.corrcoef(own, rest)[0, 1], -1, 1))
    with np.errstate(divide="ignore"):
        middle = np.arctanh(r)
    low, high = np.tanh([middle - 1.959964 / np.sqrt(n - 3), middle + 1.959964 / np.sqrt(n - 3)])
    return Estimate(r, float(low), float(high), n), ""
