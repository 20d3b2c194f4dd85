"""The list of a course's students, from a CSV file with a column ``id``."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

__all__ = ["Student", "read", "whose"]

IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
"""What an id may be: it becomes the name of a folder."""


@dataclass(frozen=True)
class Student:
    """One row of a roster."""

    id: str
    """Unique in the course; a folder is named after it."""
    name: str = ""
    email: str = ""
    canvas_id: str = ""
    """The number in the names of files that Canvas hands out, column ``ID`` of its gradebook."""
    login: str = ""
    """Column ``SIS Login ID`` of Canvas' gradebook."""
    section: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """Everything that the student may be called by in a submission."""
        return tuple(key for key in (self.id, self.canvas_id, self.login, self.email, self.name) if key)


COLUMNS = tuple(field.name for field in fields(Student))


def read(path: str | Path) -> tuple[Student, ...]:
    """The students of a roster, in the order of the file.

    The first line names the columns: ``id``, and any of the other fields of ``Student``, in any order; other columns
    are ignored.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: without a column ``id``, without students, for an id that is missing, given twice (ids that differ
            in case alone are one folder on some systems) or cannot name a folder.
    """
    path = Path(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = tuple(reader.fieldnames or ())
        if "id" not in columns:
            raise ValueError(f"{path} has no column 'id'; its columns are {', '.join(map(repr, columns)) or 'none'}")
        students = [_student(row, f"{path}, line {reader.line_num}") for row in reader if any(row.values())]
    if not students:
        raise ValueError(f"{path} names no student")
    counts = Counter(student.id.casefold() for student in students)
    if twice := [student.id for student in students if counts[student.id.casefold()] > 1]:
        raise ValueError(f"{path} gives an id to more than one student: {', '.join(dict.fromkeys(twice))}")
    return tuple(students)


def _student(row: dict[str, str | None], where: str) -> Student:
    student = Student(**{column: (row.get(column) or "").strip() for column in COLUMNS})
    if not IDENTIFIER.fullmatch(student.id):
        raise ValueError(f"{where}: the id is {student.id!r}; it needs a letter or digit first, then also . _ @ + or -")
    return student


def whose(students: Iterable[Student]) -> dict[str, Student]:
    """The students by everything that they may be called by, in small letters; what fits two of them is left out."""
    found: dict[str, Student | None] = {}
    for student in students:
        for key in {key.casefold() for key in student.keys}:
            found[key] = None if key in found else student
    return {key: student for key, student in found.items() if student is not None}
