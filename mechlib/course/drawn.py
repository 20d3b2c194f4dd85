"""The numbers that every student's own data give: the solution is run with the seeds of each.

The cells tagged ``per-student`` draw the data; they run anew for everybody, and so does what reads them. The rest
runs once. ``python -m mechlib.course.drawn`` is the process in which that happens: it runs the solutions, which are
the instructor's own, and touches no record of theirs.
"""

from __future__ import annotations

import ast
import contextlib
import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mechlib
from mechlib.authoring import checkout
from mechlib.authoring.checkout import Notebook
from mechlib.course import personal

__all__ = ["Number", "drawn", "expected", "numbers"]

NUMBER = re.compile(r"(?<![\w.])([-\u2212]?\d+[.,](\d+))(?![\w]|[.,]\d)(\s?%)?")
"""A decimal number, its digits behind the point, and a sign of per cent."""

FEWEST = 2
"""Digits behind the point from which on a number may tell whose it is."""


@dataclass(frozen=True)
class Number:
    """A decimal number as it was written."""

    value: float
    digits: int
    """Behind the point."""
    text: str


def numbers(text: str) -> list[Number]:
    """The decimal numbers of a text with at least ``FEWEST`` digits behind the point, in its order; per cent as parts
    of 1."""
    found = []
    for match in NUMBER.finditer(text):
        percent = bool(match[3])
        value = float(match[1].replace(",", ".").replace("\u2212", "-"))
        digits = len(match[2]) + 2 * percent
        if digits >= FEWEST:
            found.append(Number(value / 100 if percent else value, digits, match[0].strip()))
    return found


def expected(notebook: Notebook, secret: bytes, students: Sequence[str], exercise: str) -> dict[str, list[Number]]:
    """The numbers that each student's data give, in the same order for all.

    Args:
        notebook: the solution.
        exercise: its path in the folder of solutions, which the seeds depend on.

    Raises:
        ValueError: if a cell of the solution fails, or prints more numbers for one student than for another.
    """
    places = _dependent(notebook)
    if not places:
        return {student: [] for student in students}
    own = {student: _sources(personal.personal(notebook, secret, student, exercise)) for student in students}
    each = [{str(place): own[student][place] for place in places} for student in students]
    work = {"cells": _sources(notebook), "each": each}
    alone = {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    environment = {**os.environ, **alone, "PYTHONPATH": str(checkout.home())}
    done = subprocess.run(
        [sys.executable, "-m", "mechlib.course.drawn"],
        input=json.dumps(work),
        capture_output=True,
        encoding="utf-8",
        env=environment,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise ValueError(f"{exercise} cannot be run with the students' data: {last}")
    found = dict(zip(students, map(numbers, json.loads(done.stdout)), strict=True))
    if len(lengths := {len(each) for each in found.values()}) > 1:
        raise ValueError(f"{exercise} prints {' or '.join(map(str, sorted(lengths)))} numbers, not as many for all")
    return found


def _sources(notebook: Notebook) -> list[str]:
    return [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]


def _dependent(notebook: Notebook) -> list[int]:
    """Which of the code cells depend on the student's data."""
    names_of_data: set[str] = set()
    found = []
    for place, cell in enumerate(cell for cell in notebook["cells"] if cell["cell_type"] == "code"):
        tagged = personal.TAG in cell["metadata"].get("tags", ())
        if tagged or names_of_data:
            bound, read = _names(cell["source"])
            if tagged or read & names_of_data:
                found.append(place)
                names_of_data |= bound
    return found


def _names(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell gives values to, functions and imports left out, and those that it reads."""
    tree = ast.parse(source)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store) and id(node) not in inside}
    return bound, {node.id for node in names if isinstance(node.ctx, ast.Load)}


def drawn(
    solutions: Path, exercise: str, secret: bytes, students: Sequence[str], kept: Path | None = None
) -> dict[str, list[Number]]:
    """``expected`` of an exercise, kept in a file between calls, which only its owner can read.

    Args:
        kept: a CSV file; what it holds is taken if solution, secret, students and the version of mechlib are the same.
    """
    notebook = checkout.read_notebook(solutions / exercise)
    about = (checkout.dump_notebook(notebook), secret.hex(), exercise, *students, mechlib.__version__)
    digest = hashlib.sha256("\0".join(about).encode()).hexdigest()
    if kept is not None and kept.is_file():
        head, *rows = csv.reader(io.StringIO(kept.read_text(encoding="utf-8")))
        if head == ["student", "number", digest]:
            known: dict[str, list[Number]] = {student: [] for student in students}
            for student, text, digits in rows:
                known[student].append(Number(float(text), int(digits), text))
            return known
    found = expected(notebook, secret, students, exercise)
    if kept is not None:
        buffer = io.StringIO()
        rows = [[s, repr(n.value), str(n.digits)] for s, each in found.items() for n in each]
        csv.writer(buffer).writerows([["student", "number", digest], *rows])
        checkout.write_changed({kept: buffer.getvalue()}, private=True)
    return found


def main() -> None:
    """Read the cells from standard input as JSON, and write what those of every student print as a list of texts."""
    work: Mapping[str, Any] = json.load(sys.stdin)
    _quiet_checks()
    names: dict[str, Any] = {"__name__": "__main__", "display": lambda *objects, **keywords: None}
    names["get_ipython"] = lambda: Shell()
    wanted = {int(place) for own in work["each"] for place in own}
    before: dict[int, dict[str, Any]] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for place, source in enumerate(work["cells"]):
            if place in wanted:
                before[place] = dict(names)
            _run(source, names)
    print(json.dumps([_printed(own, before) for own in work["each"]]))


class Shell:
    """Stands where IPython's shell is: magics do nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **keywords: None


def _printed(cells: Mapping[str, str], before: Mapping[int, Mapping[str, Any]]) -> str:
    """What a student's cells print, each on what was there before it and on what the student's earlier ones made."""
    own: dict[str, Any] = {}
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        for place, source in cells.items():
            names = {**before[int(place)], **own}
            start = dict(names)
            _run(source, names)
            own |= {name: value for name, value in names.items() if name not in start or start[name] is not value}
    return said.getvalue()


def _run(source: str, names: dict[str, Any]) -> None:
    from IPython.core.inputtransformer2 import TransformerManager

    exec(compile(TransformerManager().transform_cell(source), "<cell>", "exec"), names)


def _quiet_checks() -> None:
    """Everything counts as solved, and nothing is checked or recorded."""
    import mechlib.checks

    for name in set(mechlib.checks.__all__) - {"as_tensor"}:
        setattr(mechlib.checks, name, lambda *arguments, **keywords: True)


if __name__ == "__main__":
    main()
