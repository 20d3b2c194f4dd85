"""The table of chapters on the page for instructors: made from chapters, exercises and the ledger, never typed."""

from __future__ import annotations

from pathlib import Path

from mechlib.authoring import checkout, overview
from mechlib.authoring.places import filled

__all__ = ["PAGE", "stale", "table", "write"]

PAGE = "book/for-instructors.md"
HEAD = [
    "| chapter | builds on | reading | exercises | questions | points | verdicts |",
    "|---|---|---|---|---|---|---|",
]


def table(folder: Path) -> str:
    """The table of the chapters of a checkout that have exercises, in Markdown. Errors as ``overview.chapters``."""
    return "\n".join([*HEAD, *(_row(chapter) for chapter in overview.chapters(folder))])


def _row(chapter: overview.Entry) -> str:
    verdicts = "<br>".join(f"{claim} {verdict}" for claim, verdict in chapter.verdicts.items()) or "none yet"
    cells = [f"{chapter.number} {chapter.title}", chapter.builds_on, chapter.reading, chapter.exercises]
    return f"| {' | '.join([*cells, str(chapter.questions), f'{chapter.points:g}', verdicts])} |"


def expected(folder: Path) -> str:
    """The text of the page of a checkout. Errors as ``table``, and if the page has no place for the table."""
    return filled((folder / PAGE).read_text(encoding="utf-8"), table(folder), PAGE)


def write(folder: Path | None = None) -> list[Path]:
    """Write the table of a checkout; the files that changed. Errors as ``expected``."""
    folder = folder or checkout.root()
    return checkout.write_changed({folder / PAGE: expected(folder)})


def stale(folder: Path | None = None) -> list[str]:
    """One line if the page of a checkout does not have the table that its chapters give."""
    folder = folder or checkout.root()
    drifted = f"{PAGE} does not say of the chapters what they say: run 'mechlib book instructors'"
    return [drifted] if checkout.differs(folder / PAGE, expected(folder)) else []
