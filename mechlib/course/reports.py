"""The files that grading a class leaves behind: for every submission, and for the class. Nobody but their owner can
read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mechlib.authoring import checkout
from mechlib.course import tables
from mechlib.course.feedback import feedback, gradescope_results
from mechlib.course.roster import Student
from mechlib.course.summary import summary
from mechlib.grading.results import SubmissionGrade

__all__ = ["clear", "write", "write_class"]

OF_EACH = ("results.json", "feedback.html")
OF_CLASS = ("grades.csv", "canvas.csv", "moodle.csv", "written.csv", "summary.html")
OF_BRIGHTSPACE = "brightspace.csv"
"""Written where the class comes from Brightspace."""


def clear(out: Path) -> None:
    """Remove what ``write`` and ``write_class`` wrote into ``out`` in an earlier run, so that nothing stays of students
    who are gone; what somebody else put there stays, and so does a folder that holds any of it, closed to others."""
    students = out / "students"
    if students.is_dir():
        students.chmod(0o700)
    for folder in students.glob("*"):
        if folder.is_dir() and not folder.is_symlink():
            for name in OF_EACH:
                (folder / name).unlink(missing_ok=True)
            folder.chmod(0o700)
            if not any(folder.iterdir()):
                folder.rmdir()
    for name in (*OF_CLASS, OF_BRIGHTSPACE):
        (out / name).unlink(missing_ok=True)


def write(grade: SubmissionGrade, folder: Path) -> None:
    """Write ``results.json`` in Gradescope's format and ``feedback.html`` for one submission."""
    texts = (gradescope_results(grade), feedback(grade))
    checkout.write_changed({folder / name: text for name, text in zip(OF_EACH, texts, strict=True)}, private=True)


def write_class(grades: Mapping[str, SubmissionGrade], out: Path, students: Sequence[Student] = ()) -> list[Path]:
    """Write the tables of a class (``tables``) and its ``summary.html``; the files that changed.

    Args:
        grades: every submission by its folder, relative to ``out``, with ``/`` between its parts.
        out: the folder of the grades.
        students: the roster, for names, numbers and those who handed nothing in.
    """
    everything = list(grades.values())
    texts = (
        tables.grades(everything, students),
        tables.canvas(everything, students),
        tables.moodle(everything, students),
        tables.written(everything),
        summary(grades, students),
    )
    files = dict(zip(OF_CLASS, texts, strict=True))
    if any(grade.platform == "brightspace" for grade in everything):
        files[OF_BRIGHTSPACE] = tables.brightspace(everything, students)
    return checkout.write_changed({out / name: text for name, text in files.items()}, private=True)
