"""``mechlib book``: the book and its generated parts; works on a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mechlib.cli.generated import Check, bring_up_to_date

commands = typer.Typer(help="Build the book and its generated parts; works on a checkout.", no_args_is_help=True)


@commands.command("new")
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
    """Make a chapter with its exercises, a question and tests, which wait to be written; 'book claims' comes after."""
    from mechlib.authoring.new import new

    for path in new(number, title, part, caption=caption, name=name, builds_on=builds_on):
        print(f"wrote {path}")


@commands.command("exercises")
def book_exercises(check: Check = False) -> None:
    """Make exercises/ from solutions/."""
    from mechlib.authoring import exercises

    bring_up_to_date(exercises, check=check)


@commands.command("address")
def book_address(check: Check = False) -> None:
    """Write the repository's address and version into first cells, Colab links, launch buttons, README and citation."""
    from mechlib.authoring import address

    bring_up_to_date(address, check=check)


@commands.command("fold")
def book_fold(check: Check = False) -> None:
    """Fold in JupyterLab and on Colab the cells that the page folds."""
    from mechlib.authoring import folding

    bring_up_to_date(folding, check=check)


@commands.command("sentences")
def book_sentences(check: Check = False) -> None:
    """Put one sentence a line in the text of chapters, solutions and pages."""
    from mechlib.authoring import sentences

    bring_up_to_date(sentences, check=check)


@commands.command("claims")
def book_claims(check: Check = False) -> None:
    """Make book/claims.md from the verdicts of the executed chapters."""
    from mechlib.authoring import ledger

    bring_up_to_date(ledger, check=check)


@commands.command("instructors")
def book_instructors(check: Check = False) -> None:
    """Make the table of chapters in book/for-instructors.md."""
    from mechlib.authoring import instructors

    bring_up_to_date(instructors, check=check)


@commands.command("notebooks")
def book_notebooks(
    out: Annotated[Path | None, typer.Option(help="The folder.", show_default="_build/notebooks")] = None,
) -> None:
    """Copy the executed chapters in a form that is read well on the code host, on Colab and in JupyterLab."""
    from mechlib.authoring import copies

    for path in copies.write(out=out):
        print(f"wrote {path}")


@commands.command("slides")
def book_slides(
    chapter: Annotated[str, typer.Argument(help="The chapter's number, such as 02.")],
    out: Annotated[Path | None, typer.Option(help="The folder.", show_default="_build/slides/NN")] = None,
) -> None:
    """Make slides of an executed chapter, one HTML file that needs no network, and its figures as SVG and PNG."""
    from mechlib.authoring import slides

    for path in slides.write(chapter, out=out):
        print(f"wrote {path}")


@commands.command("execute")
def book_execute() -> None:
    """Execute the chapters that reach what has changed since they were executed, as many at once as processors."""
    from mechlib.authoring import checkout
    from mechlib.authoring.outputs import Outputs

    failed = Outputs(checkout.root()).make()
    for chapter, problem in failed.items():
        print(f"{chapter}: {problem}")
    raise typer.Exit(1 if failed else 0)


@commands.command("build")
def book_build() -> None:
    """Build the book with every notebook executed."""
    from mechlib.authoring import site

    raise typer.Exit(site.build())


@commands.command("serve")
def book_serve(port: Annotated[int, typer.Option(help="The port; the next free one if it is in use.")] = 8000) -> None:
    """Build the book and serve it on this machine."""
    from mechlib.authoring import site

    if status := site.build():
        raise typer.Exit(status)
    site.serve(site.pages(), port)
