"""Whom a row of a lecturer's table means: a student of the roster, or one whose work a graded class holds."""

from __future__ import annotations

import difflib
import hashlib
import hmac
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mechlib.course.matching import Match, person
from mechlib.course.pages import printable
from mechlib.course.roster import Student, called
from mechlib.course.spreadsheet import records
from mechlib.grading.platforms import folded

__all__ = ["People", "Row", "anonymous", "points", "rows"]

ANONYMOUS = "anon-"
POINTS = re.compile(r"(\d+)(?:[.,](\d+))?")


@dataclass(frozen=True)
class Row:
    """A row of a table with a column ``student``."""

    where: str
    """``FILE, line N``."""
    cells: dict[str, str] = field(hash=False)
    """By column; those that the file does not have are empty."""

    def __getitem__(self, column: str) -> str:
        return self.cells[column]


def rows(path: Path, columns: tuple[str, ...]) -> list[Row]:
    """The rows of a table that name a student.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read (``spreadsheet.records``), or if a row that says something names no student.
    """
    found = [Row(f"{path}, line {line}", cells) for line, cells in records(path, "student", columns)]
    for row in found:
        if not row["student"]:
            raise ValueError(f"{row.where}: no student is named; write an id of the roster, or the name")
    return found


def points(text: str, most: float, where: str) -> float:
    """A number of points, with a point or a comma.

    Raises:
        ValueError: if it is no number from 0 to ``most``.
    """
    found = POINTS.fullmatch(text)
    if not found or float(f"{found[1]}.{found[2] or 0}") > most:
        raise ValueError(f"{where}: the points are {text!r}; they must be a number from 0 to {most:g}")
    return float(f"{found[1]}.{found[2] or 0}")


def anonymous(secret: bytes, chapter: str, student: str) -> str:
    """The sign that stands for a student in an anonymous table of a chapter; only who has the secret can make it."""
    message = "\0".join(["anonymous", chapter, folded(student)]).encode("utf-8", "surrogatepass")
    return ANONYMOUS + hmac.digest(secret, message, hashlib.sha256).hex()[:8]


class People:
    """All that a table may mean, by what they may be called."""

    def __init__(self, found: Sequence[Match], students: Sequence[Student], secret: bytes | None = None) -> None:
        """Look everybody up.

        Args:
            found: the submissions of the class and whose they are.
            students: the roster.
            secret: draws the signs of an anonymous table, see ``anonymous``.
        """
        self._roster: dict[str, set[str]] = defaultdict(set)
        for key, of in called(students).items():
            for name in (key, folded(printable(key))):
                self._roster[name] |= {student.id for student in of}
        self._remedy = "" if students else "; with --roster FILE those who handed nothing in are known too"
        self._handed: dict[str, set[str]] = defaultdict(set)
        for match in found:
            grade = match.grade
            for name in (grade.student, printable(grade.student)):  # as it was handed in, and as tables show it
                self._handed[folded(name)].add(person(match))
            if secret is not None:
                self._handed[anonymous(secret, grade.chapter, grade.student)].add(person(match))

    def named(self, text: str, where: str) -> str:
        """The ``person`` who is called so.

        Raises:
            ValueError: if nobody or more than one is; the message says who might be meant.
        """
        key = folded(text)
        of = self._roster.get(key) or self._handed.get(key) or set()
        if len(of) > 1:
            who = ", ".join(sorted(name.removeprefix("?") for name in of))
            raise ValueError(f"{where}: {text!r} is what several are called: {who}; write the id of the roster")
        if not of:
            near = difflib.get_close_matches(key, [*self._roster, *self._handed], 1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            if key.startswith(ANONYMOUS):
                meant = ": another secret drew this sign, or it is of another chapter"
            raise ValueError(f"{where}: nobody in the roster or the class is called {text!r}{meant}{self._remedy}")
        return next(iter(of))
