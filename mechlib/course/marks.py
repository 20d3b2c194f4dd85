"""What a person says about written answers and open tasks: the rows of ``written.csv``, and what they come to.

``mechlib grade`` writes the table with empty ``points`` and ``comment``; a person, or a marking page, fills them in,
and ``mechlib grade --written FILE`` merges them. The columns, in this order; a file may have more, in any other:

``student``
    the id of the roster where that is certain, else the name by which the work was handed in; a real name of the
    roster, or the sign of an anonymous table (``anonymous``), is read as well.
``chapter``
    ``chNN``.
``question``
    the name of a written answer, as in its marker ``<!-- written: NAME -->``; or the id ``chNN.name`` of a question
    that a person has to mark, an open task that was not judged.
``points``
    a number from 0 to the most that the answer can have, with a point or a comma; empty where it is not marked yet.
``comment``
    what the student is told of it, over several lines if need be; empty for nothing.
``answer``
    the sign of the text that was marked, from ``sign``: a mark of another text than the one that counts now is not
    merged, and that is said. Empty, or without this column, a mark is of whatever counts.
``file``
    the name of the file as it was handed in, for the person; not read, and empty in an anonymous table.
``text``
    the answer, for the person; empty where the invitation was left; not read.

A row with empty ``points`` and ``comment`` says nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mechlib.course.whose import People, Row, points

__all__ = ["COLUMNS", "Mark", "different", "fitting", "marks", "sign"]

COLUMNS = ("student", "chapter", "question", "points", "comment", "answer", "file", "text")


def sign(text: str) -> str:
    """What tells a text from others: a ``t`` and the first 12 hexadecimal digits of its SHA-256, in UTF-8.

    Digits alone, or with an ``e`` among them, would be a number to a spreadsheet, which shortens it.
    """
    return f"t{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


@dataclass(frozen=True)
class Mark:
    """What a person says of one answer."""

    where: str
    """``FILE, line N``."""
    student: str
    """As ``matching.person`` tells them."""
    question: str
    """The name of a written answer, or the id of a question."""
    points: float | None
    comment: str
    answer: str
    """The sign of what was marked; empty for whatever counts."""


def marks(rows: Iterable[Row], people: People, chapter: str, most: Mapping[str, float]) -> list[Mark]:
    """What the rows of filled-in tables say of one chapter.

    Args:
        rows: those of all tables; rows that say nothing, or something of other chapters, are left out.
        people: who may be meant.
        chapter: ``chNN``, also that of a row that names none.
        most: the most points by the name of every answer that may be marked.

    Raises:
        ValueError: for an answer that there is not, a number of points that is none, and for two rows that say
            different things of one answer; the message says where and what would be right.
    """
    found: dict[tuple[str, str, str], Mark] = {}
    for row in rows:
        if row["chapter"] not in ("", chapter) or not (row["points"] or row["comment"]):
            continue
        question = row["question"]
        if question not in most:
            known = ", ".join(map(repr, most)) or "nothing"
            raise ValueError(
                f"{row.where}: {chapter} has no answer {question!r} for a person to mark; it has {known}. "
                'One of your own stands under "written" in course.json'
            )
        given = points(row["points"], most[question], row.where) if row["points"] else None
        student = people.named(row["student"], row.where)
        mark = Mark(row.where, student, question, given, row["comment"], row["answer"])
        before = found.setdefault((student, question, row["answer"]), mark)
        if (before.points, before.comment) != (mark.points, mark.comment):
            raise ValueError(different(mark, before))
    return list(found.values())


def different(one: Mark, other: Mark) -> str:
    """What is said of two marks of one answer that differ."""
    return (
        f"{one.where} and {other.where} say different things of one answer: keep one of them. A file that holds no "
        'longer, though an earlier command was given it, goes out of "written" in run.json, beside the grades'
    )


def fitting(of: Sequence[Mark], text: str) -> Mark | None:
    """The mark of a text among those of one student and answer; the mark of no text in particular if there is none."""
    by_sign = {mark.answer: mark for mark in of}
    return by_sign.get(sign(text)) or by_sign.get("")
