"""``mechlib work`` and ``carry``: a reader's own copy of the exercises."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

commands = typer.Typer()


@commands.command("work")
def work_() -> None:
    """Copy the exercises to work/, to be answered there. What is there stays; a new version is laid beside it."""
    from mechlib.authoring import work

    for path in work.of_checkout().update():
        print(f"made {path}" + ("; 'mechlib carry' brings your answers over into it" if work.NEW in path.name else ""))


@commands.command("carry")
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
