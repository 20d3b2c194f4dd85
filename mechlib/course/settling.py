"""From what the grader gave to what a student has: marks of a person, decisions, time and groups, in this order.

The grader's own grades are never changed: they are settled anew in every run, from the tables as they are then.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mechlib.checks.handing_in import INVITATION
from mechlib.course import decisions, groups, marks, times
from mechlib.course.decisions import Decision
from mechlib.course.marks import Mark, fitting
from mechlib.course.matching import Group, Match, matches
from mechlib.course.roster import Student
from mechlib.course.rules import PLAIN, Rules
from mechlib.course.whose import People, Row, rows
from mechlib.course.withheld import dated
from mechlib.grading.results import QuestionGrade, SubmissionGrade, WrittenAnswer

__all__ = ["Settled", "Term", "settle", "to_mark"]


@dataclass(frozen=True)
class Term:
    """What a lecturer has written down: rules, and the rows of the tables."""

    students: tuple[Student, ...] = ()
    rules: Rules = PLAIN
    written: tuple[Row, ...] = ()
    overrides: tuple[Row, ...] = ()
    times: tuple[Row, ...] = ()
    groups: tuple[Row, ...] = ()
    listed: Mapping[str, datetime.datetime] = field(default_factory=dict)
    """By a student's number in Moodle, when the platform's own list says that they handed in."""
    secret: bytes | None = None
    """Draws the signs of anonymous tables."""

    @classmethod
    def read(
        cls,
        students: Sequence[Student] = (),
        rules: Rules | None = None,
        *,
        written: Iterable[Path] = (),
        overrides: Iterable[Path] = (),
        times_: Iterable[Path] = (),
        groups_: Iterable[Path] = (),
        listed: Mapping[str, datetime.datetime] | None = None,
        secret: bytes | None = None,
    ) -> Term:
        """The tables in files, read and not yet looked up.

        Raises:
            FileNotFoundError: for a file that is not there.
            ValueError: for one that cannot be read, see ``whose.rows``.
        """

        def of(files: Iterable[Path], columns: tuple[str, ...]) -> tuple[Row, ...]:
            return tuple(row for file in files for row in rows(file, columns))

        return cls(
            tuple(students),
            rules or PLAIN,
            of(written, marks.COLUMNS),
            of(overrides, decisions.COLUMNS),
            of(times_, times.COLUMNS),
            of(groups_, groups.COLUMNS),
            listed or {},
            secret,
        )


@dataclass(frozen=True)
class Settled:
    """A class as its students have it."""

    grades: tuple[SubmissionGrade, ...]
    """In the order of what was given."""
    groups: tuple[Group, ...] = ()
    notes: tuple[str, ...] = ()
    """What the lecturer wrote and what nothing followed from, one sentence each."""


def settle(graded: Sequence[SubmissionGrade], term: Term, now: datetime.datetime | None = None) -> Settled:
    """The grades of a class on one chapter or more, with all that a person has said, and which results are withheld.

    Args:
        now: when that is asked, with a time zone; ``None`` is this moment.

    Raises:
        ValueError: for a row that cannot be looked up, see the modules of the tables.
    """
    done: dict[int, SubmissionGrade] = {}
    together: list[Group] = []
    notes: list[str] = []
    for chapter in dict.fromkeys(grade.chapter for grade in graded):
        own = [(place, grade) for place, grade in enumerate(graded) if grade.chapter == chapter]
        settled = _Chapter(chapter, [grade for _, grade in own], term)
        done |= {place: grade for (place, _), grade in zip(own, settled.grades(), strict=True)}
        together += settled.groups
        notes += settled.notes
    now = now or datetime.datetime.now(datetime.UTC)
    grades = (dated(done[place], term.rules.withheld, now) for place in range(len(graded)))
    return Settled(tuple(grades), tuple(together), tuple(notes))


class _Chapter:
    """One chapter of a class that is being settled."""

    def __init__(self, chapter: str, graded: list[SubmissionGrade], term: Term) -> None:
        self.chapter, self.term, self.notes = chapter, term, list[str]()
        everybody = People(matches(graded, term.students), term.students, term.secret)
        self.groups = groups.groups(term.groups, everybody, chapter)
        self.found = matches(graded, term.students, self.groups)
        self.asked = term.rules.of(chapter).written.keys() or _common(graded)
        """The names of the written answers that the chapter asks for: whoever hands in can write another name."""
        most = {name: term.rules.most(chapter, name) for name in self.asked}
        most |= {question.id: question.points for grade in graded for question in grade.questions}
        self.marks = marks.marks(term.written, everybody, chapter, most)
        self.decisions = decisions.decisions(term.overrides, everybody, chapter, most)
        self.times = times.times(term.times, everybody, chapter, term.rules.zone)
        self.answers = self._counted(most)
        """The most points of the written answers that count; none before a person has marked one."""
        for match in self.found:
            self._refuse_two(match)

    def _refuse_two(self, match: Match) -> None:
        """Raises: ValueError: where members of a group have marks or decisions that differ, for their one answer."""
        decided: dict[str, Decision] = {}
        marked: dict[tuple[str, str], Mark] = {}
        for each in self.decisions:
            if each.student in match.people and decided.setdefault(each.question, each).points != each.points:
                other = decided[each.question].where
                raise ValueError(
                    f"{each.where} and {other} decide on one answer, of {match.group}: keep the one that holds"
                )
        for mark in self.marks:
            if mark.student in match.people:
                other_mark = marked.setdefault((mark.question, mark.answer), mark)
                if (other_mark.points, other_mark.comment) != (mark.points, mark.comment):
                    raise ValueError(marks.different(mark, other_mark))

    def _counted(self, most: Mapping[str, float]) -> dict[str, float]:
        """Every written answer that the rules name counts as soon as one is marked, for all; else those marked."""
        said: list[Mark | Decision] = [*self.marks, *self.decisions]
        marked = [each.question for each in said if not each.question.startswith(f"{self.chapter}.")]
        names = (*self.term.rules.of(self.chapter).written, *marked) if marked else ()
        return {name: most[name] for name in names}

    def grades(self) -> list[SubmissionGrade]:
        """The settled grades; what nothing followed from is noted."""
        settled = [self._settled(match) for match in self.found]
        said: list[Mark | Decision] = [*self.marks, *self.decisions]
        for each in said:
            of = [match for match in self.found if each.student in match.people]
            who = each.student.removeprefix("?")
            if not of:
                self.notes.append(f"{each.where}: nothing of {who} counts on {self.chapter}, so it is not used.")
            elif isinstance(each, Mark) and each.answer and not any(self._is_of(each, match.grade) for match in of):
                self.notes.append(
                    f"{each.where}: {who} has handed in another answer to {each.question} since it was marked; "
                    "it waits to be marked again."
                )
        return settled

    def _is_of(self, mark: Mark, grade: SubmissionGrade) -> bool:
        texts = [a.text for a in grade.written if a.cell == mark.question]
        texts += [q.message for q in grade.questions if q.id == mark.question]
        return any(mark.answer == marks.sign(text) for text in texts)

    def _settled(self, match: Match) -> SubmissionGrade:
        own = set(match.people)
        said = [mark for mark in self.marks if mark.student in own]
        decided = {each.question: each for each in self.decisions if each.student in own}
        questions = tuple(self._question(q, said, decided.get(q.id)) for q in match.grade.questions)
        known = self._without_unasked(match.grade)
        written = self._written(known, said, decided)
        grade = replace(known, questions=questions, written=written)
        if questions and all(q.machine is not None for q in questions) and grade.ungraded != "superseded":
            grade = replace(grade, ungraded="")
        waiting = [f"The written answer {a.cell!r} is not marked yet." for a in written if a.points and a.score is None]
        late = self._late(match, grade)
        waiting += [late.open] * bool(late.open)
        if not match.counts:
            waiting, late = [], times.Lateness()
        deducted = round(late.share * grade.points, 2)
        return replace(grade, deducted=deducted, lateness=late.said, waiting=tuple(waiting))

    def _without_unasked(self, grade: SubmissionGrade) -> SubmissionGrade:
        """The grade without written answers that nobody asked for, which a person is told of: points for one would
        count for all, and it may be one whose name was changed by mistake."""
        if grade.ungraded == "chapter":
            return grade
        kept = tuple(answer for answer in grade.written if answer.cell in self.asked)
        odd = [a.cell for a in grade.written if a.cell not in self.asked and to_mark(a)]
        said = tuple(f"The written answer {name!r} is none that {self.chapter} asks for." for name in odd)
        look = grade.needs_human or (bool(odd) and not grade.superseded)
        return replace(grade, written=kept, problems=(*grade.problems, *said), needs_human=look)

    def _question(self, question: QuestionGrade, said: Sequence[Mark], decided: Decision | None) -> QuestionGrade:
        mark = fitting([each for each in said if each.question == question.id], question.message)
        points, why = (decided.points, decided.reason) if decided else (None, "")
        if points is None and mark is not None:
            points, why = mark.points, mark.comment
        if points is None:
            return replace(question, reason=why) if why else question
        look = question.needs_human and question.status != "unjudged"
        return replace(question, score=points, machine=question.score, reason=why, needs_human=look)

    def _written(
        self, grade: SubmissionGrade, said: Sequence[Mark], decided: Mapping[str, Decision]
    ) -> tuple[WrittenAnswer, ...]:
        """The written answers with their points. Of several of one name one counts; one that is missing is empty."""
        answers = list(grade.written)
        for name, most in self.answers.items():
            own = [place for place, answer in enumerate(answers) if answer.cell == name]
            if not own:
                answers.append(WrittenAnswer(name, ""))
                own = [len(answers) - 1]
            of = [mark for mark in said if mark.question == name]
            signs = {mark.answer for mark in of}
            place = max(own, key=lambda p: (marks.sign(answers[p].text) in signs, to_mark(answers[p])))
            mark, decision = fitting(of, answers[place].text), decided.get(name)
            score = decision.points if decision else mark.points if mark else None
            comment = " ".join(filter(None, (mark.comment if mark else "", decision.reason if decision else "")))
            if score is None and not to_mark(answers[place]):
                score = 0.0
            answers[place] = replace(answers[place], points=most, score=score, comment=comment)
        return tuple(answers)

    def _late(self, match: Match, grade: SubmissionGrade) -> times.Lateness:
        own = [self.times[who] for who in match.people if who in self.times]
        came = [each.handed_in for each in own if each.handed_in]
        told = times.Times(max((each.extra for each in own), default=0.0), max(came, default=None))
        same = [grade, *(m.grade for m in self.found if match.group and m.group == match.group and m.aside)]
        numbers = [each.number for each in same if each.platform == "moodle" and each.digest == grade.digest]
        listed = [self.term.listed[number] for number in numbers if number in self.term.listed]
        return times.lateness(grade, told, min(listed, default=None), self.term.rules)


def _common(graded: Sequence[SubmissionGrade]) -> list[str]:
    """The names of written answers that the notebooks of a class have in common: no name of a few is one."""
    counts = Counter(name for grade in graded for name in dict.fromkeys(answer.cell for answer in grade.written))
    return [name for name, count in counts.items() if 2 * count > max(counts.values())]


def to_mark(answer: WrittenAnswer) -> bool:
    """Whether there is anything to be marked: an answer that was left empty, or as it was given, has no points."""
    return answer.text not in ("", INVITATION)
