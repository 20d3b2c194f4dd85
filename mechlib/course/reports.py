"""The files that grading a class leaves behind: for every submission, and for the class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mechlib.authoring import checkout
from mechlib.course import tables
from mechlib.course.feedback import feedback, gradescope_results
from mechlib.course.roster import Student
from mechlib.course.summary import summary
from mechlib.grading.results import SubmissionGrade

__all__ = ["write", "write_class"]


def write(grade: SubmissionGrade, folder: Path) -> None:
    """Write ``results.json`` in Gradescope's format and ``feedback.html`` for one submission."""
    files = {"results.json": gradescope_results(grade), "feedback.html": feedback(grade)}
    checkout.write_changed({folder / name: text for name, text in files.items()})


def write_class(grades: Mapping[str, SubmissionGrade], out: Path, students: Sequence[Student] = ()) -> list[Path]:
    """Write the tables of a class (``tables``) and its ``summary.html``; the files that changed.

    Args:
        grades: every submission by its folder, relative to ``out``, with ``/`` between its parts.
        out: the folder of the grades.
        students: the roster, for names, numbers and those who handed nothing in.
    """
    everything = list(grades.values())
    files = {
        "grades.csv": tables.grades(everything, students),
        "canvas.csv": tables.canvas(everything, students),
        "moodle.csv": tables.moodle(everything, students),
        "written.csv": tables.written(everything),
        "summary.html": summary(grades, students),
    }
    return checkout.write_changed({out / name: text for name, text in files.items()})
