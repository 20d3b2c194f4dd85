"""Points that a lecturer decides on against the grader: the rows of ``overrides.csv``.

========  ============================================================================================================
column    what
========  ============================================================================================================
student   an id of the roster, or the name; a member of a group decides for the group's one grade
question  ``chNN.NAME``: the id of a question, or the chapter and the name of a written answer
points    a number from 0 to those of the question
reason    why, which the student and the table of grades are told
========  ============================================================================================================

Every later run respects them, whatever the grader says then, and shows both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mechlib.checks.registry import chapters
from mechlib.course.whose import People, Row, points

__all__ = ["COLUMNS", "Decision", "decisions"]

COLUMNS = ("student", "question", "points", "reason")


@dataclass(frozen=True)
class Decision:
    """The points of one student for one question."""

    where: str
    """``FILE, line N``."""
    student: str
    """As ``matching.person`` tells them."""
    question: str
    """The id of a question, or the name of a written answer."""
    points: float
    reason: str


def decisions(rows: Iterable[Row], people: People, chapter: str, most: Mapping[str, float]) -> list[Decision]:
    """What the rows of ``overrides.csv`` say of one chapter.

    Args:
        rows: those of the file; those of other chapters are left out.
        people: who may be meant.
        chapter: ``chNN``.
        most: the most points, by the id of every question and the name of every written answer of the chapter.

    Raises:
        ValueError: for a question that there is not, points that are none, a missing reason, or two decisions on one
            answer; the message says where and what would be right.
    """
    found: dict[tuple[str, str], Decision] = {}
    for row in rows:
        of, _, name = row["question"].partition(".")
        if of not in chapters():
            raise ValueError(
                f"{row.where}: the question is {row['question']!r}; it must begin with a chapter, as 'ch02.target_rank'"
            )
        if of != chapter:
            continue
        question = row["question"] if row["question"] in most else name
        if question not in most:
            known = ", ".join(each if each.startswith(f"{chapter}.") else f"{chapter}.{each}" for each in most)
            raise ValueError(f"{row.where}: there is no question {row['question']!r}; {chapter} has {known}")
        if not row["reason"]:
            raise ValueError(f"{row.where}: the reason is empty; say why, in words that the student may read")
        given = points(row["points"], most[question], row.where)
        student = people.named(row["student"], row.where)
        decision = Decision(row.where, student, question, given, row["reason"])
        before = found.setdefault((student, question), decision)
        if before is not decision:
            raise ValueError(f"{row.where} and {before.where} decide on one answer: keep the one that holds")
    return list(found.values())
