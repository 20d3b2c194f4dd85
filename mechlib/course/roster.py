"""The list of a course's students, from a CSV file with a column ``id``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from mechlib.course.spreadsheet import records
from mechlib.grading.platforms import folded

__all__ = ["Student", "called", "read", "whose"]

IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
"""What an id may be: it becomes the name of a folder."""

NUMBER = re.compile(r"(?:#|\D*\s)?([0-9]+)")
"""A platform's number, as its own lists write it: ``4711``, ``#4711``, ``Participant 4711``."""


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
    """Column ``SIS Login ID`` of Canvas' gradebook, the user name in Brightspace's."""
    section: str = ""
    moodle_id: str = ""
    """The number in the names of files that Moodle hands out, column ``Identifier`` of the assignment's grading
    worksheet. Each assignment has its own."""
    brightspace_id: str = ""
    """The first number in the names of folders that Brightspace hands out."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Everything that the student may be called by in a submission."""
        return tuple(key for key in (self.id, self.canvas_id, self.login, self.email, self.name) if key)


COLUMNS = tuple(field.name for field in fields(Student))
NUMBERS = ("canvas_id", "moodle_id", "brightspace_id")


def read(path: str | Path) -> tuple[Student, ...]:
    """The students of a roster, in the order of the file.

    The first line names the columns: ``id``, and any of the other fields of ``Student``, in any order; other columns
    are ignored. Cells are separated by commas, semicolons or tabs; the text is UTF-8, or Unicode of another kind that
    begins with its mark.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: without a column ``id``, without students, for an id that is missing, given twice (ids that differ
            in case alone are one folder on some systems) or cannot name a folder, for a platform's number that is none,
            and for a file that cannot be read, see ``spreadsheet.records``; the message says where and what to do.
    """
    path = Path(path)
    students = [_student(row, f"{path}, line {line}") for line, row in records(path, "id", COLUMNS)]
    if not students:
        raise ValueError(f"{path} names no student")
    counts = Counter(student.id.casefold() for student in students)
    if twice := [student.id for student in students if counts[student.id.casefold()] > 1]:
        raise ValueError(f"{path} gives an id to more than one student: {', '.join(dict.fromkeys(twice))}")
    return tuple(students)


def _student(row: dict[str, str], where: str) -> Student:
    if not IDENTIFIER.fullmatch(row["id"]):
        raise ValueError(f"{where}: the id is {row['id']!r}; it needs a letter or digit first, then also . _ @ + or -")
    numbers = {}
    for column in NUMBERS:
        found = NUMBER.fullmatch(row[column])
        if row[column] and not found:
            raise ValueError(
                f"{where}: the {column} is {row[column]!r}, not a number as the platform writes it; "
                "a spreadsheet keeps all digits in cells that are formatted as text"
            )
        numbers[column] = found[1] if found else ""
    return Student(**{**row, **numbers})


def called(students: Iterable[Student]) -> dict[str, set[Student]]:
    """The students by everything that they may be called by, ``folded``.

    What is the id, login, address or name of one is not looked up as the number that Canvas has for another.
    """
    found: dict[str, set[Student]] = {}
    numbers: dict[str, set[Student]] = {}
    for student in students:
        for key in (student.id, student.login, student.email, student.name):
            found.setdefault(folded(key), set()).add(student)
        numbers.setdefault(student.canvas_id, set()).add(student)
    return {key: of for key, of in {**numbers, **found}.items() if key}


def whose(students: Iterable[Student]) -> dict[str, Student]:
    """The same, one student each; what fits two of them is left out."""
    return {key: next(iter(of)) for key, of in called(students).items() if len(of) == 1}
