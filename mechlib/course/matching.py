"""Whose a graded submission is, by the roster: a platform's number against its own column, and the name.

What is not certain is decided by nobody but a person: two students of one name, a name and a number that disagree, two
submissions of one student under different names, two of one time.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mechlib.course.roster import Student, called
from mechlib.grading.platforms import folded
from mechlib.grading.results import SubmissionGrade

__all__ = ["Match", "matches"]

COLUMN = {
    "": "canvas_id",
    "canvas": "canvas_id",
    "moodle": "moodle_id",
    "brightspace": "brightspace_id",
    "gradescope": "id",
}
"""The column of the roster that a platform's number stands in."""

CHANGING = {"moodle"}
"""Platforms whose numbers are others in every assignment: alone they do not outweigh a name."""


@dataclass(frozen=True)
class Match:
    """A submission and whose it is."""

    grade: SubmissionGrade
    student: Student | None = None
    """``None`` if that is not certain, or if the roster does not know them."""
    why: str = ""
    """Why a person has to decide, as a sentence; empty where nobody has to."""
    possible: tuple[Student, ...] = ()
    """Those of the roster whose it may be."""

    @property
    def counts(self) -> bool:
        """Whether its points go to somebody."""
        return not (self.why or self.grade.superseded)

    @property
    def undecided(self) -> bool:
        """Whether a person has to decide before its points go to anybody."""
        return bool(self.why) and not self.grade.superseded


def matches(all_grades: Sequence[SubmissionGrade], students: Sequence[Student]) -> list[Match]:
    """Whose every submission is, in the same order."""
    found = Roster(students, all_grades)
    return _once(found.match(grade) for grade in all_grades)


def _once(found: Iterable[Match]) -> list[Match]:
    """The matches; where several submissions of different names would count for one student, a person decides."""
    found = list(found)
    counting: dict[tuple[object, str], list[Match]] = defaultdict(list)
    for match in found:
        if match.counts:
            counting[_person(match), match.grade.chapter].append(match)
    clashing = {id(match.grade): of for of in counting.values() if len(of) > 1 for match in of}
    return [_clash(match, clashing[id(match.grade)]) if id(match.grade) in clashing else match for match in found]


def _person(match: Match) -> object:
    """What two submissions of one person have in common."""
    grade = match.grade
    return match.student or (grade.platform, grade.number if grade.platform == "canvas" else grade.student)


def _clash(match: Match, of: Sequence[Match]) -> Match:
    files = ", ".join(sorted(each.grade.source for each in of))
    why = f"Several files count for one student under different names: {files}. Keep one."
    return replace(match, student=None, why=why, possible=(match.student,) if match.student else ())


class Roster:
    """The students by what platforms call them."""

    def __init__(self, students: Sequence[Student], all_grades: Iterable[SubmissionGrade]) -> None:
        self.students = students
        self._by_key = called(students)
        self._by_name: dict[str, set[Student]] = defaultdict(set)
        for student in students:
            for name in _turned(student.name or student.id):
                self._by_name[name].add(student)
        self._by_number: dict[tuple[str, str], set[Student]] = defaultdict(set)
        for column in set(COLUMN.values()):
            for student in students:
                self._by_number[column, folded(getattr(student, column))].add(student)
        numbers = defaultdict(set)
        for grade in all_grades:
            numbers[grade.platform, _name(grade)].add(grade.number)
        self._nobody = {key for key, of in numbers.items() if len(of) > 1}
        """What several are called: where the roster knows it not, it stands in place of a name."""

    def match(self, grade: SubmissionGrade) -> Match:
        """Whose a submission is, for itself."""
        by_number, by_name = self._numbered(grade), self._called(grade)
        student, why = self._decided(grade, by_number, by_name)
        if grade.tied:
            why = f"Another file of the same time: nothing says which of them counts. Keep one.{' ' * bool(why)}{why}"
        possible = by_number | by_name if why else set()
        return Match(grade, None if why else student, why, tuple(s for s in self.students if s in possible))

    def _decided(
        self, grade: SubmissionGrade, by_number: set[Student], by_name: set[Student]
    ) -> tuple[Student | None, str]:
        if len(by_number) > 1:
            return None, f"The roster gives the number {grade.number} to {_all(by_number)}."
        if by_number and by_name and not by_number & by_name:
            return None, f"The name is that of {_all(by_name)}, the number {grade.number} that of {_all(by_number)}."
        if by_number:
            (student,) = by_number
            if grade.platform in CHANGING and not by_name and not self._nameless(grade) and student.name:
                return (
                    None,
                    f"The roster gives the number {grade.number} to {_all(by_number)}, and the name is another.",
                )
            return student, ""
        if len(by_name) > 1:
            return None, f"The roster has {len(by_name)} students of this name: {_all(by_name)}."
        for student in by_name:
            own = self._own_number(grade, student)
            if own and grade.platform and grade.number:  # which is another, or it would have been found
                return None, f"The name is that of {_all(by_name)}, whose number is {own}, not {grade.number}."
            return student, ""
        return None, ""

    def _numbered(self, grade: SubmissionGrade) -> set[Student]:
        if not grade.number or grade.platform not in COLUMN:
            return set()
        return self._by_number.get((COLUMN[grade.platform], folded(grade.number)), set())

    @staticmethod
    def _own_number(grade: SubmissionGrade, student: Student) -> str:
        return getattr(student, COLUMN[grade.platform]) if grade.platform in COLUMN else ""

    def _called(self, grade: SubmissionGrade) -> set[Student]:
        """The students of this name; a file that no platform named may be called by anything that is theirs."""
        name = _name(grade)
        by_key = self._by_key.get(folded(name), set()) if not grade.platform else set()
        return by_key or self._by_name.get("".join(_words(name)), set())

    def _nameless(self, grade: SubmissionGrade) -> bool:
        return folded(_name(grade)) == "participant" or (grade.platform, _name(grade)) in self._nobody


def _name(grade: SubmissionGrade) -> str:
    """The name without the number by which students of one name are told apart."""
    number = re.escape(grade.number)
    added = rf"\({number}\)|{number}" if number else r"\(submission_[0-9]+\)"
    return re.sub(rf" (?:{added})$", "", grade.student)


def _words(name: str) -> list[str]:
    """The words of a name, without the signs that Canvas leaves out."""
    words = (re.sub(r"[\W_]+", "", word) for word in re.split(r"[\s,]+", folded(name)))
    return [word for word in words if word]


def _turned(name: str) -> set[str]:
    """A name written together, whichever word comes first: platforms differ in that."""
    words = _words(name)
    return {"".join(words[start:] + words[:start]) for start in range(len(words))}


def _all(students: Iterable[Student]) -> str:
    return " and ".join(
        sorted(f"{student.name} ({student.id})" if student.name else student.id for student in students)
    )
