"""The instructor's page on a graded class: scores, questions, misconceptions, and what a person should look at."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args
from urllib.parse import quote

from mechlib.checks import registry
from mechlib.checks.question import Question
from mechlib.course import tables
from mechlib.course.feedback import STATES, points
from mechlib.course.matching import Group, Match, matches
from mechlib.course.pages import Markup, element, page, table
from mechlib.course.roster import Student
from mechlib.course.settled_page import settled
from mechlib.grading.results import GradeStatus, QuestionGrade, SubmissionGrade

__all__ = ["misconceptions", "summary"]

WIDEST = 12.0
"""Length of the longest bar, in em."""


def summary(
    grades: Mapping[str, SubmissionGrade], students: Sequence[Student] = (), groups: Sequence[Group] = ()
) -> str:
    """The page on a class.

    Args:
        grades: every submission by the folder of its feedback page, relative to the summary.
        students: the roster; those who handed nothing in are listed, and whose submissions are not certain.
        groups: those who handed in together.
    """
    found = dict(zip(grades, matches(list(grades.values()), students, groups), strict=True))
    counting = [match.grade for match in found.values() if match.counts]
    graded = [grade for grade in counting if not grade.ungraded]
    chapters = sorted({grade.chapter for grade in graded if grade.questions})
    title = f"{len(counting)} submissions that count" if len(counting) != 1 else "One submission that counts"
    return page(
        title,
        *(part for chapter in chapters for part in _chapter(chapter, [g for g in graded if g.chapter == chapter])),
        *_misconceptions(graded),
        *_undecided(found),
        *settled(found),
        *_to_look_at(grades),
        *_strangers(found, students),
        *_not_in(tables.missing(list(grades.values()), students, groups)),
        *_everything(found),
    )


def _chapter(chapter: str, grades: Sequence[SubmissionGrade]) -> tuple[Markup, ...]:
    final = [grade for grade in grades if grade.final] or grades
    scores, possible = [grade.score for grade in final], grades[0].points
    middle = f"mean {statistics.fmean(scores):.1f}, median {statistics.median(scores):g}"
    counts = Counter(scores)
    most = max(counts.values())
    rows = [(points(score), _bar(counts[score], most)) for score in sorted(counts)]
    states = get_args(GradeStatus)
    by_question: dict[str, list[QuestionGrade]] = {}
    for question in (question for grade in grades for question in grade.questions):
        by_question.setdefault(question.id, []).append(question)
    shares = [
        (given[0].title, *(str(sum(q.status == state for q in given)) for state in states))
        for given in by_question.values()
    ]
    return (
        element("h2", f"{chapter}: {middle} of {points(possible)} points"),
        table(f"Submissions on {chapter} by their score", ("score", "submissions"), rows),
        table(
            f"Answers to the questions of {chapter}",
            ("question", *(STATES[state] for state in states)),
            shares,
            numbers=range(1, len(states) + 1),
        ),
    )


def _bar(count: int, most: int) -> Markup:
    bar = element("span", class_="bar", style=f"width: {WIDEST * count / most:.2f}em", aria_hidden="true")
    return element("span", bar, str(count))


def misconceptions(grades: Sequence[SubmissionGrade]) -> list[tuple[str, str, int]]:
    """Question, name of the misconception and how many answers show it, the commonest first."""
    counts = Counter((q.id, q.misconception) for grade in grades for q in grade.questions if q.misconception)
    return [(question, name, count) for (question, name), count in sorted(counts.items(), key=lambda i: (-i[1], i[0]))]


def _misconceptions(grades: Sequence[SubmissionGrade]) -> tuple[Markup, ...]:
    rows = [
        (name, registry.find(question).title, _sentence(question, name), str(n))
        for question, name, n in misconceptions(grades)
    ]
    if not rows:
        return ()
    header = ("misconception", "question", "what the student is told", "answers")
    return element("h2", "Misconceptions"), table("Named mistakes and how often they occur", header, rows, numbers=(3,))


def _sentence(question_id: str, name: str) -> str:
    question = registry.find(question_id)
    known = question.misconceptions if isinstance(question, Question) else {}
    return known[name].sentence if name in known else ""


def _undecided(found: Mapping[str, Match]) -> tuple[Markup, ...]:
    """The submissions whose points go to nobody until a person decides."""
    rows = [(_link(m.grade.student, folder), m.grade.source, m.why) for folder, m in found.items() if m.undecided]
    if not rows:
        return ()
    table_ = table("Submissions that count for nobody yet", ("student", "file", "why"), rows)
    return element("h2", f"To be decided: {len(rows)}"), table_


def _strangers(found: Mapping[str, Match], students: Sequence[Student]) -> tuple[Markup, ...]:
    """The submissions of students whom the roster does not know."""
    rows = [
        (_link(match.grade.student, folder), match.grade.number, match.grade.source)
        for folder, match in found.items()
        if students and match.counts and match.student is None
    ]
    if not rows:
        return ()
    table_ = table("Submissions of students whom the roster does not know", ("student", "number", "file"), rows)
    return element("h2", f"Not on the roster: {len(rows)}"), table_


def _to_look_at(grades: Mapping[str, SubmissionGrade]) -> tuple[Markup, ...]:
    found = {folder: grade for folder, grade in grades.items() if grade.needs_human and not grade.superseded}
    rows = [(_link(grade.student, folder), grade.source, " ".join(_reasons(grade))) for folder, grade in found.items()]
    if not rows:
        return ()
    table_ = table("Submissions that a person should look at", ("student", "file", "why"), rows)
    return element("h2", f"To be looked at: {len(rows)}"), table_


def _reasons(grade: SubmissionGrade) -> list[str]:
    odd = [f"{question.title}: {STATES[question.status]}." for question in grade.questions if question.needs_human]
    written = [f"Written answers: {len(grade.written)}."] if grade.written else []
    return [*grade.problems, *odd, *written]


def _not_in(students: Sequence[Student]) -> tuple[Markup, ...]:
    if not students:
        return ()
    items = (element("li", f"{student.id} {student.name}".strip()) for student in students)
    return element("h2", f"Nothing handed in: {len(students)}"), element("ul", *items)


def _everything(found: Mapping[str, Match]) -> tuple[Markup, ...]:
    rows = [
        (
            _link(match.grade.student, folder),
            match.grade.source,
            match.grade.chapter,
            "late" * match.grade.late,
            _points_of(match),
        )
        for folder, match in found.items()
    ]
    header = ("student", "file", "chapter", "late", "points")
    return element("h2", "All submissions"), table("Every submission, with its feedback page", header, rows, (4,))


def _points_of(match: Match) -> str:
    grade = match.grade
    if grade.superseded:
        return "superseded by a later one"
    if match.aside:
        return f"another file of {match.group} counts"
    so_far = " so far" * bool(grade.waiting)
    given = "not graded" if grade.ungraded else f"{points(grade.score)} of {points(grade.points)}{so_far}"
    return f"{given}, undecided" if match.why else given


def _link(student: str, folder: str) -> Markup:
    return element("a", student or "(no name)", href=f"{quote(folder)}/feedback.html")
