"""A class in tables: ``grades.csv``, and what Canvas and Moodle import into their gradebooks."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from mechlib.checks.handing_in import INVITATION
from mechlib.course.pages import printable
from mechlib.course.roster import Student, whose
from mechlib.grading.results import SubmissionGrade

__all__ = ["canvas", "counting", "grades", "missing", "moodle", "written"]

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would compute."""

NOT_HANDED_IN = "not handed in"


def grades(all_grades: Sequence[SubmissionGrade], students: Sequence[Student] = ()) -> str:
    """One row for every submission, those that a later one replaces included, and for every student without one.

    Columns: student, number, file, chapter, state (``counts``, ``superseded`` or ``not handed in``), score, points, the
    score of every question (empty where the submission is on another chapter), whether somebody should look at it.
    """
    ids = list(dict.fromkeys(question.id for grade in all_grades for question in grade.questions))
    header = ("student", "number", "file", "chapter", "state", "score", "points", *ids, "look at it")
    rows = [_grade_row(grade, ids) for grade in all_grades]
    rows += [(s.id, s.canvas_id, "", "", NOT_HANDED_IN, *[""] * (3 + len(ids))) for s in missing(all_grades, students)]
    return _csv([header, *rows])


def _grade_row(grade: SubmissionGrade, ids: Sequence[str]) -> tuple[str, ...]:
    scores = {question.id: f"{question.score:g}" for question in grade.questions}
    state = "superseded" if grade.superseded else "counts"
    sums = (f"{grade.score:g}", f"{grade.points:g}")
    own = (scores.get(question_id, "") for question_id in ids)
    return grade.student, grade.number, grade.source, grade.chapter, state, *sums, *own, "yes" * grade.needs_human


def counting(all_grades: Iterable[SubmissionGrade]) -> dict[tuple[str, str], SubmissionGrade]:
    """The submissions that count, by student and chapter."""
    return {(grade.student, grade.chapter): grade for grade in all_grades if not grade.superseded and not grade.tied}


def missing(all_grades: Iterable[SubmissionGrade], students: Sequence[Student]) -> list[Student]:
    """The students of the roster who handed nothing in."""
    by_key = whose(students)
    there = {found.id for grade in all_grades if (found := _student(grade, by_key))}
    return [student for student in students if student.id not in there]


def _student(grade: SubmissionGrade, by_key: dict[str, Student]) -> Student | None:
    """The student of a submission; the platform's number decides where there is one."""
    return by_key.get(grade.number.casefold()) or by_key.get(grade.student.casefold())


def _people(
    all_grades: Sequence[SubmissionGrade], students: Sequence[Student]
) -> list[tuple[Student, dict[str, SubmissionGrade]]]:
    """Every student, first those of the roster, with the submissions that count by chapter."""
    by_key = whose(students)
    found: dict[Student, dict[str, SubmissionGrade]] = {student: {} for student in students}
    for grade in counting(all_grades).values():
        student = _student(grade, by_key) or Student(grade.student, grade.student, canvas_id=grade.number)
        found.setdefault(student, {})[grade.chapter] = grade
    return list(found.items())


def _points(all_grades: Sequence[SubmissionGrade]) -> dict[str, float]:
    """The points to be had by chapter; a submission on none has no column."""
    return {grade.chapter: grade.points for grade in sorted(all_grades, key=lambda g: g.chapter) if grade.questions}


def canvas(all_grades: Sequence[SubmissionGrade], students: Sequence[Student] = ()) -> str:
    """What Canvas' gradebook imports: one column for every chapter, its points in the second line."""
    possible = _points(all_grades)
    header = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section", *possible)
    second = ("    Points Possible", "", "", "", "", *(f"{points:g}" for points in possible.values()))
    rows = [
        (s.name or s.id, s.canvas_id, s.id, s.login, s.section, *(_score(of, chapter) for chapter in possible))
        for s, of in _people(all_grades, students)
    ]
    return _csv([header, second, *rows])


def moodle(all_grades: Sequence[SubmissionGrade], students: Sequence[Student] = ()) -> str:
    """What Moodle's gradebook imports: a grade and a line of feedback for every chapter."""
    possible = _points(all_grades)
    columns = [part for chapter in possible for part in (chapter, f"Feedback: {chapter}")]
    rows = [
        (s.id, s.name, s.email, *(part for c in possible for part in (_score(of, c), _line(of.get(c)))))
        for s, of in _people(all_grades, students)
    ]
    return _csv([("ID number", "Full name", "Email address", *columns), *rows])


def written(all_grades: Iterable[SubmissionGrade]) -> str:
    """The written answers of the submissions that count, with empty columns for a person's points and comment."""
    header = ("student", "file", "answer", "text", "points", "comment")
    rows = [
        (grade.student, grade.source, answer.cell, "" if answer.text == INVITATION else answer.text, "", "")
        for grade in counting(all_grades).values()
        for answer in grade.written
    ]
    return _csv([header, *rows])


def _score(of: dict[str, SubmissionGrade], chapter: str) -> str:
    return f"{of[chapter].score:g}" if chapter in of else ""


def _line(grade: SubmissionGrade | None) -> str:
    if grade is None:
        return NOT_HANDED_IN
    return "; ".join(f"{q.title}: {q.score:g} of {q.points:g}" for q in grade.questions)


def _csv(rows: Iterable[Sequence[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerows([_safe(cell) for cell in row] for row in rows)
    return buffer.getvalue()


def _safe(cell: str) -> str:
    """A cell that is text to every spreadsheet."""
    text = printable(cell)
    return f"'{text}" if text.startswith(FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
