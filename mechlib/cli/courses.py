"""``mechlib release``, ``grade``, ``gradescope`` and ``similarity``: what a course is made and graded with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mechlib.cli.generated import Check, Generated, bring_up_to_date

if TYPE_CHECKING:
    from mechlib.course.roster import Student
    from mechlib.grading.grade import Grading
    from mechlib.grading.results import SubmissionGrade
    from mechlib.grading.sandbox import Engine

commands = typer.Typer()

Solutions = Annotated[Path, typer.Argument(help="The folder with the solutions, such as solutions/.")]


class SandboxEngine(StrEnum):
    """What builds a sandbox."""

    _value_: Literal["bubblewrap", "podman", "docker"]
    bubblewrap = "bubblewrap"
    podman = "podman"
    docker = "docker"


@commands.command("release")
def release_(
    solutions: Solutions,
    to: Annotated[Path | None, typer.Option(help="Where the exercises go, such as exercises/.")] = None,
    course: Annotated[str | None, typer.Option(help="The name of a course, which --out is made for.")] = None,
    out: Annotated[Path | None, typer.Option(help="The course's folder, for instructor and students.")] = None,
    per_student: Annotated[
        Path | None, typer.Option(help="A CSV file with a column id: data for each student.")
    ] = None,
    check: Check = False,
) -> None:
    """Make exercises from solutions, and with --course what a course's instructor and students get."""
    from mechlib.authoring import exercises
    from mechlib.course import release

    if (course is None) != (out is None) or (per_student and not course):
        raise ValueError("--course and --out belong together, and --per-student needs both")
    if to is None and course is None:
        raise ValueError("nothing to make: give --to FOLDER, or --course NAME --out FOLDER, or all three")
    parts: list[Generated] = []
    if to is not None:
        parts.append(exercises.Exercises(solutions.resolve(), to.resolve()))
    if course is not None and out is not None:
        parts.append(release.Course(course, solutions, out, per_student))
    bring_up_to_date(*parts, check=check)


Submissions = Annotated[Path, typer.Argument(help="A folder of notebooks, or the zip of a learning platform.")]
Secret = Annotated[Path | None, typer.Option(help="The file that draws the hidden cases.")]
Roster = Annotated[Path | None, typer.Option(help="A CSV file with a column id: the students of the course.")]
Chapter = Annotated[str | None, typer.Option(help="Such as ch02.", show_default="that of most notebooks")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Notebooks at a time.", show_default="one for each processor")]
Timeout = Annotated[float, typer.Option(help="Seconds for a cell or an answer.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")]
ChosenEngine = Annotated[SandboxEngine, typer.Option(help="What builds the sandbox; a container engine is slower.")]
Trust = Annotated[bool, typer.Option("--trust-submissions", help="Grade without a sandbox: notebooks run as you.")]
Superseded = Annotated[
    bool, typer.Option("--superseded", help="Grade also what a later file of the same student replaces.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]


@commands.command("grade")
def grade_(
    submissions: Submissions,
    out: Annotated[Path, typer.Option(help="The folder of the grades.")],
    secret: Secret = None,
    roster: Roster = None,
    chapter: Chapter = None,
    jobs: Jobs = None,
    timeout: Timeout = 30.0,
    resume: Resume = False,
    engine: ChosenEngine = SandboxEngine.bubblewrap,
    trust: Trust = False,
    superseded: Superseded = False,
    quiet: Quiet = False,
) -> None:
    """Grade a class of notebooks."""
    from mechlib.course import release, reports
    from mechlib.course import roster as rosters
    from mechlib.grading import grade

    kind = _engine(engine, trust)
    students = rosters.read(roster) if roster else ()
    course = release.pinned(secret)
    if course and course.another_version:
        print(course.another_version, file=sys.stderr)
    grading = grade(
        submissions,
        out,
        chapter=chapter,
        secret=secret,
        jobs=jobs,
        timeout=timeout,
        resume=resume,
        engine=kind,
        write=reports.write,
        known=[key for student in students for key in student.keys],
        released=course.questions if course else (),
        superseded=superseded,
    )
    _carry_out(grading, students, quiet)


def _engine(engine: SandboxEngine, trust: bool) -> Engine:
    """What runs the notebooks; a warning where that is no sandbox.

    Raises:
        ValueError: if a sandbox was asked for and none.
    """
    from mechlib.grading import sandbox

    if not trust:
        return engine.value
    if engine != SandboxEngine.bubblewrap:
        raise ValueError(f"--trust-submissions grades without a sandbox; leave it out, or --engine {engine}")
    print(sandbox.TRUST, file=sys.stderr)
    return "none"


def _carry_out(grading: Grading, students: Sequence[Student], quiet: bool) -> None:
    """Grade every submission, write what is said of the class as a whole, and sum up."""
    from mechlib.course import reports

    reports.clear(grading.out)
    grades = _graded(grading, quiet)
    folders = {folder: grades[source] for source, folder in grading.folders.items()}
    reports.write_class(folders, grading.out, students)
    _sum_up(list(grades.values()), grading.out, students)


def _graded(grading: Grading, quiet: bool) -> dict[str, SubmissionGrade]:
    """The grade of every submission as it comes, by its source."""
    from tqdm.auto import tqdm

    try:
        return {each.source: each for each in tqdm(grading, total=len(grading), unit="notebook", disable=quiet)}
    except KeyboardInterrupt:
        print("Stopped. The same command with --resume goes on.", file=sys.stderr)
        raise typer.Exit(130) from None


def _sum_up(grades: list[SubmissionGrade], out: Path, students: Sequence[Student]) -> None:
    """Say how many are graded, and how many wait for a person."""
    from mechlib.course.matching import matches

    looks = sum(each.needs_human for each in grades)
    aside = sum(each.ungraded == "superseded" for each in grades)
    print(f"{len(grades) - aside} notebooks are graded, {looks} need a human look: see {out / 'summary.html'}.")
    if aside:
        print(f"{aside} that a later one replaces are not: --superseded grades them too.")
    if undecided := sum(match.undecided for match in matches(grades, students)):
        print(f"{undecided} of them count for nobody until you decide: the same page says why.")


@commands.command("gradescope")
def gradescope_(
    out: Annotated[Path, typer.Option(help="The zip to write.")] = Path("autograder.zip"),
    course: Annotated[Path | None, typer.Option(help="The folder of a course, whose secret is used.")] = None,
    chapter: Annotated[str | None, typer.Option(help="Such as ch02.", show_default="that of each notebook")] = None,
    timeout: Timeout = 30.0,
    trust: Annotated[bool, typer.Option("--trust-submissions", help="Grade where there is no sandbox.")] = False,
) -> None:
    """Make an autograder for Gradescope. It holds the secret."""
    from mechlib.authoring import checkout
    from mechlib.course import release
    from mechlib.course.gradescope import bundle

    secret = release.opened(course).secret_file if course else None
    content = bundle(chapter=chapter, secret=secret, timeout=timeout, trusted=trust)
    checkout.write_changed({out: content}, private=True)
    print(f"{out} holds {len(content) / 1e6:.0f} MB; upload it as the assignment's autograder. It holds the secret.")


@commands.command("similarity")
def similarity_(
    submissions: Annotated[Path, typer.Argument(help="A folder of notebooks, or the zip of a platform.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("similarity.html"),
    exercise: Annotated[Path | None, typer.Option(help="The notebook that everybody was given.")] = None,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Share of copied code that is shown.")] = 0.5,
) -> None:
    """Compare the code of a class with copydetect, which is installed apart."""
    from mechlib.course.similarity import report

    print(f"wrote {report(submissions, out, exercise=exercise, threshold=threshold)}")
