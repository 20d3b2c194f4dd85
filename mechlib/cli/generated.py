"""Generated files: brought up to date by a command, or with ``--check`` compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Protocol

import typer

__all__ = ["Check", "Generated", "bring_up_to_date"]

Check = Annotated[bool, typer.Option("--check", help="Write nothing; fail if anything would change.")]


class Generated(Protocol):
    """A module or an object that keeps generated files up to date."""

    def write(self) -> list[Path]: ...

    def stale(self) -> list[str]: ...


def bring_up_to_date(*parts: Generated, check: bool) -> None:
    if check:
        problems = [problem for part in parts for problem in part.stale()]
        print("\n".join(problems) or "Up to date.")
        raise typer.Exit(1 if problems else 0)
    for part in parts:
        for path in part.write():
            print(f"wrote {path}")
