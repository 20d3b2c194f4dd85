"""The command ``mechlib``: the models that ship with the book, and the tools that write and build it."""

from __future__ import annotations

import sys

import typer

from mechlib.cli import book, classes, courses, terms, work, zoo

__all__ = ["app", "main"]

app = typer.Typer(
    help="The book's models and its authors' tools.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(courses.commands)
app.add_typer(classes.commands)
app.add_typer(terms.commands)
app.add_typer(work.commands)
app.add_typer(zoo.commands, name="zoo")
app.add_typer(book.commands, name="book")


def main() -> None:
    """Run the command line; an expected error is one line and exit status 2."""
    try:
        app(prog_name="mechlib")
    except (ValueError, OSError, ImportError, LookupError, FloatingPointError) as error:
        if isinstance(error, KeyError | IndexError):  # those are faults of ours
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
