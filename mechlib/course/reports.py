"""The files that grading a class leaves behind: for every submission, and for the class. Nobody but their owner can
read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mechlib.authoring import checkout
from mechlib.course import afterwards, graded, tables
from mechlib.course.feedback import feedback, gradescope_results
from mechlib.course.matching import Group
from mechlib.course.roster import Student
from mechlib.course.rules import PLAIN, Rules
from mechlib.course.summary import summary
from mechlib.course.tables import Names
from mechlib.grading.results import SubmissionGrade

__all__ = ["clear", "write", "write_class"]

OF_EACH = ("results.json", "feedback.html")
OF_CLASS = ("grades.csv", "canvas.csv", "moodle.csv", graded.WRITTEN, "summary.html")
OF_BRIGHTSPACE = "brightspace.csv"
"""Written where the class comes from Brightspace."""
OPEN = "written-open.csv"
"""What is still to be marked, where ``written.csv`` was filled in and stays as it is."""


def clear(out: Path) -> list[Path]:
    """Remove what ``write`` and ``write_class`` wrote into ``out`` in an earlier run, so that nothing stays of students
    who are gone; what somebody else put there stays, and so does a folder that holds any of it, closed to others.

    Returns:
        where the files are now that the lecturer has changed since.
    """
    kept = graded.keep_theirs(out)
    filled = graded.theirs(out)
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
    for name in (*OF_CLASS, OF_BRIGHTSPACE, OPEN, afterwards.PAGE):
        if not (filled and name == graded.WRITTEN):
            (out / name).unlink(missing_ok=True)
    graded.forget(out, *([graded.WRITTEN] if filled else []))
    return kept


def write(grade: SubmissionGrade, folder: Path) -> None:
    """Write ``results.json`` in Gradescope's format and ``feedback.html`` for one submission."""
    checkout.write_changed({folder / name: text for name, text in _of_each(grade).items()}, private=True)


def _of_each(grade: SubmissionGrade) -> dict[str, str]:
    return dict(zip(OF_EACH, (gradescope_results(grade), feedback(grade)), strict=True))


def write_class(
    grades: Mapping[str, SubmissionGrade],
    out: Path,
    students: Sequence[Student] = (),
    groups: Sequence[Group] = (),
    rules: Rules = PLAIN,
    names: Names = "id",
    secret: bytes | None = None,
) -> list[Path]:
    """Write the pages of all submissions, the tables of a class (``tables``) and its ``summary.html``; the files that
    changed. A ``written.csv`` that the lecturer has filled in stays: what is still to be marked stands beside it.

    Args:
        grades: every submission by its folder, relative to ``out``, with ``/`` between its parts.
        out: the folder of the grades.
        students: the roster, for names, numbers and those who handed nothing in.
        groups: those who handed in together.
        rules: what the columns for the platforms are called, and the time zone.
        names: what the students are called in ``written.csv``.
        secret: draws the signs that they are called by there where they are anonymous.
    """
    everything = list(grades.values())
    book = tables.Book.of(everything, students, groups)
    texts = {
        "grades.csv": tables.grades(everything, students, groups, rules),
        "canvas.csv": tables.canvas(book, rules),
        "moodle.csv": tables.moodle(book, rules),
        "summary.html": summary(grades, students, groups),
    }
    name = OPEN if graded.theirs(out) else graded.WRITTEN
    texts[name] = tables.written(everything, students, groups, names, secret, unmarked=name == OPEN)
    if any(grade.platform == "brightspace" for grade in everything):
        texts[OF_BRIGHTSPACE] = tables.brightspace(book, rules)
    files = {out / name: text for name, text in texts.items()}
    for folder, grade in grades.items():
        files |= {out / folder / name: text for name, text in _of_each(grade).items()}
    return graded.recorded(out, files)
