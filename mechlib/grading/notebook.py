"""Reading a notebook that somebody handed in: whatever the file holds, cells or one sentence on what is wrong."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from mechlib.checks.registry import chapters, questions
from mechlib.grading.results import WrittenAnswer

__all__ = ["Cell", "Handed", "read"]

MOST_CELLS = 2000
MOST_TEXT = 500_000
"""Characters of all code cells beyond which the rest is left out."""

CHECKED = re.compile(r"\b(?:check|hint)\(\s*[\"'](ch\d\d)\.\w+[\"']")
DEFINED = re.compile(r"^def (\w+)", re.MULTILINE)
WRITTEN = re.compile(r"<!--\s*written(?::\s*([\w. -]*?))?\s*-->")


@dataclass(frozen=True)
class Cell:
    """A code cell."""

    index: int
    """Its place among all cells of the notebook, from 0."""
    source: str


@dataclass(frozen=True)
class Handed:
    """What of a notebook matters to grading."""

    cells: tuple[Cell, ...]
    """The code cells."""
    written: tuple[WrittenAnswer, ...]
    """Text cells that hold ``<!-- written: NAME -->`` or are tagged ``written``."""
    chapter: str | None
    """The chapter that most of its checks are on; ``None`` where there is none."""
    problems: tuple[str, ...] = ()


def read(content: bytes) -> Handed:
    """What a notebook's file holds.

    Raises:
        ValueError: if it is not a notebook of format 4; the message says why, as a sentence.
    """
    try:
        notebook = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the file is not a notebook, or is cut off: {error}") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise ValueError("the file is JSON but not a notebook of format 4: it has no list of cells")
    found, problems = notebook["cells"][:MOST_CELLS], []
    if len(notebook["cells"]) > MOST_CELLS:
        problems.append(f"The notebook has {len(notebook['cells'])} cells; the first {MOST_CELLS} are graded.")
    texts = [(index, cell, _source(cell)) for index, cell in enumerate(found)]
    odd = [str(index + 1) for index, _, text in texts if text is None]
    if odd:
        problems.append(f"Cells without readable text: {', '.join(odd[:10])}.")
    readable = [(index, cell, text) for index, cell, text in texts if text is not None]
    cells = _code(readable, problems)
    return Handed(cells, tuple(_written(readable)), _chapter(cells), tuple(problems))


def _code(texts: list[tuple[int, dict[str, Any], str]], problems: list[str]) -> tuple[Cell, ...]:
    cells, room = [], MOST_TEXT
    for index, cell, text in texts:
        if cell.get("cell_type") == "code":
            room -= len(text)
            if room < 0:
                problems.append(f"The code from cell {index + 1} on is left out: there is too much of it.")
                break
            cells.append(Cell(index, text))
    return tuple(cells)


def _source(cell: object) -> str | None:
    """The text of a cell, fit to be encoded; ``None`` if it is none."""
    source = cell.get("source") if isinstance(cell, dict) else None
    if isinstance(source, list) and all(isinstance(part, str) for part in source):
        source = "".join(source)
    if not isinstance(source, str):
        return None
    return source.encode("utf-8", "replace").decode()


def _written(texts: list[tuple[int, dict[str, Any], str]]) -> list[WrittenAnswer]:
    answers = []
    for index, cell, text in texts:
        metadata = cell.get("metadata")
        tags = metadata.get("tags") if isinstance(metadata, dict) else None
        marker = WRITTEN.search(text)
        if cell.get("cell_type") == "markdown" and (marker or (isinstance(tags, list) and "written" in tags)):
            name = (marker and marker[1]) or str(cell.get("id") or f"cell {index + 1}")[:80]
            answers.append(WrittenAnswer(name, WRITTEN.sub("", text).strip()))
    return answers


def _chapter(cells: tuple[Cell, ...]) -> str | None:
    counts = Counter(chapter for cell in cells for chapter in CHECKED.findall(cell.source) if chapter in chapters())
    if not counts:
        defined = {name for cell in cells for name in DEFINED.findall(cell.source)}
        counts = Counter(q.chapter for q in questions() if q.id.partition(".")[2] in defined)
    return max(sorted(counts), key=lambda chapter: counts[chapter]) if counts else None
