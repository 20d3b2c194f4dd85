"""The part of an instructor's page that shows what a person has decided, and what still waits for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from mechlib.course.feedback import points
from mechlib.course.matching import Match
from mechlib.course.pages import Markup, element, table

__all__ = ["settled"]


def settled(found: Mapping[str, Match]) -> tuple[Markup, ...]:
    """Tables of the decisions, of what is late, and of what waits; nothing where there is none.

    Args:
        found: the submissions by the folder of their feedback page, relative to the page.
    """
    counting = {folder: match for folder, match in found.items() if match.counts}
    decided = [
        (_link(match, folder), q.title, points(q.machine), points(q.score), q.reason)
        for folder, match in counting.items()
        for q in match.grade.questions
        if q.machine is not None
    ]
    late = [
        (_link(match, folder), match.grade.lateness, f"-{points(match.grade.deducted)}" if match.grade.deducted else "")
        for folder, match in counting.items()
        if match.grade.lateness
    ]
    waiting = [
        (_link(match, folder), " ".join(match.grade.waiting))
        for folder, match in counting.items()
        if match.grade.waiting
    ]
    return (
        *_listed(
            "Decided by you", "Points that stand instead of the grader's", decided, "question grader you why", (2, 3)
        ),
        *_listed("Late", "What came late by the rules, and what it costs", late, "time deducted", (2,)),
        *_listed("Not final yet", "Submissions whose points wait for you", waiting, "why"),
    )


def _listed(
    heading: str, caption: str, rows: Sequence[Sequence[str]], header: str, numbers: tuple[int, ...] = ()
) -> tuple[Markup, ...]:
    if not rows:
        return ()
    return element("h2", f"{heading}: {len(rows)}"), table(caption, ("student", *header.split()), rows, numbers)


def _link(match: Match, folder: str) -> Markup:
    name = match.group or (match.student.name or match.student.id if match.student else match.grade.student)
    return element("a", name, href=f"{quote(folder)}/feedback.html")
