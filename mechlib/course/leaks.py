"""What must not be in anything that students get: the course's secret, solutions, hidden code."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping

from mechlib.authoring import exercises
from mechlib.authoring.checkout import Notebook
from mechlib.checks.handing_in import WRITTEN

__all__ = ["MARKERS", "answer_lines", "leaks"]

MARKERS = (exercises.BEGIN, exercises.END, "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS")
TELLING = 16
"""Characters from which on a line of a solution gives something away; shorter ones are like any other code."""


def answer_lines(*solutions: Notebook) -> frozenset[str]:
    """The lines that stand in answers of the solutions or in cells for teachers only, and nowhere else in any."""
    hidden: set[str] = set()
    shown: set[str] = set()
    for cell in (cell for solution in solutions for cell in solution["cells"]):
        tags = cell["metadata"].get("tags", ())
        inside = whole = "solution-only" in tags or bool(WRITTEN.match(cell["source"]))
        for line in map(str.strip, cell["source"].split("\n")):
            if line in (exercises.BEGIN, exercises.END):
                inside = whole or line == exercises.BEGIN
            else:
                (hidden if inside else shown).add(line)
    return frozenset(line for line in hidden - shown if len(line) >= TELLING and not WRITTEN.match(line + "\n"))


def leaks(files: Mapping[str, bytes], secret: bytes, solutions: Iterable[Notebook]) -> list[str]:
    """One sentence for everything in ``files`` that students must not get; empty if there is nothing.

    Args:
        files: contents by name; the members of zip archives are looked into, and so are the cells of notebooks.
        secret: the course's secret; found also in Base64, in capitals, and if it is hexadecimal, as the bytes meant.
        solutions: where the answers are.
    """
    answers = answer_lines(*solutions)
    found = []
    for name, content in _opened(files.items()):
        if any(form in content for form in _forms(secret)):
            found.append(f"{name} holds the secret")
        text = _text(name, content)
        found += [f"{name} holds the marker {marker!r}" for marker in MARKERS if marker in text]
        lines = set(map(str.strip, text.split("\n")))
        found += [f"{name} holds a line of a solution: {line!r}" for line in sorted(answers & lines)]
    return found


def _forms(secret: bytes) -> tuple[bytes, ...]:
    written = (secret, secret.upper(), base64.b64encode(secret))
    try:
        meant = bytes.fromhex(secret.decode())
    except ValueError:
        return written
    return *written, meant, base64.b64encode(meant)


def _opened(files: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    for name, content in files:
        yield name, content
        if name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                yield from _opened((f"{name}: {member}", archive.read(member)) for member in archive.namelist())


def _text(name: str, content: bytes) -> str:
    """What a person reads in a file: the sources of a notebook's cells, not their encoding."""
    text = content.decode("utf-8", errors="replace")
    if not name.endswith(".ipynb"):
        return text
    return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
