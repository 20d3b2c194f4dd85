"""The table of chapters on the page for instructors: made from chapters, exercises and the ledger, never typed.

How long a chapter takes is what its first cell says; what it builds on is kept in its metadata::

    "mechlib": {"builds_on": "01"}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from mechlib.authoring import checkout, ledger
from mechlib.authoring.checkout import Notebook
from mechlib.authoring.places import filled
from mechlib.checks.handing_in import Hand

__all__ = ["BUILDS_ON", "PAGE", "stale", "write"]

PAGE = "book/for-instructors.md"
BUILDS_ON = "builds_on"
HEAD = [
    "| chapter | builds on | reading | exercises | questions | points | verdicts |",
    "|---|---|---|---|---|---|---|",
]
TIMES = re.compile(r"Reading takes about (?P<reading>.+?)(?:,| and) the exercises (?:another )?(?P<exercises>.+?)[;.]")
"""The sentence of a chapter's first cell that says how long it takes."""


def table(folder: Path) -> str:
    """The table of the chapters of a checkout that have exercises, in Markdown.

    Raises:
        ValueError: if a chapter does not say how long it takes or what it builds on; the message names it.
    """
    return "\n".join([*HEAD, *_rows(folder)])


def _rows(folder: Path) -> Iterator[str]:
    verdicts = ledger.recorded(folder)
    for path in checkout.notebooks(folder, "book"):
        exercises = folder / "solutions" / path.name
        if exercises.is_file():
            chapter, name = checkout.read_notebook(path), path.relative_to(folder).as_posix()
            questions = Hand(checkout.read_notebook(exercises)).questions
            points = sum(question.points for question in questions)
            title = f"{path.name[:2]} {checkout.title(chapter)}"
            cells = [title, _builds_on(chapter, name), *_times(chapter, name), str(len(questions)), f"{points:g}"]
            cells.append(_verdicts(verdicts, path.name[:2]))
            yield f"| {' | '.join(cells)} |"


def _verdicts(verdicts: Mapping[str, str], chapter: str) -> str:
    """Those of a chapter, each with its sign."""
    found = [f"{claim} {verdict}" for claim, verdict in verdicts.items() if claim.startswith(chapter)]
    return "<br>".join(found) or "none yet"


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
