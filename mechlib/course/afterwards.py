"""The page on what a graded class shows, with examples from what was handed in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mechlib.course import graded
from mechlib.course.matching import Group
from mechlib.course.roster import Student
from mechlib.course.taught import answer_code, taught
from mechlib.grading import collect
from mechlib.grading.notebook import Cell, read
from mechlib.grading.results import SubmissionGrade

__all__ = ["PAGE", "write"]

PAGE = "class.html"


def write(
    grades: Sequence[SubmissionGrade],
    out: Path,
    submissions: str,
    students: Sequence[Student] = (),
    groups: Sequence[Group] = (),
) -> None:
    """Write the page into the folder of the grades, for nobody but its owner to read.

    Args:
        submissions: where the notebooks lie; what is not there any more is an example without its text.
    """
    wanted = {grade.source for grade in grades if any(question.returned for question in grade.questions)}
    cells = _cells(Path(submissions), students, wanted) if wanted and submissions else {}
    text = taught(grades, lambda grade, name: answer_code(cells.get(grade.source, ()), name), students, groups)
    graded.recorded(out, {out / PAGE: text})


def _cells(path: Path, students: Sequence[Student], wanted: set[str]) -> dict[str, tuple[Cell, ...]]:
    """The code of the submissions that are wanted, by source."""
    found = {}
    try:
        there = collect(path, [key for student in students for key in student.keys])
    except (ValueError, OSError):
        return {}
    for submission in there:
        if submission.source in wanted:
            try:
                found[submission.source] = read(submission.notebook_bytes).cells
            except (ValueError, OSError):
                continue
    return found
