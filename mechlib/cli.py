"""The command ``mechlib``: the models that ship with the book, and the tools that write and build it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Protocol

import typer

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
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


@zoo.command("list")
def zoo_list() -> None:
    """List the models: sizes, checkpoints, loss on held-out text."""
    from mechlib.zoo import card, names

    rows = [("name", "layers", "d_model", "heads", "d_mlp", "context", "checkpoints", "last step", "loss", "MB")]
    for name in names():
        found = card(name)
        shape, last = found.shape, found.checkpoints[-1]
        sizes = (shape.n_layers, shape.d_model, shape.n_heads, shape.d_mlp or "none", shape.n_ctx)
        megabytes = sum((found.folder / c.file).stat().st_size for c in found.checkpoints if c.file) / 1e6
        progress = (len(found.checkpoints), last.step, f"{last.held_out_loss:.3f}", f"{megabytes:.1f}")
        rows.append((name, *map(str, sizes), *map(str, progress)))
    print(_table(rows))
    print("\nLoss: nats per token on held-out files. The first checkpoint of each is the untrained model, step 0.")


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
    folder: Annotated[Path | None, typer.Option(help="Where the run is kept.  [default: build/zoo/NAME]")] = None,
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
    """A module that keeps generated files up to date."""

    def write(self) -> list[Path]: ...

    def stale(self) -> list[str]: ...


def _bring_up_to_date(part: Generated, check: bool) -> None:
    if check:
        problems = part.stale()
        print("\n".join(problems) or "Up to date.")
        raise typer.Exit(1 if problems else 0)
    for path in part.write():
        print(f"wrote {path}")


@book.command("exercises")
def book_exercises(check: Check = False) -> None:
    """Make exercises/ from solutions/."""
    from mechlib.authoring import exercises

    _bring_up_to_date(exercises, check)


@book.command("address")
def book_address(check: Check = False) -> None:
    """Write the repository's address into first cells, Colab links, launch buttons and the README."""
    from mechlib.authoring import address

    _bring_up_to_date(address, check)


@book.command("claims")
def book_claims(check: Check = False) -> None:
    """Make book/claims.md from the verdicts of the executed chapters."""
    from mechlib.authoring import ledger

    _bring_up_to_date(ledger, check)


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
