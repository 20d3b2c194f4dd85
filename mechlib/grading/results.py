"""What grading gives: one ``SubmissionGrade`` for every notebook that was handed in, as plain data.

Everything a student wrote may stand in it (names of files, written answers, messages of exceptions): whoever shows it
on a page escapes it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

__all__ = ["GradeStatus", "QuestionGrade", "SubmissionGrade", "Timed", "Ungraded", "WrittenAnswer"]

GradeStatus = Literal["right", "partly", "misconception", "wrong", "unanswered", "error", "timeout", "unjudged"]

Ungraded = Literal["", "file", "chapter", "superseded", "grader"]
"""Why a submission was not graded: the file cannot be read, it is on another chapter, a later one counts, or the grader
failed; empty if it was. Where it was not, a score of 0 says nothing."""

Timed = Literal["", "platform", "file"]
"""What tells when something was handed in: the platform, in the name that it gave; the file, which may have been copied
since; or nothing."""


@dataclass(frozen=True)
class QuestionGrade:
    """The grade of one question."""

    id: str
    """``"chNN.name"``."""
    title: str
    points: float
    """Points of a right answer."""
    score: float
    """Points given: ``points`` if the answer is right, what it earned if it is an open task, else 0."""
    status: GradeStatus
    """``"error"``: the answer raised, or ended its process; ``"timeout"``: it was stopped; ``"partly"``: an open task
    earned a part of its points; ``"unjudged"``: what judging needs is not on the grader's machine."""
    misconception: str | None
    """Name of the mistake, where the status is ``"misconception"``."""
    message: str
    """What the student is told, one or several lines: as ``check`` would, without what would tell the hidden cases."""
    needs_human: bool
    """Whether somebody should look at this answer."""
    returned: str = ""
    """What a wrong answer that is no known mistake did on the cases that the class has in common, see
    ``mechlib.grading.common``; empty elsewhere."""
    machine: float | None = None
    """What the grader gave, where a person decided on the points; else ``None``."""
    reason: str = ""
    """Why a person decided so, as the student is told."""
    until: str = ""
    """When the student is told what came of it, where that is not yet; else empty."""


@dataclass(frozen=True)
class WrittenAnswer:
    """The text of a cell that is marked as a written answer, and what a person said about it."""

    cell: str
    """Name of the answer, from its marker; the cell's id where the marker has none."""
    text: str
    points: float = 0.0
    """The most that it can have; 0 where it does not count, or not yet."""
    score: float | None = None
    """What a person gave; ``None`` where nobody did."""
    comment: str = ""
    """What a person says of it, as the student is told."""


@dataclass(frozen=True)
class SubmissionGrade:
    """The grades of one notebook."""

    student: str
    source: str
    """Name of the file as it was handed in."""
    chapter: str
    """``"chNN"``."""
    questions: tuple[QuestionGrade, ...]
    """All questions of the chapter, in the order of the notebook."""
    written: tuple[WrittenAnswer, ...]
    problems: tuple[str, ...]
    """What happened beside the answers, one sentence each: a cell that raised, a file that is no notebook."""
    needs_human: bool
    """Whether somebody should look at this submission."""
    seconds: float
    """Time that grading took."""
    number: str = ""
    """The student's number in the learning platform, where the name of the file shows it."""
    superseded: bool = False
    """Whether a later submission of the same student counts instead of this one."""
    tied: bool = False
    """Whether another file of the same student came at the same time, so that nothing says which of them counts."""
    platform: str = ""
    """What gave the file its name and the number, see ``platforms.Owner``; empty if no platform did."""
    late: bool = False
    """Whether the platform says that it came late."""
    ungraded: Ungraded = ""
    """Why it was not graded; empty if it was."""
    digest: str = ""
    """The same for the same file."""
    handed_in: float | None = None
    """When it was handed in, in seconds since 1970, UTC; ``None`` where nothing tells."""
    timed: Timed = ""
    """What tells when it was handed in."""
    deducted: float = 0.0
    """Points that lateness costs."""
    lateness: str = ""
    """How late it came, and what follows, as a sentence; empty where it is on time or nothing follows."""
    waiting: tuple[str, ...] = ()
    """Why the points in all are not final, one sentence each: a person has something to do first."""

    @property
    def score(self) -> float:
        """Points given in all, never below 0; 0 too where nothing was graded, see ``ungraded``."""
        given = sum(question.score for question in self.questions) + sum(each.score or 0 for each in self.written)
        return max(0.0, given - self.deducted) if self.deducted else given

    @property
    def points(self) -> float:
        """Points that can be reached."""
        return sum(question.points for question in self.questions) + sum(each.points for each in self.written)

    @property
    def final(self) -> bool:
        """Whether it has points that can be told to a platform."""
        return not (self.ungraded or self.waiting)

    def to_json(self) -> str:
        """One line of JSON from which ``from_json`` makes an equal object."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> SubmissionGrade:
        """The grade that ``to_json`` wrote.

        Raises:
            ValueError: if the text is something else.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            fields["questions"] = tuple(QuestionGrade(**question) for question in fields["questions"])
            fields["written"] = tuple(WrittenAnswer(**written) for written in fields["written"])
            fields["problems"] = tuple(fields["problems"])
            fields["waiting"] = tuple(fields.get("waiting", ()))
            grade = cls(**fields)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"not the JSON of a submission's grade ({error}): {text[:80]!r}") from None
        statuses = {question.status for question in grade.questions} - set(get_args(GradeStatus))
        if unknown := statuses | ({grade.ungraded} - set(get_args(Ungraded))):
            raise ValueError(f"not the JSON of a submission's grade: unknown status {', '.join(sorted(unknown))}")
        return grade
