"""Whose data a submission holds: the seeds in its cells, and the numbers in its text, against those of every student.

A seed is one of two thousand million, so that of another student is proof enough. Numbers may be alike by chance. How
likely that is for just these numbers is reckoned from how the numbers of the class are spread, and a name is only given
where chance would give any in the whole class in at most one of twenty courses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.sparse.csgraph import connected_components
from scipy.special import ndtr

from mechlib.course.drawn import Number

__all__ = ["LEVEL", "Evidence", "Finding", "Numbers", "by_seed"]

LEVEL = 0.05
"""The chance, for a whole class, of any name that is given by chance alone."""

ALIKE = 0.5
"""Correlation between students from which on two quantities count as one."""

STAKE = 0.5
"""How much of what is known of a student is put on each number, see ``Numbers.against``."""

INTEGER = re.compile(r"(?<![\w.])\d{1,10}(?![\w.])")

Evidence = Literal["seed", "numbers"]


@dataclass(frozen=True)
class Finding:
    """Data of somebody else in a submission."""

    student: str
    """Whose submission it is; empty if nobody's of the roster."""
    source: str
    other: str
    """Whose data it holds."""
    evidence: Evidence
    found: tuple[str, ...]
    """The seeds or numbers."""
    chance: float
    """An upper bound for the chance of so good a fit to anybody in the class, in any of its submissions; 0 for a
    seed."""


def by_seed(code: Iterable[str], seeds: Mapping[str, Iterable[int]], student: str) -> dict[str, tuple[str, ...]]:
    """The students other than ``student`` whose seeds stand in the code, with those seeds."""
    there = {int(text) for source in code for text in INTEGER.findall(source)}
    found = {other: tuple(str(s) for s in own if s in there) for other, own in seeds.items()}
    return {other: which for other, which in found.items() if which and other != student}


@dataclass(frozen=True)
class Numbers:
    """The numbers that the data of every student of a class give."""

    expected: Mapping[str, Sequence[Number]]
    """By student, as many and in the same order for each."""
    _values: Float[np.ndarray, "student quantity"] = field(init=False, repr=False)
    _digits: np.ndarray = field(init=False, repr=False)
    _group: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rows = [[number.value for number in each] for each in self.expected.values()]
        values = np.array(rows, float).reshape(len(rows), len(rows[0]) if rows else 0)
        differing = np.isfinite(values).all(0) & (np.ptp(values, axis=0) > 0) if len(rows) > 1 else np.zeros(0, bool)
        values = values[:, differing] if len(rows) > 1 else np.zeros((len(rows), 0))
        digits = [number.digits for number in next(iter(self.expected.values()), ())]
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_digits", np.array(digits)[differing] if len(rows) > 1 else np.zeros(0))
        object.__setattr__(self, "_group", self._groups(values))

    @staticmethod
    def _groups(values: np.ndarray) -> np.ndarray:
        """Quantities that go together across students count as one: equal by chance in one, they are so in all."""
        if values.shape[1] < 2:
            return np.zeros(values.shape[1], int)
        together = np.abs(np.corrcoef(values.T)) > ALIKE
        return connected_components(together, directed=False)[1]

    def against(self, student: str, given: Iterable[Number], submissions: int) -> tuple[str, tuple[str, ...], float]:
        """The other student whose numbers fit best what is given and does not fit the student's own; which of them
        do; and the bound on the chance of so good a fit in a class, 1 if nothing fits.

        For every number that is not the student's own and might have been another's, half is staked on its being
        theirs: where it is, it pays 1 / p, with p the chance that data drawn like the class's give it. What has come
        together on numbers of one group is averaged, and of different groups multiplied. By chance that is 1 in the
        mean, so it is above x with chance at most 1 / x (Markov's inequality; Shafer 2021), which is multiplied by
        the number of comparisons.
        """
        students = list(self.expected)
        if not self._values.size:
            return "", (), 1.0
        own = students.index(student) if student in students else None
        payoff: dict[int, list[np.ndarray]] = {}
        fitting: list[tuple[Number, np.ndarray]] = []
        for number in {(n.value, n.digits): n for n in given}.values():
            half = 0.5 * 10.0 ** -np.minimum(number.digits, self._digits)
            fits = np.abs(self._values - number.value) <= half * (1 + 1e-6)
            if own is not None and fits[own].any():
                continue
            chances = self._chances(number.value, half)
            p = 1 - np.prod(1 - chances)
            if p < 1e-9 and not fits.any():
                continue  # nobody's data could have given it
            anybody = fits.any(1)
            paid = 1 - STAKE + STAKE * anybody / max(p, 1e-9)
            payoff.setdefault(int(self._group[chances.argmax()]), []).append(paid)
            fitting.append((number, anybody))
        if not payoff:
            return "", (), 1.0
        total = np.prod([np.mean(each, axis=0) for each in payoff.values()], axis=0)
        if own is not None:
            total[own] = 0.0
        best = int(total.argmax())
        if total[best] <= len(students) * submissions:
            return "", (), 1.0
        chance = len(students) * submissions / total[best]
        return students[best], tuple(n.text for n, who in fitting if who[best]), float(chance)

    def _chances(self, value: float, half: np.ndarray) -> np.ndarray:
        """For every quantity, the chance that data drawn like the class's give this value: the class, smoothed as by
        Scott's rule, and never less smooth than the digits that are written."""
        n = len(self._values)
        width = np.maximum(self._values.std(0, ddof=1) * n**-0.2, half)
        upper = ndtr((value + half - self._values) / width)
        return (upper - ndtr((value - half - self._values) / width)).mean(0)
