"""Whose a graded submission is, by the roster: a platform's number against its own column, and the name.

What is not certain is decided by nobody but a person: two students of one name, a name and a number that disagree, two
submissions of one student under different names, two of one time, different files of one group.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mechlib.course.roster import Student, called
from mechlib.grading.platforms import folded
from mechlib.grading.results import SubmissionGrade

__all__ = ["Group", "Match", "matches", "person"]

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
class Group:
    """Students who hand in together."""

    name: str
    members: tuple[str, ...]
    """Every one as ``person`` tells them."""
    chapter: str = ""
    """The chapter on which they work together; all of them if it is empty."""

    def on(self, chapter: str) -> bool:
        """Whether they work together on a chapter."""
        return self.chapter in ("", chapter)


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
    group: str = ""
    """The name of the group whose it is; empty where it is one student's."""
    members: tuple[str, ...] = ()
    """All whom it counts for, as ``person`` tells them; empty where that is who handed it in."""
    aside: bool = False
    """Whether another file of the same group counts instead of this one."""

    @property
    def counts(self) -> bool:
        """Whether its points go to somebody."""
        return not (self.why or self.aside or self.grade.superseded)

    @property
    def people(self) -> tuple[str, ...]:
        """All whom its points go to, as ``person`` tells them; nobody if it does not count."""
        return (self.members or (person(self),)) if self.counts else ()

    @property
    def undecided(self) -> bool:
        """Whether a person has to decide before its points go to anybody."""
        return bool(self.why) and not self.grade.superseded


def person(match: Match) -> str:
    """What tells whose a submission is from everybody else's: the id in the roster, else ``?`` and the name."""
    return match.student.id if match.student else f"?{folded(match.grade.student)}"


def matches(
    all_grades: Sequence[SubmissionGrade], students: Sequence[Student], groups: Sequence[Group] = ()
) -> list[Match]:
    """Whose every submission is, in the same order.

    Args:
        all_grades: the submissions.
        students: the roster.
        groups: those who hand in together; of a group's files one counts, for all its members.
    """
    found = Roster(students, all_grades, groups)
    return _shared(_once(found.match(grade) for grade in all_grades), groups)


def _shared(found: list[Match], groups: Sequence[Group]) -> list[Match]:
    """The matches, with one file for every group: the same of all, or the one that a platform says came last."""
    for group in groups:
        of_chapter: dict[str, list[Match]] = defaultdict(list)
        for match in found:
            if match.counts and group.on(match.grade.chapter) and _of(match, group):
                of_chapter[match.grade.chapter].append(match)
        for own in of_chapter.values():
            chosen = _chosen(own)
            files = ", ".join(sorted(match.grade.source for match in own))
            why = "" if chosen else f"Several of {group.name} handed in different files: {files}. Keep one."
            mine = {id(match): match is not chosen and not why for match in own}
            found = [
                replace(m, group=group.name, members=group.members, aside=mine[id(m)], why=why) if id(m) in mine else m
                for m in found
            ]
    return found


def _of(match: Match, group: Group) -> bool:
    """Whether a submission is a member's, or was handed in under the name of the group."""
    if match.student is None and "".join(_words(_name(match.grade))) == "".join(_words(group.name)):
        return True
    return person(match) in group.members


def _chosen(own: Sequence[Match]) -> Match | None:
    """The one file of a group that counts, of the same file what came first; ``None`` if nothing tells which."""
    digests = {match.grade.digest for match in own}
    times = [match.grade.handed_in if match.grade.timed == "platform" else None for match in own]
    if len(own) == 1 or (len(digests) == 1 and digests != {""}):
        places = range(len(own))
        return own[min(places, key=lambda place: (own[place].grade.late, times[place] or 0.0))]
    if None in times or times.count(max(t for t in times if t is not None)) > 1:
        return None
    return own[times.index(max(t for t in times if t is not None))]


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

    def __init__(
        self, students: Sequence[Student], all_grades: Iterable[SubmissionGrade], groups: Sequence[Group] = ()
    ) -> None:
        self.students = students
        self._prefixes = tuple(f"{folded(group.name)}-" for group in groups)
        """What Moodle writes before the name of somebody who hands in for a group."""
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
        in_order = tuple(s for s in self.students if s in possible) if possible else ()
        return Match(grade, None if why else student, why, in_order)

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
        name = self._without_group(_name(grade), grade.platform)
        by_key = self._by_key.get(folded(name), set()) if not grade.platform else set()
        return by_key or self._by_name.get("".join(_words(name)), set())

    def _without_group(self, name: str, platform: str) -> str:
        found = (name[len(p) :] for p in self._prefixes if platform == "moodle" and folded(name).startswith(p))
        return next(found, name)

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
