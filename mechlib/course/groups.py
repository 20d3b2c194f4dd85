"""Who hands in together: the rows of ``groups.csv``, one for every member, with columns group, student and chapter.

The chapter is ``chNN``, or empty where the group stays together for the term.
"""

from __future__ import annotations

from collections.abc import Iterable

from mechlib.checks.registry import chapters
from mechlib.course.matching import Group
from mechlib.course.whose import People, Row

__all__ = ["COLUMNS", "groups"]

COLUMNS = ("group", "student", "chapter")


def groups(rows: Iterable[Row], people: People, chapter: str) -> list[Group]:
    """The groups that hand in one chapter together.

    Raises:
        ValueError: for a row without a group, a chapter that there is not, or a student in two groups; the message says
            where and what would be right.
    """
    found: dict[str, list[str]] = {}
    whose: dict[str, tuple[str, str]] = {}
    for row in rows:
        name = row["group"]
        if not name:
            raise ValueError(f"{row.where}: the group is empty; write its name, the same for all its members")
        if row["chapter"] and row["chapter"] not in chapters():
            raise ValueError(f"{row.where}: there is no chapter {row['chapter']!r}; write it as {chapter}")
        student = people.named(row["student"], row.where)
        if row["chapter"] not in ("", chapter):
            continue
        other, where = whose.setdefault(student, (name, row.where))
        if other != name:
            raise ValueError(f"{row.where}: {row['student']} is in {name!r} and, by {where}, in {other!r}: keep one")
        if student not in found.setdefault(name, []):
            found[name].append(student)
    return [Group(name, tuple(members), chapter) for name, members in found.items()]
