"""Asking one question again of a class that is graded, and what that changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mechlib.course.settling import Term, settle
from mechlib.grading.results import QuestionGrade, SubmissionGrade

__all__ = ["Change", "changes"]


@dataclass(frozen=True)
class Change:
    """What becomes of one submission."""

    grade: SubmissionGrade
    """As it will be, settled."""
    before: float
    """Points in all that it has."""
    was: QuestionGrade
    now: QuestionGrade

    @property
    def difference(self) -> float:
        """Points that the student gains."""
        return self.grade.score - self.before

    @property
    def said(self) -> str:
        """In one line."""
        student, was, now = self.grade.student, self.was, self.now
        if now.machine is not None:
            stands = f"your decision stands, {now.score:g}"
            return f"{student}: the grader says {now.machine:g} instead of {was.machine:g}; {stands}"
        total = f"{self.before:g} -> {self.grade.score:g}, {self.difference:+g}"
        return f"{student}: {was.status} -> {now.status}, {was.score:g} -> {now.score:g} points, in all {total}"


def changes(
    question: str, before: Mapping[str, SubmissionGrade], now: Mapping[str, SubmissionGrade], term: Term
) -> list[Change]:
    """Whose points or outcome on a question are others than before, by name.

    Args:
        question: its id.
        before: the grader's own grades of the whole class, by source.
        now: the same with the question asked again.
        term: what the lecturer has written down; both are settled by it.
    """
    old = settle(list(before.values()), term).grades
    new = {grade.source: grade for grade in settle([now[source] for source in before], term).grades}
    found = []
    for grade in old:
        was, is_ = _of(question, grade), _of(question, new[grade.source])
        if was and is_ and (was.score, was.machine, was.status) != (is_.score, is_.machine, is_.status):
            found.append(Change(new[grade.source], grade.score, was, is_))
    return sorted(found, key=lambda change: change.grade.student)


def _of(question: str, grade: SubmissionGrade) -> QuestionGrade | None:
    return next((each for each in grade.questions if each.id == question), None)
