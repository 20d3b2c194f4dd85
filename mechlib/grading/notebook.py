"""Reading a notebook that somebody handed in: whatever the file holds, cells or one sentence on what is wrong."""

from __future__ import annotations

import contextlib
import json
import re
import resource
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechlib.checks.registry import asked, chapters
from mechlib.grading.results import WrittenAnswer

__all__ = ["Cell", "Handed", "read"]

MOST_CELLS = 2000
MOST_TEXT = 500_000
"""Characters of all code cells beyond which the rest is left out."""
MOST_WRITTEN = 50_000
"""Characters of all written answers, likewise."""
MEMORY = 2 * 2**30
"""Bytes that a file may take when it is read."""

CHECKED = re.compile(r"\b(?:check|hint)\(\s*[\"'](ch\d\d)\.\w+[\"']")
DEFINED = re.compile(r"^def (\w+)", re.MULTILINE)
WRITTEN = re.compile(r"<!--[ \t]{0,9}written(?::[ \t]{0,9}([\w.-]{1,80}(?: [\w.-]{1,80}){0,9}))?[ \t]{0,9}-->")


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
        with _limited_memory():
            notebook = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the file is not a notebook, or is cut off: {error}") from None
    except MemoryError:
        raise ValueError(f"the file takes more than {MEMORY // 2**30} GB of memory when it is read") from None
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
    written = _written(readable, problems)
    return Handed(cells, tuple(written), _chapter(cells), tuple(problems))


@contextlib.contextmanager
def _limited_memory() -> Iterator[None]:
    """While a file is read, this process gets no more than ``MEMORY`` beyond what it has: a file can be small and what
    it describes large."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with contextlib.suppress(FileNotFoundError):  # only Linux tells, and only there anything is graded
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MEMORY
        if before[0] == resource.RLIM_INFINITY or most < before[0]:
            resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


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


def _written(texts: list[tuple[int, dict[str, Any], str]], problems: list[str]) -> list[WrittenAnswer]:
    answers, room = [], MOST_WRITTEN
    for index, cell, text in texts:
        metadata = cell.get("metadata")
        tags = metadata.get("tags") if isinstance(metadata, dict) else None
        marker = WRITTEN.search(text)
        if cell.get("cell_type") == "markdown" and (marker or (isinstance(tags, list) and "written" in tags)):
            name = (marker and marker[1]) or str(cell.get("id") or f"cell {index + 1}")[:80]
            answer = WRITTEN.sub("", text).strip()
            room -= max(len(answer), 1000)  # many short ones are too much too
            if room < 0:
                problems.append(f"The written answers from cell {index + 1} on are left out: they are too long.")
                break
            answers.append(WrittenAnswer(name, answer))
    return answers


def _chapter(cells: tuple[Cell, ...]) -> str | None:
    counts = Counter(chapter for cell in cells for chapter in CHECKED.findall(cell.source) if chapter in chapters())
    if not counts:
        defined = {name for cell in cells for name in DEFINED.findall(cell.source)}
        counts = Counter(q.chapter for q in asked() if q.id.partition(".")[2] in defined)
    return max(sorted(counts), key=lambda chapter: counts[chapter]) if counts else None
