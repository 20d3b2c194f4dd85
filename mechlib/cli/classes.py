"""``mechlib marking`` and ``copied``: what a lecturer does with a class once it is graded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

commands = typer.Typer()


@commands.command("marking")
def marking_(
    grades: Annotated[Path, typer.Argument(help="The folder of a graded class, or a table such as written.csv.")],
    rubric: Annotated[
        Path | None,
        typer.Option(
            help="A CSV file with chapter, question, line, points, full and none.",
            show_default="rubric.csv beside the secret",
        ),
    ] = None,
    solutions: Annotated[
        Path | None,
        typer.Option(help="The folder with the solutions, for model answers.", show_default="beside the secret"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The page.", show_default="marking.html beside the table")] = None,
) -> None:
    """Make the page on which written answers are marked, without a network."""
    from mechlib.course import markpage

    page = markpage.write(grades, rubric=rubric, solutions=solutions, out=out)
    print(f"Open {page} in a browser; what it exports goes into 'mechlib grade --written'.")


@commands.command("copied")
def copied_(
    course: Annotated[Path, typer.Argument(help="The folder of a course that was released with --per-student.")],
    submissions: Annotated[Path, typer.Argument(help="A folder of notebooks, or the zip of a platform.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("copied.html"),
    chapter: Annotated[str | None, typer.Option(help="Such as ch02.", show_default="that of each notebook")] = None,
) -> None:
    """Find data of other students in submissions: their seeds and their numbers."""
    from mechlib.course.honesty import report

    print(f"wrote {report(course, submissions, out, chapter)}")
