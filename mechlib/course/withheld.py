"""Results that students are told from a date on: until then pages say when, and nothing of what came out.

The lecturer's own pages and tables, and the files for the gradebooks of platforms, have them at once.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import replace

from mechlib.grading.results import SubmissionGrade

__all__ = ["DAY", "dated", "told"]

DAY = "%Y-%m-%d %H:%M"


def dated(grade: SubmissionGrade, withheld: Mapping[str, datetime.datetime], now: datetime.datetime) -> SubmissionGrade:
    """The grade, with ``until`` in the questions whose results are still withheld.

    Args:
        withheld: by question, from when on the result is told, with its time zone.
        now: with a time zone.
    """
    until = {name: moment.strftime(DAY) for name, moment in withheld.items() if now < moment}
    if not until:
        return grade
    return replace(grade, questions=tuple(replace(q, until=until.get(q.id, "")) for q in grade.questions))


def told(grade: SubmissionGrade) -> SubmissionGrade:
    """What the student is told of a grade: no score, status or word of what is withheld, nor anything that was noted
    about it."""
    hidden = [question.id for question in grade.questions if question.until]
    if not hidden:
        return grade
    about = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in hidden))
    kept = (question for question in grade.questions if not question.until)
    shown = replace(
        grade,
        questions=tuple(kept),
        problems=tuple(sentence for sentence in grade.problems if not about.search(sentence)),
        waiting=tuple(sentence for sentence in grade.waiting if not about.search(sentence)),
    )
    return shown
