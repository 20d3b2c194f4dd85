"""``mechlib release``, ``grade``, ``gradescope`` and ``similarity``: what a course is made and graded with."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from mechlib.cli.generated import Check, Generated, bring_up_to_date

if TYPE_CHECKING:
    from mechlib.course.graded import Run
    from mechlib.course.settling import Term
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


Written = Annotated[
    list[Path] | None, typer.Option(help="A filled-in written.csv; several may be given, and later runs keep to them.")
]
Overrides = Annotated[Path | None, typer.Option(help="Points that you decided on.", show_default="beside the secret")]
Times = Annotated[
    Path | None, typer.Option(help="Extra time and times of handing in.", show_default="beside the secret")
]
Groups = Annotated[Path | None, typer.Option(help="Who hands in together.", show_default="beside the secret")]
Worksheet = Annotated[Path | None, typer.Option(help="Moodle's grading worksheet of the assignment.")]


class Called(StrEnum):
    """What the students are called in written.csv."""

    _value_: Literal["id", "name", "anonymous"]
    id = "id"
    name = "name"
    anonymous = "anonymous"


Names = Annotated[
    Called | None, typer.Option(help="What the students are called in written.csv.", show_default="id, or as before")
]


@commands.command("grade")
def grade_(
    out: Annotated[Path, typer.Option(help="The folder of the grades.")],
    submissions: Annotated[
        Path | None,
        typer.Argument(
            help="A folder of notebooks, or the zip of a learning platform; without it, what is graded in --out is "
            "settled anew, by the tables as they are now.",
            show_default=False,
        ),
    ] = None,
    secret: Secret = None,
    roster: Roster = None,
    chapter: Chapter = None,
    jobs: Jobs = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds for a cell or an answer.", show_default="30, or as before")
    ] = None,
    resume: Resume = False,
    engine: ChosenEngine = SandboxEngine.bubblewrap,
    trust: Trust = False,
    superseded: Superseded = False,
    written: Written = None,
    overrides: Overrides = None,
    times: Times = None,
    groups: Groups = None,
    worksheet: Worksheet = None,
    names: Names = None,
    quiet: Quiet = False,
) -> None:
    """Grade a class of notebooks; merge what a person says of them."""
    from mechlib.course import graded, running

    run = running.remembered(
        out,
        submissions=submissions,
        secret=secret,
        roster=roster,
        timeout=timeout,
        written=written,
        overrides=overrides,
        times=times,
        groups=groups,
        worksheet=worksheet,
        names=names and names.value,
    )
    if submissions is None:
        if resume or superseded or trust or chapter:
            raise ValueError("there is nothing to grade: name the submissions, or leave these options out")
        before = graded.opened(out)
        _say(running.finish(replace(before, run=run), running.term(run, out)).notes)
        _sum_up(before.out, running.term(run, out))
        return
    run = replace(run, engine=_engine(engine, trust))
    _grade(submissions, out, run, chapter, jobs, resume, superseded, quiet)


def _grade(
    submissions: Path,
    out: Path,
    run: Run,
    chapter: str | None,
    jobs: int | None,
    resume: bool,
    superseded: bool,
    quiet: bool,
) -> None:
    from mechlib.course import release, reports, running
    from mechlib.course.settling import settle
    from mechlib.course.withheld import dated
    from mechlib.grading import grade

    known, started = running.term(run, out), datetime.datetime.now(datetime.UTC)
    secret = Path(run.secret) if run.secret else None
    course = release.pinned(secret)
    if course and course.another_version:
        print(course.another_version, file=sys.stderr)
    grading = grade(
        submissions,
        out,
        chapter=chapter,
        secret=secret,
        jobs=jobs,
        timeout=run.timeout,
        resume=resume,
        engine=cast("Engine", run.engine),
        write=lambda grade, folder: reports.write(dated(grade, known.rules.withheld, started), folder),
        known=[key for student in known.students for key in student.keys],
        released=course.questions if course else (),
        superseded=superseded,
    )
    known = replace(known, secret=grading.state.secret)
    settle(grading.unread(), known)  # a row that nobody fits is found before hours of grading
    _carry_out(grading, replace(run, chapter=grading.assignment.chapter), known, quiet)


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


def _carry_out(grading: Grading, run: Run, known: Term, quiet: bool) -> None:
    """Grade every submission, settle the class, write what is said of it as a whole, and sum up."""
    from mechlib.course import reports, running
    from mechlib.course.graded import Graded

    _say(
        f"You had changed {path.name.replace('.yours', '')}: it is kept as {path}."
        for path in reports.clear(grading.out)
    )
    grades = _graded(grading, quiet)
    folders = {folder: grades[source] for source, folder in grading.folders.items()}
    _say(running.finish(Graded(grading.out, run, folders), known).notes)
    _sum_up(grading.out, known)


def _say(notes: Iterable[str]) -> None:
    from mechlib.course.pages import printable

    for note in notes:
        print(printable(note), file=sys.stderr)


def _graded(grading: Grading, quiet: bool) -> dict[str, SubmissionGrade]:
    """The grade of every submission as it comes, by its source."""
    from tqdm.auto import tqdm

    try:
        return {each.source: each for each in tqdm(grading, total=len(grading), unit="notebook", disable=quiet)}
    except KeyboardInterrupt:
        print("Stopped. The same command with --resume goes on.", file=sys.stderr)
        raise typer.Exit(130) from None


def _sum_up(out: Path, known: Term) -> None:
    """Say how many are graded, and how many wait for a person."""
    from mechlib.course import graded
    from mechlib.course.matching import matches
    from mechlib.course.settling import settle

    settled = settle(list(graded.opened(out).grades.values()), known)
    looks = sum(each.needs_human for each in settled.grades)
    aside = sum(each.ungraded == "superseded" for each in settled.grades)
    print(f"{len(settled.grades) - aside} notebooks are graded, {looks} need a human look: see {out / 'summary.html'}.")
    if aside:
        print(f"{aside} that a later one replaces are not: --superseded grades them too.")
    if undecided := sum(match.undecided for match in matches(settled.grades, known.students, settled.groups)):
        print(f"{undecided} of them count for nobody until you decide: the same page says why.")
    if later := sorted({(q.until, q.title) for each in settled.grades for q in each.questions if q.until}):
        titles = "; ".join(f"{title} until {until}" for until, title in later)
        print(f"Withheld from students, and not from the gradebooks' files: {titles}.")
    if waiting := sum(bool(each.waiting) for each in settled.grades):
        print(f"{waiting} have no final points until you mark or decide something: the same page says what.")


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
    from mechlib.course import release, rules
    from mechlib.course.gradescope import bundle

    secret = release.opened(course).secret_file if course else None
    later = rules.read(secret.with_name("course.json")).withheld if secret else {}
    content = bundle(chapter=chapter, secret=secret, timeout=timeout, trusted=trust, withheld=later)
    checkout.write_changed({out: content}, private=True)
    print(f"{out} holds {len(content) / 1e6:.0f} MB; upload it as the assignment's autograder. It holds the secret.")


@commands.command("similarity")
def similarity_(
    submissions: Annotated[Path, typer.Argument(help="A folder of notebooks, or the zip of a platform.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("similarity.html"),
    exercise: Annotated[Path | None, typer.Option(help="The notebook that everybody was given.")] = None,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Share of copied code that is shown.")] = 0.5,
    earlier: Annotated[
        list[Path] | None, typer.Option(help="Submissions of an earlier year; several times for several years.")
    ] = None,
) -> None:
    """Compare the code of a class with copydetect, which is installed apart."""
    from mechlib.course.similarity import report

    print(f"wrote {report(submissions, out, exercise=exercise, threshold=threshold, earlier=earlier or [])}")
