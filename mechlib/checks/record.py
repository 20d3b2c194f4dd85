"""What has been answered in this session, as a table that can be saved and read back."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import get_args

from mechlib.checks.judging import Status
from mechlib.checks.question import Task
from mechlib.checks.whereabouts import write_whole

__all__ = ["Entry", "Progress", "Record"]

FORMAT = "mechlib progress"
VERSION = 1
NOT_TRIED = "not tried"
HEADER = ("question", "title", "points", "state", "tries", "hints")


@dataclass(frozen=True)
class Entry:
    """The state of one question."""

    status: str = NOT_TRIED
    """``"right"`` once an answer was right, and before that ``"partly"`` once an open task earned some of its points,
    whatever is tried afterwards; else the last judgement's status, or ``"not tried"``."""
    tries: int = 0
    """Answers judged: those not filled in, those interrupted and those that cannot be judged here do not count."""
    hints: int = 0
    """Hints shown, 0 to 3."""
    earned: float = 0.0
    """The most points that an open task has earned so far."""


class Record:
    """The state of every question asked; one lives as long as the session."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

    def entry(self, question_id: str) -> Entry:
        """The state of one question."""
        return self.entries.get(question_id, Entry())

    def judged(self, question_id: str, status: Status, earned: float = 0.0) -> None:
        """Note a judgement. A right answer stays: later variants only count as tries.

        Args:
            earned: the points of an open task; the most of them stay.
        """
        entry = self.entry(question_id)
        self.entries[question_id] = replace(
            entry,
            status=_better(entry.status, status),
            tries=entry.tries + (status not in ("unanswered", "interrupted", "unjudged")),
            earned=max(entry.earned, earned),
        )

    def hinted(self, question_id: str) -> int:
        """Note that one more hint is shown; its number, 1 to 3 (the third again once all are shown)."""
        entry = self.entry(question_id)
        self.entries[question_id] = replace(entry, hints=min(entry.hints + 1, 3))
        return self.entries[question_id].hints

    def save(self, path: str | Path) -> None:
        """Write the record to a file, whole or not at all, with what an earlier record in it knows beside (``load``).

        Raises:
            ValueError: if the file is there and is not one that ``save`` wrote; it stays as it was.
        """
        path = Path(path)
        if path.exists():
            try:
                self.load(path)
            except ValueError as error:
                raise ValueError(f"nothing is saved: {error}. Save under another name") from error
        entries = {question_id: asdict(entry) for question_id, entry in sorted(self.entries.items())}
        text = json.dumps({"format": FORMAT, "version": VERSION, "questions": entries}, indent=1) + "\n"
        write_whole(path, text)

    def load(self, path: str | Path) -> None:
        """Add what a file holds. A right answer counts wherever it was given; for the rest, the state of this session
        stands where a question was tried in it.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is not one that ``save`` wrote, or is damaged; the record stays as it was.
        """
        for question_id, saved in _read(Path(path)).items():
            own = self.entry(question_id)
            base = saved if own.status == NOT_TRIED else own
            status = _better(saved.status, base.status)
            hints, earned = max(own.hints, saved.hints), max(own.earned, saved.earned)
            self.entries[question_id] = replace(base, status=status, hints=hints, earned=earned)


def _better(earlier: str, later: str) -> str:
    kept = earlier == "right" or (earlier == "partly" and later != "right")
    return earlier if kept else later


def _read(path: Path) -> dict[str, Entry]:
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged or no progress file ({error}); the progress is unchanged") from None
    if not isinstance(saved, dict) or saved.get("format") != FORMAT or not isinstance(saved.get("questions"), dict):
        raise ValueError(f"{path} is not a file that progress(save=...) wrote; the progress is unchanged")
    if saved.get("version") != VERSION:
        version = saved.get("version")
        raise ValueError(f"{path} has version {version!r}, this mechlib reads {VERSION}; the progress is unchanged")
    return {question_id: _entry(question_id, fields, path) for question_id, fields in saved["questions"].items()}


def _entry(question_id: str, fields: object, path: Path) -> Entry:
    def is_count(value: object) -> bool:
        return type(value) is int and value >= 0

    if isinstance(fields, Mapping) and set(fields) | {"earned"} == set(Entry.__annotations__):
        entry = Entry(**fields)
        counts = is_count(entry.tries) and is_count(entry.hints) and isinstance(entry.earned, (int, float))
        if entry.status in (NOT_TRIED, *get_args(Status)) and counts and 0 <= entry.earned < math.inf:
            return replace(entry, hints=min(entry.hints, 3))
    raise ValueError(f"{path} is damaged at {question_id!r}: {fields!r}; the progress is unchanged")


@dataclass(frozen=True)
class Progress:
    """The state of a set of questions at one moment; a table in a notebook and in a terminal."""

    rows: tuple[tuple[str, str, str, str, str, str], ...]
    """Id, title, points, state, tries and hints of each question."""
    points: float
    """Points of the questions that were answered right at least once, and those that open tasks earned."""
    possible: float

    @classmethod
    def of(cls, record: Record, questions: Iterable[Task]) -> Progress:
        """The state of ``questions`` in ``record``."""
        questions = tuple(questions)
        entries = [record.entry(q.id) for q in questions]
        rows = tuple(
            (q.id, q.title, f"{q.points:g}", e.status, str(e.tries), f"{e.hints} of 3")
            for q, e in zip(questions, entries, strict=True)
        )
        right = sum(q.points if e.status == "right" else e.earned for q, e in zip(questions, entries, strict=True))
        return cls(rows, right, sum(q.points for q in questions))

    @property
    def summary(self) -> str:
        """The points in words."""
        return f"{self.points:g} of {self.possible:g} points"

    def __repr__(self) -> str:
        widths = [max(map(len, column)) for column in zip(HEADER, *self.rows, strict=True)]
        lines = ("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in (HEADER, *self.rows))
        return "\n".join([*(line.rstrip() for line in lines), self.summary])

    def _repr_html_(self) -> str:
        def row(cells: Iterable[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        head, body = row(HEADER, "th"), "".join(row(cells, "td") for cells in self.rows)
        return f"<table><caption>{self.summary}</caption><thead>{head}</thead><tbody>{body}</tbody></table>"
