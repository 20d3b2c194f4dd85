"""``mechlib regrade``, ``gradebook``, ``give-back`` and ``hand-out``: what a term needs once a class is graded."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO, cast

import typer

if TYPE_CHECKING:
    from mechlib.course.graded import Graded
    from mechlib.course.settling import Term
    from mechlib.grading.grade import Grading
    from mechlib.grading.results import SubmissionGrade
    from mechlib.grading.sandbox import Engine

commands = typer.Typer()

Grades = Annotated[Path, typer.Argument(help="The folder of a graded class.")]
Sheet = Annotated[Path | None, typer.Option(help="Moodle's grading worksheet of the assignment.")]
Zip = Annotated[Path, typer.Option(help="The zip to write.")]


class Platform(StrEnum):
    """Where a zip is uploaded."""

    _value_: Literal["canvas", "moodle", "brightspace"]
    canvas = "canvas"
    moodle = "moodle"
    brightspace = "brightspace"


OnPlatform = Annotated[Platform, typer.Option(help="Where the zip is uploaded.")]


def _say(lines: Iterable[str], to: TextIO | None = None) -> None:
    """Print what may hold names that students chose: nothing in them steers a terminal."""
    from mechlib.course.pages import printable

    for line in lines:
        print(printable(line), file=to or sys.stderr)


@commands.command("regrade")
def regrade_(
    grades: Grades,
    question: Annotated[str, typer.Option(help="The id of a question that was repaired, such as ch02.target_rank.")],
    write: Annotated[bool, typer.Option("--write", help="Keep the new grades; without it nothing is written.")] = False,
    submissions: Annotated[
        Path | None, typer.Option(help="What was handed in.", show_default="where it lay when the class was graded")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Notebooks at a time.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Ask one question again of a graded class, and show who changes and by how much."""
    from mechlib.course import graded, regrading, running

    done = graded.opened(grades)
    if submissions is not None:
        done = replace(done, run=replace(done.run, submissions=str(submissions.resolve())))
    known = running.term(done.run, grades)
    grading = _again(done, known, question, jobs)
    before = {grade.source: grade for grade in done.grades.values()}
    asked = _asked(grading, question, before, quiet)
    now = before | asked
    found = regrading.changes(question, before, now, known)
    _say([change.said for change in found], sys.stdout)
    gain = sum(change.difference for change in found)
    print(
        f"{question} was asked of {len(asked)} of {len(before)} submissions: "
        f"{len(found)} change, {gain:+g} points in all."
    )
    if not write:
        print("Nothing is written. The same command with --write keeps it.")
        return
    grading.keep(asked.values(), {question})
    new = replace(done, grades={folder: now[grade.source] for folder, grade in done.grades.items()})
    _say(running.finish(new, known).notes)
    print(f"The grades in {grades} are written.")


def _again(done: Graded, known: Term, question: str, jobs: int | None) -> Grading:
    """The class as it was graded, about to be asked again.

    Raises:
        FileNotFoundError: if the submissions are not where they were.
        ValueError: if the question is none of the chapter's.
    """
    from mechlib.course import release
    from mechlib.grading import grade, sandbox

    run = done.run
    if not Path(run.submissions).exists():
        raise FileNotFoundError(f"the submissions are not at {run.submissions} any more: say where, --submissions PATH")
    asked = {each.id for grade_ in done.grades.values() for each in grade_.questions}
    if question not in asked:
        raise ValueError(f"the class was not asked {question!r}; its questions are {', '.join(sorted(asked))}")
    secret = Path(run.secret) if run.secret else None
    course = release.pinned(secret)
    if run.engine == "none":
        print(sandbox.TRUST, file=sys.stderr)
    return grade(
        run.submissions,
        done.out,
        chapter=run.chapter,
        secret=secret,
        jobs=jobs,
        timeout=run.timeout,
        resume=True,
        engine=cast("Engine", run.engine),
        known=[key for student in known.students for key in student.keys],
        released=course.questions if course else (),
    )


def _asked(
    grading: Grading, question: str, before: dict[str, SubmissionGrade], quiet: bool
) -> dict[str, SubmissionGrade]:
    """The grades with the question asked again, by source."""
    from tqdm.auto import tqdm

    found = {}
    for was, now in tqdm(grading.asked_again({question}, before), total=len(before), unit="notebook", disable=quiet):
        if now.ungraded:
            _say([f"{was.source}: the grader failed, and its grade stays: {' '.join(now.problems)}"])
        else:
            found[was.source] = now
    return found


@commands.command("gradebook")
def gradebook_(
    grades: Annotated[list[Path], typer.Argument(help="The folders of graded classes, a chapter each.")],
    out: Annotated[Path, typer.Option(help="The folder to write to.")],
) -> None:
    """Put several graded chapters into one file for every platform, and one table of the term."""
    from mechlib.course import graded
    from mechlib.course.gradebook import gradebook

    paths, notes = gradebook([graded.opened(folder) for folder in grades], out)
    _say(notes)
    for path in paths:
        if path.suffix == ".csv":
            print(f"wrote {path}")


@commands.command("give-back")
def give_back_(grades: Grades, platform: OnPlatform, out: Zip, worksheet: Sheet = None) -> None:
    """Put all feedback pages into one zip as a platform takes it; for Moodle also fill in the grading worksheet."""
    from mechlib.authoring import checkout
    from mechlib.course import giving_back, graded, running

    done = graded.opened(grades)
    run = replace(done.run, worksheet=str(worksheet.resolve())) if worksheet else done.run
    content, filled, notes = giving_back.feedback_zip(done, running.term(run, grades), platform.value, run.worksheet)
    files: dict[Path, str | bytes] = {out: content}
    if filled is not None:
        files[out.with_suffix(".csv")] = filled
    checkout.write_changed(files, private=True)
    _say(notes)
    for path in files:
        print(f"wrote {path}")


@commands.command("hand-out")
def hand_out_(
    course: Annotated[Path, typer.Argument(help="The folder of a course that was released with a roster.")],
    platform: OnPlatform,
    out: Zip,
    worksheet: Sheet = None,
    submissions: Annotated[
        Path | None, typer.Option(help="A download of the assignment, where everybody handed something in.")
    ] = None,
) -> None:
    """Put every student's own exercises into one zip as a platform takes it."""
    from mechlib.authoring import checkout
    from mechlib.course import giving_back

    content, notes = giving_back.exercises_zip(course, platform.value, worksheet, submissions)
    checkout.write_changed({out: content}, private=True)
    _say(notes)
    print(f"wrote {out}")
