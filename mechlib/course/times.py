"""When work was due and when it came: extra time and times of handing in from ``times.csv``, and what lateness costs.

=========  ===========================================================================================================
column     what
=========  ===========================================================================================================
student    an id of the roster, or the name
chapter    ``chNN``; empty for all
extra      time beyond the deadline: ``48`` or ``48 h``, ``2 d``, ``90 min``
handed_in  when it came, where that is known better than by the platform: ``2026-11-04 10:15``
reason     why; for you, not told to anybody
=========  ===========================================================================================================

What a platform says of the time decides, or what stands here; the time of a file is shown beside it, and decides only
where the rules say so, since it changes when files are copied.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from mechlib.checks.registry import chapters
from mechlib.course.rules import Rules, moment
from mechlib.course.whose import People, Row
from mechlib.grading.results import SubmissionGrade

__all__ = ["COLUMNS", "Lateness", "Times", "handed_in", "lateness", "shown", "times"]

COLUMNS = ("student", "chapter", "extra", "handed_in", "reason")

EXTRA = re.compile(r"(\d{1,6}(?:[.,]\d{1,6})?) ?(h|d|min|)")
SECONDS = {"": 3600.0, "h": 3600.0, "d": 86400.0, "min": 60.0}
DAY = 86400.0


@dataclass(frozen=True)
class Times:
    """What ``times.csv`` says of one student and chapter."""

    extra: float = 0.0
    """Seconds."""
    handed_in: datetime.datetime | None = None


def times(rows: Iterable[Row], people: People, chapter: str, zone: datetime.tzinfo) -> dict[str, Times]:
    """What the rows say of one chapter, by student as ``matching.person`` tells them; the most extra time counts.

    Raises:
        ValueError: for a chapter, a time or an amount of time that is none, a row that says nothing, and for two times
            of handing in; the message says where and what would be right.
    """
    found: dict[str, Times] = {}
    for row in rows:
        if row["chapter"] and row["chapter"] not in chapters():
            raise ValueError(f"{row.where}: there is no chapter {row['chapter']!r}; write it as {chapter}")
        if not (row["extra"] or row["handed_in"]):
            raise ValueError(f"{row.where}: neither extra time nor a time of handing in is given")
        if row["handed_in"] and not row["chapter"]:
            raise ValueError(f"{row.where}: a time of handing in needs the chapter that was handed in")
        extra = _extra(row)
        came = moment(row["handed_in"], zone, row.where) if row["handed_in"] else None
        student = people.named(row["student"], row.where)
        if row["chapter"] not in ("", chapter):
            continue
        before = found.get(student, Times())
        if came and before.handed_in and came != before.handed_in:
            raise ValueError(f"{row.where}: another row says that it came {before.handed_in}; keep one of them")
        found[student] = Times(max(extra, before.extra), came or before.handed_in)
    return found


def _extra(row: Row) -> float:
    if not row["extra"]:
        return 0.0
    if not (found := EXTRA.fullmatch(row["extra"])):
        raise ValueError(f"{row.where}: the extra time is {row['extra']!r}; write hours, as 48, or 48 h, 2 d, 90 min")
    return float(found[1].replace(",", ".")) * SECONDS[found[2]]


@dataclass(frozen=True)
class Lateness:
    """What follows from when something came."""

    share: float = 0.0
    """Of the chapter's points, what it costs."""
    said: str = ""
    """In a sentence; empty where nothing follows."""
    open: str = ""
    """What a person has to find out first, as a sentence."""


def handed_in(grade: SubmissionGrade, zone: datetime.tzinfo) -> datetime.datetime | None:
    """When a submission came, as its name or its file tells; the times that Brightspace writes are of ``zone``."""
    if grade.handed_in is None:
        return None
    came = datetime.datetime.fromtimestamp(grade.handed_in, datetime.UTC)
    local = grade.timed == "platform" and grade.platform == "brightspace"
    return came.replace(tzinfo=zone) if local else came.astimezone(zone)


def lateness(grade: SubmissionGrade, told: Times, listed: datetime.datetime | None, rules: Rules) -> Lateness:
    """What a submission's time costs by the rules.

    Args:
        grade: the submission.
        told: what the lecturer says of the student's time.
        listed: when it came by the platform's own list; ``None`` without one.
        rules: those of the term.
    """
    deadline = rules.of(grade.chapter).deadline
    decides = grade.timed == "platform" or (grade.timed == "file" and rules.late.by_files)
    came = told.handed_in or listed or (handed_in(grade, rules.zone) if decides else None)
    if deadline is None or (came is None and not grade.late):
        return Lateness(said="Handed in late, as the platform says." if grade.late else "")
    if came is None:
        if rules.late.flat and not told.extra:
            return _costs(rules, 1, "Late, as the platform says")
        return Lateness(
            said="Handed in late, as the platform says.",
            open="The platform marks it as late and tells no time: write it into times.csv, column handed_in.",
        )
    due = deadline.astimezone(rules.zone) + datetime.timedelta(seconds=told.extra)
    late = (came.astimezone(rules.zone) - due).total_seconds()  # by the clock there: a day later is the same hour
    if late <= rules.late.grace_minutes * 60:
        return Lateness()
    return _costs(rules, math.ceil(late / DAY), f"Handed in {shown(came, rules.zone)}, due {shown(due, rules.zone)}")


def _costs(rules: Rules, days: int, said: str) -> Lateness:
    share = rules.late.share(days)
    cost = f"{100 * share:g} % of the points are deducted" if share else "nothing is deducted"
    begun = f", {days} {'day' if days == 1 else 'days'} begun" if not rules.late.flat else ""
    return Lateness(share, f"{said}{begun}: {cost}.")


def shown(when: datetime.datetime, zone: datetime.tzinfo) -> str:
    """A time to the minute, in a zone."""
    return when.astimezone(zone).strftime("%Y-%m-%d %H:%M")
