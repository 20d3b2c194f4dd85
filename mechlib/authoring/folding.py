"""Cells that are bookkeeping are folded: figures with their captions, cards, tables of results, comparisons with prose.

One tag says so. The built book folds a cell tagged ``hide-input`` behind a line that opens it, and leaves out one
tagged ``remove-cell``. JupyterLab and Colab have marks of their own for a cell whose source is folded; ``write()`` sets
both from the tag, so that a chapter reads the same everywhere.
"""

from __future__ import annotations

import copy
from pathlib import Path

from mechlib.authoring import checkout
from mechlib.authoring.checkout import Notebook

TAGS = frozenset({"hide-input", "remove-cell"})
"""A cell with one of these is bookkeeping."""

SET_UP = "bootstrap"
"""The tag of the cell that installs the library on Colab: a reader there has to see it."""


def folded(notebook: Notebook) -> Notebook:
    """The notebook with the marks of JupyterLab and Colab on its folded cells, and on no others."""
    done = copy.deepcopy(notebook)
    for cell in done["cells"]:
        metadata = cell["metadata"]
        jupyter = {key: value for key, value in metadata.pop("jupyter", {}).items() if key != "source_hidden"}
        metadata.pop("cellView", None)
        if cell["cell_type"] == "code" and is_bookkeeping(metadata.get("tags", ())):
            jupyter["source_hidden"] = True
            metadata["cellView"] = "form"
        if jupyter:
            metadata["jupyter"] = jupyter
    return done


def is_bookkeeping(tags: list[str]) -> bool:
    """Whether a cell with these tags is folded."""
    return SET_UP not in tags and not TAGS.isdisjoint(tags)


def write(folder: Path | None = None) -> list[Path]:
    """Set the marks in the chapters of a checkout; the files that changed."""
    return checkout.write_changed(_expected(folder))


def stale(folder: Path | None = None) -> list[str]:
    """One line for every chapter whose marks are not those of its tags."""
    folder = folder or checkout.root()
    changed = [path for path, text in _expected(folder).items() if checkout.differs(path, text)]
    return [
        f"{path.relative_to(folder)} folds other cells than its tags say; run 'mechlib book fold'" for path in changed
    ]


def _expected(folder: Path | None) -> dict[Path, str]:
    chapters = checkout.notebooks(folder or checkout.root(), "book")
    return {path: checkout.dump_notebook(folded(checkout.read_notebook(path))) for path in chapters}
