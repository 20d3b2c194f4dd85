"""Whose data the submissions of a course hold, on one page: for a course that gave every student data of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mechlib.authoring import checkout, exercises
from mechlib.course import drawn, personal, release
from mechlib.course.copied import LEVEL, Finding, Numbers, by_seed
from mechlib.course.drawn import numbers
from mechlib.course.matching import matches
from mechlib.course.pages import Markup, element, page, table
from mechlib.course.roster import Student
from mechlib.course.roster import read as read_roster
from mechlib.grading import collect
from mechlib.grading.assignment import read_secret
from mechlib.grading.notebook import Handed, read
from mechlib.grading.results import SubmissionGrade
from mechlib.grading.submissions import Submission

__all__ = ["findings", "report"]

KEPT = "numbers"
"""The folder, beside the secret, of the numbers that everybody's data give."""


@dataclass(frozen=True)
class Exercise:
    """What is known of the data of one exercise."""

    seeds: Mapping[str, Sequence[int]]
    """By student."""
    numbers: Numbers
    given: frozenset[str]
    """The numbers that stand in the exercise itself."""


@dataclass(frozen=True)
class Paper:
    """A submission that counts, and whose it is by the roster."""

    submission: Submission
    handed: Handed
    student: str
    """Empty if that is not certain, or if the roster does not know them."""


def report(course: Path, submissions: Path, out: Path, chapter: str | None = None) -> Path:
    """Write the page to ``out``, which only its owner can read. Args and errors as ``findings``."""
    found, looked_at = findings(course, submissions, chapter)
    checkout.write_changed({out: _page(found, looked_at)}, private=True)
    return out


def findings(course: Path, submissions: Path, chapter: str | None = None) -> tuple[list[Finding], int]:
    """What is found, the surest first, and how many submissions were looked at.

    Args:
        course: the folder of a course that was released with ``--per-student``.
        submissions: a folder or zip, as for grading.
        chapter: ``"chNN"``; ``None`` takes that of each notebook.

    Raises:
        FileNotFoundError: if there is no such course.
        ValueError: for a course without data for each student, for no submission of the chapter, or where a solution
            cannot be run.
    """
    opened = release.opened(course)
    if opened.roster is None:
        raise ValueError(f"{course} was released without --per-student: everybody has the same data")
    students = read_roster(opened.roster)
    papers = _papers(submissions, students, chapter)
    known = {name: _exercise(opened, name, students) for name in {p.handed.chapter for p in papers} if name}
    found = [each for paper in papers for each in _of(paper, known.get(paper.handed.chapter or ""), len(papers))]
    return sorted(found, key=lambda each: (each.chance, each.student)), len(papers)


def _papers(path: Path, students: Sequence[Student], chapter: str | None) -> list[Paper]:
    papers: list[tuple[Submission, Handed]] = []
    for submission in collect(path, [key for student in students for key in student.keys]):
        try:
            handed = read(submission.notebook_bytes)
        except ValueError:
            continue
        if not submission.superseded and handed.chapter and chapter in (None, handed.chapter):
            papers.append((submission, handed))
    if not papers:
        raise ValueError(f"{path} holds no notebook on {chapter or 'any chapter'} that can be read")
    whose = matches([_as_grade(*paper) for paper in papers], students)
    return [Paper(*p, match.student.id if match.student else "") for p, match in zip(papers, whose, strict=True)]


def _as_grade(submission: Submission, handed: Handed) -> SubmissionGrade:
    """What the roster is asked with."""
    about = (submission.student, submission.source, handed.chapter or "", (), (), (), False, 0.0, submission.number)
    return SubmissionGrade(*about, tied=submission.tied, platform=submission.platform)


def _exercise(course: release.Course, chapter: str, students: Sequence[Student]) -> Exercise | None:
    """``None`` for a chapter that the course does not have."""
    name = next((p.as_posix() for p in exercises.names(course.solutions) if p.name.startswith(chapter[2:])), None)
    if name is None:
        return None
    secret, ids = read_secret(course.secret_file), [student.id for student in students]
    notebook = checkout.read_notebook(course.solutions / name)
    drawn_by = personal.seeds(notebook)
    seeds = {student: [personal.seed(secret, student, name, number) for number in drawn_by] for student in ids}
    kept = course.secret_file.with_name(KEPT) / f"{chapter}.csv"
    expected = drawn.drawn(course.solutions, name, secret, ids, kept)
    text = "\n".join(cell["source"] for cell in notebook["cells"])
    return Exercise(seeds, Numbers(expected), frozenset(number.text for number in numbers(text)))


def _of(paper: Paper, known: Exercise | None, submissions: int) -> Iterator[Finding]:
    if known is None:
        return
    code = [cell.source for cell in paper.handed.cells]
    name, source = paper.student or paper.submission.student, paper.submission.source
    for other, which in by_seed(code, known.seeds, paper.student).items():
        yield Finding(name, source, other, "seed", which, 0.0)
    given = [n for text in (*code, *_written(paper.handed)) for n in numbers(text) if n.text not in known.given]
    other, which, chance = known.numbers.against(paper.student, given, submissions)
    if chance <= LEVEL:
        yield Finding(name, source, other, "numbers", which, chance)


def _written(handed: Handed) -> list[str]:
    return [answer.text for answer in handed.written]


def _page(found: Sequence[Finding], looked_at: int) -> str:
    count = len({each.source for each in found})
    about = (
        f"{looked_at} submissions were compared with the data of every student of the course. A seed in a cell is "
        "another student's beyond doubt. Numbers in the text are named where chance alone would give any such name in "
        f"the whole class with probability {LEVEL:g} at most. Whoever is named may have lent or borrowed, or worked "
        "with somebody: ask before you judge."
    )
    parts: list[Markup] = [element("p", about)]
    if found:
        parts.append(table("Submissions that hold data of somebody else", HEADER, map(_row, found)))
    return page(f"Data of others: {count} of {looked_at} submissions", *parts)


HEADER = ("student", "file", "whose data", "evidence", "which", "by chance")


def _row(finding: Finding) -> tuple[str, ...]:
    chance = "no" if finding.evidence == "seed" else f"at most {finding.chance:.1g}"
    which = ", ".join(finding.found)
    return finding.student, finding.source, finding.other, finding.evidence, which, chance
