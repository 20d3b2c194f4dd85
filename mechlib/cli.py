"""The command ``mechlib``: the models that ship with the book, and the tools that write and build it."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

if TYPE_CHECKING:
    from mechlib.zoo import Card

app = typer.Typer(
    help="The book's models and its authors' tools.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
zoo = typer.Typer(help="The models that ship with the book.", no_args_is_help=True)
book = typer.Typer(help="Build the book and its generated parts; works on a checkout.", no_args_is_help=True)
app.add_typer(zoo, name="zoo")
app.add_typer(book, name="book")

Check = Annotated[bool, typer.Option("--check", help="Write nothing; fail if anything would change.")]


def main() -> None:
    """Run the command line; an expected error is one line and exit status 2."""
    try:
        app(prog_name="mechlib")
    except (ValueError, OSError, ImportError, LookupError, FloatingPointError) as error:
        if isinstance(error, KeyError | IndexError):  # those are faults of ours
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


@zoo.command("list")
def zoo_list() -> None:
    """List the models: sizes, checkpoints, loss on what they were not trained on."""
    from mechlib.zoo import card, names
    from mechlib.zoo.kinds import KINDS

    tables = []
    for kind in KINDS:
        found = [card(name) for name in names(kind.word)]
        rows = [(each.name, *map(str, kind.sizes(each)), *_progress(each)) for each in found]
        if rows:
            tables.append(f"{_table([('name', *kind.columns, *PROGRESS), *rows])}\n\n{kind.legend}")
    print("\n\n".join(tables))
    print("The first checkpoint of every model that was trained here is the untrained one, step 0.")


PROGRESS = ("checkpoints", "last step", "loss", "MB")


def _progress(found: Card) -> tuple[str, ...]:
    megabytes = sum((found.folder / file).stat().st_size for file in found.files) / 1e6
    if not found.checkpoints:
        return "1", "-", "-", f"{megabytes:.1f}"
    last = found.checkpoints[-1]
    return str(len(found.checkpoints)), str(last.step), f"{last.held_out_loss:.3f}", f"{megabytes:.1f}"


def _table(rows: list[tuple[str, ...]]) -> str:
    """Rows in aligned columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


@zoo.command("verify")
def zoo_verify() -> None:
    """Compare every weights file with the hash on its card; exit status 1 if any differs."""
    from mechlib.zoo import verify

    results = [(str(path), problem) for path, problem in verify()]
    for path, problem in results:
        print(f"{path}: {problem}")
    damaged = sum(problem != "ok" for _, problem in results)
    print(f"{len(results) - damaged} of {len(results)} files are intact.")
    raise typer.Exit(1 if damaged else 0)


@zoo.command("train")
def zoo_train(
    name: Annotated[str, typer.Argument(help="The name of a recipe.")],
    folder: Annotated[Path | None, typer.Option(help="Where the run is kept.", show_default="build/zoo/NAME")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    ship: Annotated[bool, typer.Option("--ship", help="Replace the model of that name that ships.")] = False,
) -> None:
    """Train a model from its recipe. A run that was stopped goes on from its last checkpoint."""
    from mechlib.zoo import release
    from mechlib.zoo.train import train

    folder = folder or Path("build", "zoo", name)
    try:
        card = train(name, folder=folder, progress=not quiet)
    except KeyboardInterrupt:
        print(f"Stopped. The same command goes on from the last checkpoint in {folder}.", file=sys.stderr)
        raise typer.Exit(130) from None
    print(f"{name} is trained; its card and weights are in {release.install(card) if ship else folder}.")


class Generated(Protocol):
    """A module or an object that keeps generated files up to date."""

    def write(self) -> list[Path]: ...

    def stale(self) -> list[str]: ...


def _bring_up_to_date(*parts: Generated, check: bool) -> None:
    if check:
        problems = [problem for part in parts for problem in part.stale()]
        print("\n".join(problems) or "Up to date.")
        raise typer.Exit(1 if problems else 0)
    for part in parts:
        for path in part.write():
            print(f"wrote {path}")


class SandboxEngine(StrEnum):
    """What builds a sandbox."""

    bubblewrap = "bubblewrap"
    podman = "podman"
    docker = "docker"


Solutions = Annotated[Path, typer.Argument(help="The folder with the solutions, such as solutions/.")]


@app.command("release")
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
    _bring_up_to_date(*parts, check=check)


@app.command("grade")
def grade_(
    submissions: Annotated[Path, typer.Argument(help="A folder of notebooks, or the zip of a learning platform.")],
    out: Annotated[Path, typer.Option(help="The folder of the grades.")],
    secret: Annotated[Path | None, typer.Option(help="The file that draws the hidden cases.")] = None,
    roster: Annotated[
        Path | None, typer.Option(help="A CSV file with a column id: the students of the course.")
    ] = None,
    chapter: Annotated[str | None, typer.Option(help="Such as ch02.", show_default="that of most notebooks")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Notebooks at a time.", show_default="one for each processor")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for a cell or an answer.")] = 30.0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    engine: Annotated[
        SandboxEngine, typer.Option(help="What builds the sandbox; a container engine is slower.")
    ] = SandboxEngine.bubblewrap,
    trust: Annotated[
        bool, typer.Option("--trust-submissions", help="Grade without a sandbox: notebooks run as you.")
    ] = False,
    superseded: Annotated[
        bool, typer.Option("--superseded", help="Grade also what a later file of the same student replaces.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Grade a class of notebooks."""
    from tqdm.auto import tqdm

    from mechlib.course import release, reports
    from mechlib.course.matching import matches
    from mechlib.course.roster import read
    from mechlib.grading import grade, sandbox

    if trust and engine != SandboxEngine.bubblewrap:
        raise ValueError(f"--trust-submissions grades without a sandbox; leave it out, or --engine {engine}")
    students = read(roster) if roster else ()
    if trust:
        print(sandbox.TRUST, file=sys.stderr)
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
        engine="none" if trust else engine.value,
        write=reports.write,
        known=[key for student in students for key in student.keys],
        released=course.questions if course else (),
        superseded=superseded,
    )
    reports.clear(out)
    shown = tqdm(grading, total=len(grading), unit="notebook", disable=quiet)
    try:
        grades = {each.source: each for each in shown}
    except KeyboardInterrupt:
        print("Stopped. The same command with --resume goes on.", file=sys.stderr)
        raise typer.Exit(130) from None
    reports.write_class({folder: grades[source] for source, folder in grading.folders.items()}, out, students)
    looks = sum(each.needs_human for each in grades.values())
    aside = sum(each.ungraded == "superseded" for each in grades.values())
    print(f"{len(grades) - aside} notebooks are graded, {looks} need a human look: see {out / 'summary.html'}.")
    if aside:
        print(f"{aside} that a later one replaces are not: --superseded grades them too.")
    if undecided := sum(match.undecided for match in matches(list(grades.values()), students)):
        print(f"{undecided} of them count for nobody until you decide: the same page says why.")


@app.command("gradescope")
def gradescope_(
    out: Annotated[Path, typer.Option(help="The zip to write.")] = Path("autograder.zip"),
    course: Annotated[Path | None, typer.Option(help="The folder of a course, whose secret is used.")] = None,
    chapter: Annotated[str | None, typer.Option(help="Such as ch02.", show_default="that of each notebook")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for a cell or an answer.")] = 30.0,
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


@app.command("similarity")
def similarity_(
    submissions: Annotated[Path, typer.Argument(help="A folder of notebooks, or the zip of a platform.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("similarity.html"),
    exercise: Annotated[Path | None, typer.Option(help="The notebook that everybody was given.")] = None,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Share of copied code that is shown.")] = 0.5,
) -> None:
    """Compare the code of a class with copydetect, which is installed apart."""
    from mechlib.course.similarity import report

    print(f"wrote {report(submissions, out, exercise=exercise, threshold=threshold)}")


@app.command("work")
def work_() -> None:
    """Copy the exercises to work/, to be answered there. What is there stays; a new version is laid beside it."""
    from mechlib.authoring import work

    for path in work.of_checkout().update():
        print(f"made {path}" + ("; 'mechlib carry' brings your answers over into it" if work.NEW in path.name else ""))


@app.command("carry")
def carry_(
    notebook: Annotated[
        Path | None, typer.Argument(help="The notebook with the answers.", show_default="the one written in last")
    ] = None,
) -> None:
    """Bring answers in work/ over into the new version of their exercise. The notebook with them stays as it is."""
    from mechlib.authoring import work

    carried = work.of_checkout().carry(notebook)
    for each in carried:
        print(f"{each.target} has {len(each.cells)} cells of {each.source.name}")
        for note in each.notes:
            print(f"  {note}")
    if not carried:
        print("There is nothing to bring over.")


@book.command("new")
def book_new(
    number: Annotated[int, typer.Argument(help="The chapter's number.")],
    title: Annotated[str, typer.Argument(help="The chapter's title.")],
    part: Annotated[int, typer.Option(help="The number of the part that it belongs to.")],
    caption: Annotated[str | None, typer.Option(help="What the part is about, if the chapter opens it.")] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the files, after the number.", show_default="from the title")
    ] = None,
    builds_on: Annotated[str, typer.Option(help="What a reader has to know before, such as 14.")] = "nothing",
) -> None:
    """Make a chapter with its exercises, a question and tests, which pass every check and wait to be written."""
    from mechlib.authoring.new import new

    for path in new(number, title, part, caption=caption, name=name, builds_on=builds_on):
        print(f"wrote {path}")


@book.command("exercises")
def book_exercises(check: Check = False) -> None:
    """Make exercises/ from solutions/."""
    from mechlib.authoring import exercises

    _bring_up_to_date(exercises, check=check)


@book.command("address")
def book_address(check: Check = False) -> None:
    """Write the repository's address and version into first cells, Colab links, launch buttons, README and citation."""
    from mechlib.authoring import address

    _bring_up_to_date(address, check=check)


@book.command("fold")
def book_fold(check: Check = False) -> None:
    """Fold in JupyterLab and on Colab the cells that the page folds."""
    from mechlib.authoring import folding

    _bring_up_to_date(folding, check=check)


@book.command("sentences")
def book_sentences(check: Check = False) -> None:
    """Put one sentence a line in the text of chapters, solutions and pages."""
    from mechlib.authoring import sentences

    _bring_up_to_date(sentences, check=check)


@book.command("claims")
def book_claims(check: Check = False) -> None:
    """Make book/claims.md from the verdicts of the executed chapters."""
    from mechlib.authoring import ledger

    _bring_up_to_date(ledger, check=check)


@book.command("instructors")
def book_instructors(check: Check = False) -> None:
    """Make the table of chapters in book/for-instructors.md."""
    from mechlib.authoring import instructors

    _bring_up_to_date(instructors, check=check)


@book.command("execute")
def book_execute() -> None:
    """Execute the chapters that reach what has changed since they were executed, as many at once as processors."""
    from mechlib.authoring import checkout
    from mechlib.authoring.outputs import Outputs

    failed = Outputs(checkout.root()).make()
    for chapter, problem in failed.items():
        print(f"{chapter}: {problem}")
    raise typer.Exit(1 if failed else 0)


@book.command("build")
def book_build() -> None:
    """Build the book with every notebook executed."""
    from mechlib.authoring import site

    raise typer.Exit(site.build())


@book.command("serve")
def book_serve(port: Annotated[int, typer.Option(help="The port; the next free one if it is in use.")] = 8000) -> None:
    """Build the book and serve it on this machine."""
    from mechlib.authoring import site

    if status := site.build():
        raise typer.Exit(status)
    site.serve(site.pages(), port)
