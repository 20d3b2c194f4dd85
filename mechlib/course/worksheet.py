"""Moodle's offline grading worksheet: when everybody handed in, and the same table with grades and comments filled in.

Source: Moodle, ``mod/assign/gradingtable.php`` and ``mod/assign/feedback/offline``. The import finds a student by the
number after ``Participant``, and passes over a row whose grade was changed in Moodle after the worksheet was made.
"""

from __future__ import annotations

import csv
import datetime
import html
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mechlib.course.roster import Student, whose
from mechlib.course.spreadsheet import cells
from mechlib.course.tables import line
from mechlib.grading.platforms import folded
from mechlib.grading.results import SubmissionGrade

__all__ = ["Worksheet", "read"]

IDENTIFIER, NAME, GRADE, MOST = "Identifier", "Full name", "Grade", "Maximum grade"
MAY_CHANGE, CAME, CHANGED = "Grade can be changed", "Last modified (submission)", "Last modified (grade)"
ID_NUMBER, EMAIL = "ID number", "Email address"
COMMENT = "Feedback comments"
NEEDED = (IDENTIFIER, GRADE, CHANGED)
"""The columns without which Moodle refuses a worksheet."""

PARTICIPANT = re.compile(r"\D*?(\d+)")
WHEN = re.compile(r"(?:\w+, )?(\d{1,2}) (\w+) (\d{4}), (\d{1,2}):(\d\d)(?: ?([AP])M)?", re.IGNORECASE)
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True)
class Worksheet:
    """A worksheet as it was downloaded."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def _cell(self, row: Sequence[str], column: str) -> str:
        return row[self.header.index(column)].strip() if column in self.header else ""

    def number(self, row: Sequence[str]) -> str:
        """The number that stands in the names of what the student of a row hands in."""
        found = PARTICIPANT.fullmatch(self._cell(row, IDENTIFIER))
        return found[1] if found else ""

    def people(self) -> dict[str, str]:
        """The full names, empty where the students are anonymous, by the students' numbers."""
        return {self.number(row): self._cell(row, NAME) for row in self.rows}

    def numbered(self, students: Sequence[Student]) -> tuple[Student, ...]:
        """The students of a roster with the numbers that they have in this assignment, found by ID number, address or
        name; those who are not on the worksheet have none."""
        numbers: dict[str, str] = {}
        known = whose(students)
        for row in self.rows:
            keys = (folded(self._cell(row, column)) for column in (ID_NUMBER, EMAIL, NAME))
            if student := next((known[key] for key in keys if key in known), None):
                numbers.setdefault(student.id, self.number(row))
        return tuple(replace(student, moodle_id=numbers.get(student.id, "")) for student in students)

    def handed_in(self, zone: datetime.tzinfo) -> dict[str, datetime.datetime]:
        """When every student handed in, by number; those who did not are left out.

        Raises:
            ValueError: for a time that cannot be read.
        """
        found = {}
        for number, row in enumerate(self.rows, start=2):
            said = self._cell(row, CAME)
            if said not in ("", "-"):
                found[self.number(row)] = _time(said, zone, f"{self.path}, row {number}")
        return found

    def filled(self, grades: Mapping[str, SubmissionGrade]) -> tuple[str, list[str]]:
        """The same table with grades and comments, and what is to be said of them, one sentence each.

        Nothing else is changed: students without a final grade, and rows that Moodle does not let change, stay as they
        are. Where the assignment counts from another number of points than the chapter, the grade is in proportion.

        Args:
            grades: those that count, by the students' numbers.
        """
        if not self.rows:
            raise ValueError(f"{self.path} names no student: download it from the assignment in question")
        filled, notes, closed, replaced, scaled = [], [], 0, 0, set[tuple[float, float]]()
        for row in self.rows:
            grade, cells_ = grades.get(self.number(row)), list(row)
            if grade is not None and grade.final:
                if self._cell(row, MAY_CHANGE).casefold() == "no":
                    closed += 1
                else:
                    most = _number(self._cell(row, MOST)) or grade.points
                    if most != grade.points:
                        scaled.add((grade.points, most))
                    given = f"{round(grade.score * most / grade.points, 2):g}" if grade.points else "0"
                    before = _number(self._cell(row, GRADE))
                    replaced += before is not None and before != float(given)
                    cells_[self.header.index(GRADE)] = given
                    if COMMENT in self.header:
                        cells_[self.header.index(COMMENT)] = _comment(grade)
            filled.append(cells_)
        for points, most in sorted(scaled):
            notes.append(f"The assignment has {most:g} points and the chapter {points:g}: grades are in proportion.")
        if replaced:
            notes.append(f"{replaced} grades that Moodle has are other ones.")
        if closed:
            notes.append(f"{closed} grades may not be changed in Moodle, and are left.")
        if unknown := sorted(set(grades) - {self.number(row) for row in self.rows} - {""}):
            notes.append(f"The worksheet does not have the participants {', '.join(unknown)}.")
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\r\n").writerows([self.header, *filled])
        return buffer.getvalue(), notes


def read(path: Path) -> Worksheet:
    """A worksheet in a file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no worksheet, or one in another language than English, in which Moodle knows its columns by
            other names.
    """
    header, *rows = cells(path, IDENTIFIER)
    if missing := [name for name in NEEDED if name not in header]:
        raise ValueError(
            f"{path} has no column {missing[0]!r}; its columns are {', '.join(map(repr, header)) or 'none'}. Download "
            "the grading worksheet of the assignment ('View all submissions', 'Download grading worksheet') with "
            "English as your language in Moodle"
        )
    whole = tuple((*row, *[""] * (len(header) - len(row))) for row in rows if any(cell.strip() for cell in row))
    return Worksheet(path, tuple(header), whole)


def _comment(grade: SubmissionGrade) -> str:
    """What the student is told, as the HTML that Moodle takes a comment for."""
    said = [line(grade), *(f"{a.cell}: {a.comment}" for a in grade.written if a.comment)]
    said += [f"{q.title}: {q.reason}" for q in grade.questions if q.machine is not None and q.reason]
    return "<br>".join(html.escape(each).replace("\n", "<br>") for each in said)


def _number(cell: str) -> float | None:
    try:
        return float(cell.replace(",", "."))
    except ValueError:
        return None


def _time(said: str, zone: datetime.tzinfo, where: str) -> datetime.datetime:
    found = WHEN.fullmatch(said)
    if not found or found[2][:3].lower() not in MONTHS:
        raise ValueError(f"{where}: {said!r} is no time as Moodle writes it in English")
    hour = int(found[4]) if not found[6] else int(found[4]) % 12 + 12 * (found[6].upper() == "P")
    month = MONTHS.index(found[2][:3].lower()) + 1
    return datetime.datetime(int(found[3]), month, int(found[1]), hour, int(found[5]), tzinfo=zone)
