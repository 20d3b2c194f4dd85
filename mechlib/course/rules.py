"""The rules of a term, which the lecturer writes into ``course.json`` under ``"term"``: ``mechlib release`` keeps them.

::

    "term": {
     "zone": "Europe/Berlin",
     "late": {"grace_minutes": 10, "per_day": 0.1, "most": 0.5, "by_files": false},
     "withheld": {"ch02.refute": "2026-11-10 08:00"},
     "chapters": {
      "ch02": {"deadline": "2026-11-03 23:59", "written": {"refutation": 4}, "canvas": "Logit lens (4711)",
               "moodle": "Logit lens", "brightspace": "Logit lens"}
     }
    }

``per_day`` is the share of the chapter's points that every day begun after the deadline costs, ``most`` the largest
share that lateness costs. ``by_files`` lets the times of the files decide where the platform tells none, though copying
changes them.
``withheld`` says from when on students are told the result of a question.
``written`` says how many points a written answer can have, 4 if nothing does. The last three are what the columns of a
chapter are called in the files for the platforms, by default as the chapter.
"""

from __future__ import annotations

import datetime
import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from mechlib.checks.registry import find

__all__ = ["PLAIN", "RUBRIC", "Chapter", "Late", "Rules", "moment", "read", "starting"]

RUBRIC = 4.0
"""Points of a written answer where nothing says otherwise, as the rubric on the page for instructors gives them."""

PLATFORMS = ("canvas", "moodle", "brightspace")

NUMBERED = re.compile(r".*\(\d+\)")
"""What Canvas calls a column, with the number of the assignment."""


@dataclass(frozen=True)
class Chapter:
    """What holds for one chapter."""

    deadline: datetime.datetime | None = None
    """With its time zone."""
    written: Mapping[str, float] = field(default_factory=dict)
    """The most points by the name of a written answer."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """By platform, what its column is called."""


@dataclass(frozen=True)
class Late:
    """What lateness costs."""

    grace_minutes: float = 0.0
    """What is late by no more than this is not."""
    per_day: float = 0.0
    """Share of the chapter's points for every day begun after the deadline, 0 to 1."""
    most: float = 1.0
    """The largest share, 0 to 1."""
    by_files: bool = False

    def share(self, days: int) -> float:
        """Of the chapter's points, what so many days begun cost."""
        return min(self.most, self.per_day * days)

    @property
    def flat(self) -> bool:
        """Whether all that is late costs the same."""
        return self.per_day >= self.most or not self.per_day


@dataclass(frozen=True)
class Rules:
    """The rules of a term."""

    zone: datetime.tzinfo = datetime.UTC
    late: Late = Late()
    chapters: Mapping[str, Chapter] = field(default_factory=dict)
    withheld: Mapping[str, datetime.datetime] = field(default_factory=dict)
    """By the id of a question, from when on students are told its result."""

    def of(self, chapter: str) -> Chapter:
        """What holds for a chapter."""
        return self.chapters.get(chapter, Chapter())

    def most(self, chapter: str, answer: str) -> float:
        """Points that a written answer can have."""
        return self.of(chapter).written.get(answer, RUBRIC)

    def column(self, platform: str, chapter: str) -> str:
        """What the column of a chapter is called."""
        return self.of(chapter).columns.get(platform, chapter)


PLAIN = Rules()
"""Those of a course that has none."""


def starting(written: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """The rules that a course is released with: no deadlines, and the rubric's points for every written answer.

    Args:
        written: by chapter, the names of its written answers.
    """
    chapters = {
        chapter: {"deadline": "", "written": dict.fromkeys(names, int(RUBRIC)), **dict.fromkeys(PLATFORMS, "")}
        for chapter, names in written.items()
    }
    late = {"grace_minutes": 0, "per_day": 0, "most": 1, "by_files": False}
    return {"zone": "UTC", "late": late, "withheld": {}, "chapters": chapters}


def read(path: Path) -> Rules:
    """The rules in ``course.json``, none where it has none.

    Raises:
        ValueError: for a file that is no JSON, and for a rule that is none; the message says which and what is right.
    """
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}): a comma too many, or a missing quote?") from None
    if not isinstance(about, dict):
        raise ValueError(f"{path} is not what 'mechlib release' wrote: it holds no object")
    return _Reader(path).rules(about.get("term", {}))


class _Reader:
    """Reads the rules of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rules(self, term: object) -> Rules:
        about = self._object("term", term, ("zone", "late", "withheld", "chapters"))
        zone = self._zone(about.get("zone") or "UTC")
        late = self._object("term.late", about.get("late", {}), ("grace_minutes", "per_day", "most", "by_files"))
        by_files = late.get("by_files", False)
        if not isinstance(by_files, bool):
            raise self._wrong("term.late.by_files", by_files, "true or false")
        limits = {"grace_minutes": float("inf"), "per_day": 1.0, "most": 1.0}
        numbers = {k: self._number(f"term.late.{k}", late[k], most) for k, most in limits.items() if k in late}
        chapters = about.get("chapters", {})
        if not isinstance(chapters, dict):
            raise self._wrong("term.chapters", chapters, 'an object such as {"ch02": {...}}')
        found = {str(name): self._chapter(f"term.chapters.{name}", of, zone) for name, of in chapters.items()}
        return Rules(zone, Late(**numbers, by_files=by_files), found, self._withheld(about.get("withheld", {}), zone))

    def _withheld(self, about: object, zone: datetime.tzinfo) -> dict[str, datetime.datetime]:
        if not isinstance(about, dict):
            raise self._wrong("term.withheld", about, 'an object such as {"ch02.refute": "2026-11-10 08:00"}')
        for name in about:
            try:
                find(name)
            except LookupError as error:
                raise ValueError(f"{self.path}: term.withheld: {error}") from None
        return {name: moment(when, zone, f"{self.path}, term.withheld.{name}") for name, when in about.items()}

    def _chapter(self, where: str, of: object, zone: datetime.tzinfo) -> Chapter:
        about = self._object(where, of, ("deadline", "written", *PLATFORMS))
        deadline = about.get("deadline") or None
        if deadline is not None:
            deadline = moment(deadline, zone, f"{self.path}, {where}.deadline")
        written = about.get("written", {})
        if not isinstance(written, dict):
            raise self._wrong(f"{where}.written", written, 'an object such as {"refutation": 4}')
        points = {str(name): self._number(f"{where}.written.{name}", n, float("inf")) for name, n in written.items()}
        columns = {p: self._column(f"{where}.{p}", about[p]) for p in PLATFORMS if about.get(p)}
        if (canvas := columns.get("canvas")) and not NUMBERED.fullmatch(canvas):
            right = "the name of the assignment with its number, as Canvas' own export has it: 'Logit lens (4711)'"
            raise self._wrong(f"{where}.canvas", canvas, right)
        return Chapter(deadline, points, columns)

    def _column(self, where: str, name: object) -> str:
        if not isinstance(name, str):
            raise self._wrong(where, name, "a text in double quotes")
        return name

    def _zone(self, name: object) -> datetime.tzinfo:
        if name == "UTC":  # there without a database of zones
            return datetime.UTC
        try:
            return ZoneInfo(str(name))
        except (LookupError, ValueError, OSError):
            raise self._wrong("term.zone", name, "a name such as 'Europe/Berlin' or 'UTC'") from None

    def _object(self, where: str, value: object, keys: tuple[str, ...]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(where, value, f"an object with {', '.join(keys)}")
        for key in value:
            if key not in keys:
                near = difflib.get_close_matches(str(key), keys, 1)
                meant = f"did you mean {near[0]!r}?" if near else f"it may have {', '.join(keys)}"
                raise ValueError(f"{self.path}: {where} has no rule {key!r}; {meant}")
        return value

    def _number(self, where: str, value: object, most: float) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most or math.isinf(value):
            right = "a number from 0 on" if most == float("inf") else f"a number from 0 to {most:g}"
            raise self._wrong(where, value, right)
        return float(value)

    def _wrong(self, where: str, value: object, right: str) -> ValueError:
        return ValueError(f"{self.path}: {where} is {json.dumps(value, ensure_ascii=False)}; it must be {right}")


def moment(text: object, zone: datetime.tzinfo, where: str) -> datetime.datetime:
    """A time as a lecturer writes it, ``2026-11-03 23:59``; in ``zone`` where it says no other.

    Raises:
        ValueError: if it is none; the message begins with ``where``.
    """
    try:
        found = datetime.datetime.fromisoformat(str(text).strip())
        if len(str(text).strip()) <= len("2026-11-03"):
            raise ValueError
    except ValueError:
        raise ValueError(f"{where}: {text!r} is no time; write it as 2026-11-03 23:59, with the hour") from None
    return found if found.tzinfo else found.replace(tzinfo=zone)
