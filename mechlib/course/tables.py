"""A class in tables: ``grades.csv``, and what Canvas, Moodle and Brightspace import into their gradebooks.

What was not graded, and what a person has to decide on or to mark, has no score: an empty cell, not 0.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Literal

from mechlib.course import marks, times
from mechlib.course.matching import Group, Match, matches
from mechlib.course.pages import printable
from mechlib.course.roster import Student
from mechlib.course.rules import PLAIN, Rules
from mechlib.course.settling import to_mark
from mechlib.course.spreadsheet import guarded
from mechlib.course.whose import anonymous
from mechlib.grading.platforms import folded
from mechlib.grading.results import SubmissionGrade

__all__ = [
    "WHY_UNGRADED",
    "Book",
    "Names",
    "brightspace",
    "canvas",
    "grades",
    "line",
    "missing",
    "moodle",
    "term",
    "text",
    "written",
]

Names = Literal["id", "name", "anonymous"]
"""What the students are called in ``written.csv``: by the ids of the roster, by their names, or by a sign each."""

NOT_HANDED_IN = "not handed in"
UNDECIDED = "undecided"

WHY_UNGRADED = {
    "file": "not graded: the file cannot be read",
    "chapter": "not graded: the notebook is on another chapter",
    "superseded": "not graded: a later submission counts",
    "grader": "not graded: the grader failed",
}
"""Why a submission has no score, in words."""


def grades(
    all_grades: Sequence[SubmissionGrade],
    students: Sequence[Student] = (),
    groups: Sequence[Group] = (),
    rules: Rules = PLAIN,
) -> str:
    """One row for every submission, those that a later one replaces included, and for every student without one.

    Columns: student, number, file, chapter, state (``counts``, ``waiting`` for a person, ``superseded``, ``undecided``,
    ``not graded`` or ``not handed in``), score, points, the score of every question (empty where the submission is on
    another chapter), whether somebody should look at it. Where any submission has something to say in them: the id in
    the roster, where that is certain; the points
    of every written answer, what a person decided on instead of the grader, the group, whether the platform marked it
    as late, when it came and what tells that if there is a deadline, what lateness cost, and why there is no score.
    """
    ids = list(dict.fromkeys(question.id for grade in all_grades for question in grade.questions))
    found = matches(all_grades, students, groups)
    header = ["student", "number", "file", "chapter", "state", "score", "points", *ids, "look at it"]
    rows = [_grade_row(match, ids) for match in found]
    for name, cell in _said_of_any(found, rules):
        cells = [cell(match) for match in found]
        if any(cells):
            header, rows = [*header, name], [[*row, each] for row, each in zip(rows, cells, strict=True)]
    absent = [[s.id, s.canvas_id, "", "", NOT_HANDED_IN] for s in _missing(found, students)]
    return text([header, *rows, *(row + [""] * (len(header) - len(row)) for row in absent)])


def _said_of_any(found: Sequence[Match], rules: Rules) -> list[tuple[str, Callable[[Match], str]]]:
    """The columns that are there if a submission has something to say in them."""
    names = dict.fromkeys(answer.cell for match in found for answer in match.grade.written if answer.points)

    def written(name: str) -> Callable[[Match], str]:
        return lambda match: next((_number(a.score) for a in match.grade.written if a.cell == name and a.points), "")

    return [
        ("id", lambda match: match.student.id if match.student else ""),
        *((f"written: {name}", written(name)) for name in names),
        ("decided", lambda match: _decided(match.grade)),
        ("group", lambda match: match.group),
        ("late", lambda match: "yes" * match.grade.late),
        ("time", lambda match: _time(match.grade, rules)),
        ("lateness", lambda match: match.grade.lateness),
        ("deducted", lambda match: f"{match.grade.deducted:g}" if match.grade.deducted else ""),
        ("why", _why),
    ]


def _decided(grade: SubmissionGrade) -> str:
    changed = (q for q in grade.questions if q.machine is not None)
    return "; ".join(f"{q.id}: {q.score:g} instead of {q.machine:g}, {q.reason or 'marked'}" for q in changed)


def _time(grade: SubmissionGrade, rules: Rules) -> str:
    """When it came and what tells that; empty where there is no deadline, or where nothing tells."""
    deadline, came = rules.of(grade.chapter).deadline, times.handed_in(grade, rules.zone)
    if deadline is None or came is None:
        return ""
    return f"{times.shown(came, rules.zone)} by the {grade.timed}{', after the deadline' * (came > deadline)}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _grade_row(match: Match, ids: Sequence[str]) -> list[str]:
    grade = match.grade
    scores = {} if grade.ungraded else {question.id: f"{question.score:g}" for question in grade.questions}
    score = f"{grade.score:g}" if grade.final else ""
    own = (scores.get(question_id, "") for question_id in ids)
    look = grade.needs_human or bool(match.why)
    about = (grade.student, grade.number, grade.source, grade.chapter, _state(match))
    return [*about, score, f"{grade.points:g}", *own, "yes" * look]


def _state(match: Match) -> str:
    if match.grade.superseded or match.aside:
        return "superseded"
    if match.why:
        return UNDECIDED
    return "not graded" if match.grade.ungraded else "waiting" if match.grade.waiting else "counts"


def _why(match: Match) -> str:
    """Why a submission has no score that counts; empty if it has one."""
    if match.grade.superseded:
        return ""
    if match.aside:
        return f"another file of {match.group} counts"
    return match.why or WHY_UNGRADED.get(match.grade.ungraded, "") or " ".join(match.grade.waiting)


def missing(
    all_grades: Iterable[SubmissionGrade], students: Sequence[Student], groups: Sequence[Group] = ()
) -> list[Student]:
    """The students of the roster who handed nothing in, as far as is certain."""
    return _missing(matches(list(all_grades), students, groups), students)


def _missing(found: Sequence[Match], students: Sequence[Student]) -> list[Student]:
    there = {student.id for match in found for student in (match.student, *match.possible) if student}
    there |= {who for match in found for who in match.members}
    return [student for student in students if student.id not in there]


@dataclass(frozen=True)
class Book:
    """A gradebook: every student with the submissions that count."""

    people: tuple[tuple[Student, dict[str, SubmissionGrade]], ...]
    """First those of the roster; the submissions by chapter."""
    possible: dict[str, float]
    """The points to be had by chapter."""
    waiting: frozenset[tuple[str, str]] = frozenset()
    """The ids of the students, with the chapter, of whom a person has yet to decide what counts."""

    @classmethod
    def of(
        cls, all_grades: Sequence[SubmissionGrade], students: Sequence[Student] = (), groups: Sequence[Group] = ()
    ) -> Book:
        """That of a class."""
        found: dict[str, tuple[Student, dict[str, SubmissionGrade]]] = {s.id: (s, {}) for s in students}
        matched = matches(all_grades, students, groups)
        for match in matched:
            for who in match.people:
                other = Student("", who.removeprefix("?")) if match.members else _stranger(match.grade)
                found.setdefault(who, (other, {}))[1][match.grade.chapter] = match.grade
        open_ = ((student.id, m.grade.chapter) for m in matched if m.undecided for student in m.possible)
        in_order = sorted(all_grades, key=lambda grade: grade.chapter)
        possible = {grade.chapter: grade.points for grade in in_order if grade.questions}
        return cls(tuple(found.values()), possible, frozenset(open_))

    @classmethod
    def together(cls, books: Sequence[Book]) -> Book:
        """That of several classes of the same students, each on chapters of its own."""
        found: dict[tuple[str, str], tuple[Student, dict[str, SubmissionGrade]]] = {}
        for book in books:
            for student, of in book.people:
                key = (student.id, "" if student.id else student.name)
                found.setdefault(key, (student, {}))[1].update(of)
        possible = dict(sorted((chapter, points) for book in books for chapter, points in book.possible.items()))
        return cls(tuple(found.values()), possible, frozenset(each for book in books for each in book.waiting))


def _stranger(grade: SubmissionGrade) -> Student:
    """A student whom no roster knows: as far as a platform tells; a name of a file of one's own may be an id."""
    number, name = grade.number, grade.student
    if grade.platform in ("", "canvas"):
        return Student(name * (not grade.platform), name, canvas_id=number)
    return Student(number if grade.platform == "gradescope" else "", name)


def canvas(book: Book, rules: Rules = PLAIN) -> str:
    """What Canvas' gradebook imports: one column for every chapter, its points in the second line.

    A column that is called as Canvas calls it, name and number of the assignment, fills that assignment.
    """
    columns = [rules.column("canvas", chapter) for chapter in book.possible]
    header = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section", *columns)
    second = ("    Points Possible", "", "", "", "", *(f"{points:g}" for points in book.possible.values()))
    rows = [
        (s.name or s.id, s.canvas_id, s.id, s.login, s.section, *(_score(of, chapter) for chapter in book.possible))
        for s, of in book.people
    ]
    return text([header, second, *rows])


def moodle(book: Book, rules: Rules = PLAIN) -> str:
    """What Moodle's gradebook imports: a grade and a line of feedback for every chapter."""
    names = [rules.column("moodle", chapter) for chapter in book.possible]
    columns = [part for name in names for part in (name, f"Feedback: {name}")]
    rows = [
        (
            s.id,
            s.name,
            s.email,
            *(part for c in book.possible for part in (_score(of, c), line(of.get(c), (s.id, c) in book.waiting))),
        )
        for s, of in book.people
    ]
    return text([("ID number", "Full name", "Email address", *columns), *rows])


def brightspace(book: Book, rules: Rules = PLAIN) -> str:
    """What Brightspace's gradebook imports: a numeric item for every chapter; its column names the most points.

    A row needs the student's id or user name, so students whom the roster does not know are left out.
    """
    names = {chapter: rules.column("brightspace", chapter) for chapter in book.possible}
    items = (f"{names[chapter]} Points Grade <Numeric MaxPoints:{most:g}>" for chapter, most in book.possible.items())
    rows = [
        (s.id, s.login, *(_score(of, chapter) for chapter in book.possible), "#")
        for s, of in book.people
        if s.id or s.login
    ]
    return text([("OrgDefinedId", "Username", *items, "End-of-Line Indicator"), *rows])


def term(book: Book) -> str:
    """One row for every student: id, name, the points of every chapter and their sum, empty while one is not final."""
    possible = book.possible.values()
    rows: list[tuple[str, ...]] = [("", "points", *(f"{points:g}" for points in possible), f"{sum(possible):g}")]
    for student, of in book.people:
        open_ = [chapter for chapter in of if not of[chapter].final]
        open_ += [chapter for chapter in book.possible if (student.id, chapter) in book.waiting]
        total = "" if open_ else f"{sum(grade.score for grade in of.values()):g}"
        rows.append((student.id, student.name, *(_score(of, chapter) for chapter in book.possible), total))
    return text([("id", "name", *book.possible, "in all"), *rows])


def written(
    all_grades: Sequence[SubmissionGrade],
    students: Sequence[Student] = (),
    groups: Sequence[Group] = (),
    names: Names = "id",
    secret: bytes | None = None,
    unmarked: bool = False,
) -> str:
    """What a person has to mark of the submissions that count, with the points and comments that there are: the written
    answers, and the open tasks that were not judged. The columns are those of ``marks``.

    Args:
        all_grades: the submissions.
        students: the roster.
        groups: those who hand in together.
        names: what the students are called.
        secret: draws the signs that they are called by where they are anonymous.
        unmarked: leave out what has points already, and what was left empty.
    """
    counts = Counter(folded(student.name) for student in students)
    shared = {name for name, count in counts.items() if count > 1}
    rows = []
    for match in matches(all_grades, students, groups):
        grade = match.grade
        if grade.superseded or grade.tied or match.aside:
            continue
        who, file = _called(match, names, secret, shared), grade.source * (names != "anonymous")
        for answer in grade.written:
            if answer.text or not answer.points:
                shown = answer.text if to_mark(answer) else ""
                score = _number(answer.score) if to_mark(answer) or answer.score else ""
                row = (who, grade.chapter, answer.cell, score, answer.comment, marks.sign(answer.text), file, shown)
                if not unmarked or (shown and answer.score is None):
                    rows.append(row)
        for q in grade.questions:
            if q.status == "unjudged" and not (unmarked and q.machine is not None):
                score = "" if q.machine is None else f"{q.score:g}"
                rows.append((who, grade.chapter, q.id, score, q.reason, marks.sign(q.message), file, q.message))
    return text([marks.COLUMNS, *(sorted(rows) if names == "anonymous" else rows)])


def _called(match: Match, names: Names, secret: bytes | None, shared: Set[str]) -> str:
    """What a student is called in ``written.csv``: by the id if the name is ``shared`` by several."""
    if names == "anonymous":
        if secret is None:
            raise ValueError("an anonymous table needs the secret that draws the students' signs: give --secret FILE")
        return anonymous(secret, match.grade.chapter, match.grade.student)
    if match.student is None:
        return match.grade.student
    by_name = names == "name" and folded(match.student.name) not in shared
    return (match.student.name * by_name) or match.student.id


def _score(of: dict[str, SubmissionGrade], chapter: str) -> str:
    return f"{of[chapter].score:g}" if chapter in of and of[chapter].final else ""


def line(grade: SubmissionGrade | None, waiting: bool = False) -> str:
    """What a student is told in one line."""
    if grade is None:
        return "a person has yet to decide what counts" if waiting else NOT_HANDED_IN
    if grade.ungraded:
        return WHY_UNGRADED[grade.ungraded]
    parts = [f"{q.title}: {q.score:g} of {q.points:g}" for q in grade.questions if not q.until]
    parts += [f"{q.title}: result on {q.until}" for q in grade.questions if q.until]
    parts += [f"{a.cell}: {_number(a.score) or 'not marked yet'} of {a.points:g}" for a in grade.written if a.points]
    return "; ".join([*parts, *([grade.lateness] if grade.deducted else [])])


def text(rows: Iterable[Sequence[str]]) -> str:
    """A table as CSV whose cells no spreadsheet computes."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerows([guarded(printable(cell)) for cell in row] for row in rows)
    return buffer.getvalue()
