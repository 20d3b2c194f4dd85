"""What the book has to say of every chapter in a line: read from chapters, exercises and the ledger.

How long a chapter takes is what its first cell says; what it builds on is kept in its metadata::

    "mechlib": {"builds_on": "01"}

What it asks, and which chapters are still to come, stands in ``book/chapters.toml``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechlib.authoring import checkout, ledger
from mechlib.authoring.checkout import Notebook
from mechlib.checks.handing_in import Hand

__all__ = ["BUILDS_ON", "LINES", "Entry", "Planned", "chapters", "hours", "to_come"]

LINES = "book/chapters.toml"
BUILDS_ON = "builds_on"
TIMES = re.compile(r"Reading takes about (?P<reading>.+?)(?:,| and) the exercises (?:another )?(?P<exercises>.+?)[;.]")
"""The sentence of a chapter's first cell that says how long it takes."""
WORDS = {"an": "1", "a": "1", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6"}
HELPS = re.compile(r"\d\d(?=(?: and \d\d)* helps?\b)|\d\d(?=(?: and \d\d)* for\b)")
"""A chapter that helps, or that a part of the chapter needs."""


@dataclass(frozen=True)
class Entry:
    """A chapter with exercises."""

    number: str
    path: str
    """Of its notebook in the checkout."""
    title: str
    line: str
    """What it asks; empty where nobody has said it."""
    builds_on: str
    """In the words of its author."""
    reading: str
    exercises: str
    """How long they take, in words."""
    questions: int
    points: float
    verdicts: dict[str, str]
    """By claim, with its sign."""

    @property
    def part(self) -> int:
        """The number of the part that it belongs to."""
        return int(Path(self.path).parent.name.removeprefix("part"))

    @property
    def needs(self) -> tuple[str, ...]:
        """The numbers of the chapters that have to be read before."""
        return tuple(number for number in re.findall(r"\d\d", self.builds_on) if number not in self.helped_by)

    @property
    def helped_by(self) -> tuple[str, ...]:
        """The numbers of those that help."""
        return tuple(HELPS.findall(self.builds_on))


@dataclass(frozen=True)
class Planned:
    """A chapter that is still to come."""

    number: str
    title: str
    part: int
    line: str


def chapters(folder: Path) -> Iterator[Entry]:
    """The chapters of a checkout that have exercises, in their order.

    Raises:
        ValueError: if a chapter does not say how long it takes or what it builds on; the message names it.
    """
    verdicts, lines = ledger.recorded(folder), _lines(folder)
    for path in checkout.notebooks(folder, "book"):
        solutions = folder / "solutions" / path.name
        if solutions.is_file():
            chapter, name, number = checkout.read_notebook(path), path.relative_to(folder).as_posix(), path.name[:2]
            questions = Hand(checkout.read_notebook(solutions)).questions
            yield Entry(
                number,
                name,
                checkout.title(chapter),
                lines.get(number, {}).get("line", ""),
                _builds_on(chapter, name),
                *_times(chapter, name),
                len(questions),
                sum(question.points for question in questions),
                {claim: verdict for claim, verdict in verdicts.items() if claim.startswith(number)},
            )


def to_come(folder: Path) -> list[Planned]:
    """The chapters that are planned and not there, in their order."""
    there = {path.name[:2] for path in checkout.notebooks(folder, "book")}
    planned = {number: facts for number, facts in _lines(folder).items() if number not in there}
    return [Planned(number, facts["title"], facts["part"], facts["line"]) for number, facts in sorted(planned.items())]


def hours(words: str) -> str:
    """A time as a few signs: ``1 h`` for ``an hour``, ``2–3 h`` for ``two to three hours``, ``1½ h``.

    Raises:
        ValueError: if it has other words than numbers.
    """
    bare = re.sub(r"\bhours?\b", "", words.replace(" and a half", "½").replace("hour½", "½").replace("hours½", "½"))
    parts = re.split(r" (?:to|or) ", " ".join(bare.split()).replace(" ½", "½"))
    found = []
    for part in parts:
        word = part.strip().removesuffix("½")
        if word not in WORDS:
            raise ValueError(f"a time such as 'two to three hours' is wanted, not {words!r}")
        found.append(WORDS[word] + "½" * part.strip().endswith("½"))
    return f"{'–'.join(found)} h"


def _lines(folder: Path) -> Mapping[str, dict[str, Any]]:
    path = folder / LINES
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _builds_on(chapter: Notebook, name: str) -> str:
    found = chapter["metadata"].get("mechlib", {}).get(BUILDS_ON)
    if not found:
        raise ValueError(f'{name}: its metadata do not say what it builds on: "mechlib": {{"{BUILDS_ON}": "01"}}')
    return found


def _times(chapter: Notebook, name: str) -> tuple[str, str]:
    said = TIMES.search(" ".join(chapter["cells"][0]["source"].split()))
    if said is None:
        raise ValueError(f"{name}: its first cell has no sentence 'Reading takes about ..., the exercises ...'")
    exercises = said["exercises"].removesuffix(" hours")
    return said["reading"], f"{exercises} hours"
