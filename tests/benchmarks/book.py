"""How long chapters run and the book builds: ``python -m tests.benchmarks.book``.

The book is built in a copy of the checkout: cold with nothing kept from an earlier build, then warm, unchanged.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import nbclient
import nbformat

from mechlib.authoring import checkout, site
from tests.benchmarks import machine

LEFT_OUT = (".git", ".venv", "_build", "build", "__pycache__", ".*_cache")


def seconds(call: Callable[[], int | None]) -> float:
    """Wall time of a call that returns an exit status or nothing."""
    start = time.perf_counter()
    if status := call():
        raise RuntimeError(f"the build failed with exit status {status}")
    return time.perf_counter() - start


def execute(chapter: Path) -> None:
    """Run a notebook in a fresh kernel, in its own folder."""
    notebook = nbformat.read(chapter, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(chapter.parent)}}).execute()


def main() -> None:
    """Print one table: every chapter, and the book built cold and warm."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "book"
        shutil.copytree(checkout.root(), folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
        chapters = sorted((folder / "book").rglob("[0-9][0-9]_*.ipynb"))
        measured = {chapter.stem: seconds(lambda chapter=chapter: execute(chapter)) for chapter in chapters}
        measured["the book, cold"] = seconds(lambda: site.build(folder))
        measured["the book, warm"] = seconds(lambda: site.build(folder))
    print("\n| what | seconds |\n|---|---|")
    print("\n".join(f"| {name} | {value:.0f} |" for name, value in measured.items()))


if __name__ == "__main__":
    print(machine.description())
    main()
