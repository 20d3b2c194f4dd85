"""The exercises as a course of nbgrader: the same solutions, with the metadata that nbgrader needs.

An answer's cell becomes a solution of nbgrader, its check a test worth the question's points, a written answer a cell
to be graded by hand. ``check`` never raises, so a hidden line that does is added to each test.

nbgrader knows a cell by its metadata alone, and gives 0 without a word where they are gone. They are gone from what
students hand in: ``submit`` writes a notebook without them, editors may, and the exercises of the book never had any.
So the configuration of the course puts them back, by the line that checks an answer or marks a written one.
"""

from __future__ import annotations

import copy
import json
import pprint
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, NotRequired, TypedDict

from mechlib.authoring import checkout, exercises
from mechlib.authoring.checkout import Notebook
from mechlib.checks import registry
from mechlib.checks.handing_in import CHECK, INVITATION, WRITTEN

__all__ = ["CONFIGURATION", "assignment", "course"]

HIDDEN = """
### BEGIN HIDDEN TESTS
assert solved({id!r})
### END HIDDEN TESTS"""

CONFIGURATION = """\
# Made by 'mechlib release'. The kernel 'python3' must be one that has mechlib installed.
import re

from nbformat.v4 import new_code_cell
from nbgrader.converters import Autograde
from nbgrader.preprocessors import NbGraderPreprocessor

MARKS = {marks}
NAMED = {{"code": re.compile({check!r}, re.MULTILINE), "markdown": re.compile({written!r})}}


class Restore(NbGraderPreprocessor):
    \"\"\"Puts nbgrader's metadata back into what was handed in without; of several checks of a question, into the last.

    A check that is gone is added at the end.
    \"\"\"

    def preprocess(self, notebook, resources):
        known = MARKS.get(resources["nbgrader"]["notebook"], {{}})
        there = {{cell.metadata["nbgrader"].get("grade_id") for cell in notebook.cells if "nbgrader" in cell.metadata}}
        for cell in reversed(notebook.cells):
            found = NAMED[cell.cell_type].search(cell.source) if cell.cell_type in NAMED else None
            mark = known.get(f"{{cell.cell_type}} {{found[1]}}") if found else None
            if mark and "nbgrader" not in cell.metadata and mark["grade_id"] not in there:
                cell.metadata["nbgrader"] = dict(mark)
                there.add(mark["grade_id"])
        for name, mark in known.items():
            if name.startswith("code ") and mark["grade_id"] not in there:  # its text comes from the gradebook
                notebook.cells.append(new_code_cell(metadata={{"nbgrader": dict(mark)}}))
        return notebook, resources


c = get_config()
c.Autograde.sanitize_preprocessors = [Restore, *Autograde.sanitize_preprocessors.default()]
c.CourseDirectory.course_id = {course}
c.CourseDirectory.root = {root}
c.ClearSolutions.code_stub = {{"python": "raise NotImplementedError  # your answer here"}}
c.ClearSolutions.text_stub = "{invitation}"
c.ClearSolutions.begin_solution_delimeter = "BEGIN SOLUTION"
c.ClearSolutions.end_solution_delimeter = "END SOLUTION"
c.ExecutePreprocessor.timeout = 300
"""

HERE = '__import__("os").path.dirname(__import__("os").path.abspath(__file__))'


def assignment(solution: Notebook) -> Notebook:
    """A solution as nbgrader's source of an assignment; cells tagged ``solution-only`` are left out.

    Raises:
        ValueError: if two cells check the same question, as nbgrader allows a grade's name once only.
    """
    marked = copy.deepcopy(solution)
    marked["cells"] = [cell for cell in marked["cells"] if "solution-only" not in cell["metadata"].get("tags", ())]
    names = []
    for cell in marked["cells"]:
        if about := _about(cell):
            cell["metadata"]["nbgrader"] = about
            names.append(about["grade_id"])
        if cell["cell_type"] == "code" and (checked := CHECK.search(cell["source"])):
            cell["source"] += HIDDEN.format(id=checked[1])
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"nbgrader needs one cell for each grade; {', '.join(twice)} stands in several")
    return marked


class Mark(TypedDict):
    """nbgrader's metadata of a cell, schema 3."""

    grade_id: str
    grade: bool
    solution: bool
    locked: bool
    task: bool
    schema_version: int
    points: NotRequired[float]


def _about(cell: dict) -> Mark | None:
    """``None`` for a cell that nbgrader leaves alone."""

    def about(name: str, *, grade: bool = False, solution: bool = False, locked: bool = False) -> Mark:
        return {
            "grade_id": name,
            "grade": grade,
            "solution": solution,
            "locked": locked,
            "task": False,
            "schema_version": 3,
        }

    if cell["cell_type"] != "code":
        if not WRITTEN.match(cell["source"]):
            return None
        return {**about(cell["id"], grade=True, solution=True), "points": 0}
    if exercises.BEGIN in cell["source"]:
        return about(cell["id"], solution=True)
    if checked := CHECK.search(cell["source"]):
        return {
            **about(checked[1].replace(".", "-"), grade=True, locked=True),
            "points": registry.find(checked[1]).points,
        }
    return None


def course(name: str, solutions: Mapping[str, Notebook]) -> dict[str, str]:
    """The files of a course folder of nbgrader, by their paths: one assignment for each solution, named as its file."""
    marked = {PurePosixPath(path).stem: assignment(solution) for path, solution in solutions.items()}
    marks = {stem: _marks(notebook) for stem, notebook in marked.items()}
    about = {"course": json.dumps(name), "root": HERE, "invitation": INVITATION}
    patterns = {"check": CHECK.pattern, "written": WRITTEN.pattern}
    files = {"nbgrader_config.py": CONFIGURATION.format(**about, **patterns, marks=pprint.pformat(marks, width=115))}
    files |= {f"source/{stem}/{stem}.ipynb": checkout.dump_notebook(notebook) for stem, notebook in marked.items()}
    return files


def _marks(marked: Notebook) -> dict[str, dict[str, Any]]:
    """nbgrader's metadata of the graded cells, by their type and the name in the line that they are known by."""
    found = {}
    for cell in marked["cells"]:
        about = cell["metadata"].get("nbgrader", {})
        named = (CHECK if cell["cell_type"] == "code" else WRITTEN).search(cell["source"])
        if named and about.get("grade"):
            found[f"{cell['cell_type']} {named[1]}"] = about
    return found
