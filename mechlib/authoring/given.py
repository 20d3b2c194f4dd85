"""What somebody wrote in an exercise, told from what the exercise gave.

An exercise carries a digest of every cell that it gives, in its own metadata::

    "mechlib": {"given": {"read-out-answer": "5f0c2a91", ...}}

Jupyter keeps them, so a notebook says by itself which cells are no longer, or never were, the exercise's. Two versions
of an exercise are the same if they give the same cells; the Colab links and the set-up cell, which follow the book's
address and version, do not count.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from mechlib.authoring.address import LINK, ON_COLAB
from mechlib.authoring.checkout import Notebook
from mechlib.checks.handing_in import INVITATION, WRITTEN

__all__ = ["PROMPT", "added", "given", "is_answer", "stamped", "version"]

PROMPT = "# your answer here"
"""Ends the line of an exercise in whose place the answer is written."""

KEY = "mechlib"


def stamped(exercise: Notebook) -> Notebook:
    """The exercise with the digests of its cells in its metadata."""
    digests = {cell["id"]: _digest(cell) for cell in exercise["cells"] if not _is_set_up(cell)}
    return {**exercise, "metadata": {**exercise["metadata"], KEY: {"given": digests}}}


def given(notebook: Notebook) -> dict[str, str]:
    """The digests of the cells that an exercise gave, by their ids; empty where the notebook does not tell."""
    told = notebook["metadata"].get(KEY)
    digests = told.get("given") if isinstance(told, dict) else None
    return digests if isinstance(digests, dict) else {}


def version(notebook: Notebook) -> str:
    """Six letters that two notebooks have in common if they were made from the same version of an exercise."""
    return hashlib.sha256(repr(sorted(given(notebook).items())).encode()).hexdigest()[:6]


def is_answer(cell: dict[str, Any]) -> bool:
    """Whether a cell of an exercise waits for an answer, in code or in words."""
    if cell["cell_type"] == "code":
        return any(line.rstrip().endswith(PROMPT) for line in cell["source"].split("\n"))
    return bool(WRITTEN.match(cell["source"])) and cell["source"].endswith(INVITATION)


def added(notebook: Notebook, exercise: Notebook) -> list[str]:
    """The ids of the cells in which somebody wrote, in the order of the notebook.

    Args:
        notebook: made from some version of an exercise.
        exercise: the exercise now. It decides where the notebook does not tell what it was made from: then what stands
            in a place for an answer counts, unless it waits for one still, and every cell that the exercise has not.
    """
    digests = given(notebook)
    cells = [cell for cell in notebook["cells"] if not _is_set_up(cell)]
    if digests:
        return [cell["id"] for cell in cells if _digest(cell) != digests.get(cell["id"])]
    places = {cell["id"]: is_answer(cell) for cell in exercise["cells"]}
    return [cell["id"] for cell in cells if places.get(cell["id"], True) and not is_answer(cell) and cell["source"]]


def _digest(cell: dict[str, Any]) -> str:
    text = ON_COLAB.sub("", re.sub(rf"\n*{LINK.pattern}", "", cell["source"], flags=re.MULTILINE))
    return hashlib.sha256(f"{cell['cell_type']}\n{text}".encode()).hexdigest()[:8]


def _is_set_up(cell: dict[str, Any]) -> bool:
    return "bootstrap" in cell["metadata"].get("tags", ())
