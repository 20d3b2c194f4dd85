"""A class in tables: ``grades.csv``, and what Canvas, Moodle and Brightspace import into their gradebooks.

What was not graded, and what a person has to decide on, has no score: an empty cell, not 0.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from mechlib.checks.handing_in import INVITATION
from mechlib.course.matching import Match, matches
from mechlib.course.pages import printable
from mechlib.course.roster import Student
from mechlib.grading.results import SubmissionGrade

__all__ = ["WHY_UNGRADED", "brightspace", "canvas", "counting", "grades", "missing", "moodle", "written"]

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would compute."""

NOT_HANDED_IN = "not handed in"
UNDECIDED = "undecided"

WHY_UNGRADED = {
    "file": "not graded: the file cannot be read",
    "chapter": "not graded: the notebook is on another chapter",
    "superseded": "not graded: a later submission counts",
    "grader": "not graded: the grader failed",
}
"""Why a submission has no score, in words."""


def grades(all_grades: Sequence[SubmissionGrade], students: Sequence[Student] = ()) -> str:
    """One row for every submission, those that a later one replaces included, and for every student without one.

    Columns: student, number, file, chapter, state (``counts``, ``superseded``, ``undecided``, ``not graded`` or ``not
    handed in``), score, points, the score of every question (empty where the submission is on another chapter), whether
    somebody should look at it; where a platform marked any as late, which ones; where any is undecided or not graded,
    why.
    """
    ids = list(dict.fromkeys(question.id for grade in all_grades for question in grade.questions))
    found = matches(all_grades, students)
    header = ["student", "number", "file", "chapter", "state", "score", "points", *ids, "look at it"]
    rows = [_grade_row(match, ids) for match in found]
    if any(grade.late for grade in all_grades):
        header, rows = [*header, "late"], [[*row, "yes" * m.grade.late] for row, m in zip(rows, found, strict=True)]
    if any(map(_why, found)):
        header, rows = [*header, "why"], [[*row, _why(match)] for row, match in zip(rows, found, strict=True)]
    absent = [[s.id, s.canvas_id, "", "", NOT_HANDED_IN] for s in missing(all_grades, students)]
    return _csv([header, *rows, *(row + [""] * (len(header) - len(row)) for row in absent)])


def _grade_row(match: Match, ids: Sequence[str]) -> list[str]:
    grade = match.grade
    scores = {} if grade.ungraded else {question.id: f"{question.score:g}" for question in grade.questions}
    score = "" if grade.ungraded else f"{grade.score:g}"
    own = (scores.get(question_id, "") for question_id in ids)
    look = grade.needs_human or bool(match.why)
    about = (grade.student, grade.number, grade.source, grade.chapter, _state(match))
    return [*about, score, f"{grade.points:g}", *own, "yes" * look]


def _state(match: Match) -> str:
    if match.grade.superseded:
        return "superseded"
    if match.why:
        return UNDECIDED
    return "not graded" if match.grade.ungraded else "counts"


def _why(match: Match) -> str:
    """Why a submission has no score that counts; empty if it has one."""
    if match.grade.superseded:
        return ""
    return match.why or WHY_UNGRADED.get(match.grade.ungraded, "")


def counting(all_grades: Iterable[SubmissionGrade]) -> dict[tuple[str, str], SubmissionGrade]:
    """The submissions that count, by student and chapter; of those that are tied none does."""
    found = (grade for grade in all_grades if not grade.superseded and not grade.tied)
    return {(grade.student, grade.chapter): grade for grade in found}


def missing(all_grades: Iterable[SubmissionGrade], students: Sequence[Student]) -> list[Student]:
    """The students of the roster who handed nothing in, as far as is certain."""
    found = matches(list(all_grades), students)
    there = {student for match in found for student in (match.student, *match.possible)}
    return [student for student in students if student not in there]


def _people(
    all_grades: Sequence[SubmissionGrade], students: Sequence[Student]
) -> list[tuple[Student, dict[str, SubmissionGrade]]]:
    """Every student, first those of the roster, with the submissions that count by chapter."""
    known: dict[Student, dict[str, SubmissionGrade]] = {student: {} for student in students}
    others: dict[str, tuple[Student, dict[str, SubmissionGrade]]] = {}
    for match in matches(all_grades, students):
        if match.counts:
            name = match.grade.student
            of = known[match.student] if match.student else others.setdefault(name, (_stranger(match.grade), {}))[1]
            of[match.grade.chapter] = match.grade
    return [*known.items(), *others.values()]


def _stranger(grade: SubmissionGrade) -> Student:
    """A student whom no roster knows: as far as a platform tells; a name of a file of one's own may be an id."""
    number, name = grade.number, grade.student
    if grade.platform in ("", "canvas"):
        return Student(name * (not grade.platform), name, canvas_id=number)
    return Student(number if grade.platform == "gradescope" else "", name)


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
    open_ = [match for match in matches(all_grades, students) if match.undecided]
    waiting = {(student, match.grade.chapter) for match in open_ for student in match.possible}
    rows = [
        (
            s.id,
            s.name,
            s.email,
            *(part for c in possible for part in (_score(of, c), _line(of.get(c), (s, c) in waiting))),
        )
        for s, of in _people(all_grades, students)
    ]
    return _csv([("ID number", "Full name", "Email address", *columns), *rows])


def brightspace(all_grades: Sequence[SubmissionGrade], students: Sequence[Student] = ()) -> str:
    """What Brightspace's gradebook imports: a numeric item for every chapter; its column names the most points.

    A row needs the student's id or user name, so students whom the roster does not know are left out.
    """
    possible = _points(all_grades)
    items = (f"{chapter} Points Grade <Numeric MaxPoints:{points:g}>" for chapter, points in possible.items())
    rows = [
        (s.id, s.login, *(_score(of, chapter) for chapter in possible), "#")
        for s, of in _people(all_grades, students)
        if s.id or s.login
    ]
    return _csv([("OrgDefinedId", "Username", *items, "End-of-Line Indicator"), *rows])


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
    return f"{of[chapter].score:g}" if chapter in of and not of[chapter].ungraded else ""


def _line(grade: SubmissionGrade | None, waiting: bool) -> str:
    if grade is None:
        return "a person has yet to decide what counts" if waiting else NOT_HANDED_IN
    if grade.ungraded:
        return WHY_UNGRADED[grade.ungraded]
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
