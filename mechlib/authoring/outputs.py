"""What the cells of the chapters printed: made by executing the chapters side by side, and kept in Jupyter's cache.

Jupyter Book takes the pages' outputs from that cache, and the ledger its verdicts.
"""

from __future__ import annotations

import hashlib
import logging
import platform
import shutil
from pathlib import Path

import nbformat
import yaml
from jupyter_cache import get_cache
from jupyter_cache.executors import load_executor

from mechlib.authoring import checkout

CACHE = "_build/.jupyter_cache"
MADE_WITH = "_build/made-with"
"""The file with the digest of the library that the outputs were made with."""


def make(folder: Path | None = None) -> list[str]:
    """Execute the chapters that have no outputs yet, as many at once as there are processors.

    Returns:
        the chapters of which a cell failed. They are left without outputs.
    """
    folder = folder or checkout.root()
    _forget_those_of_another_library(folder)
    cache = get_cache(folder / CACHE)
    chapters = [str(path) for path in checkout.notebooks(folder, "book")]
    for chapter in chapters:
        cache.add_nb_to_project(chapter)
    seconds = yaml.safe_load((folder / "_config.yml").read_text(encoding="utf-8"))["execute"]["timeout"]
    executor = load_executor("local-parallel", cache, _shown())
    result = executor.run_and_cache(filter_uris=chapters, timeout=seconds)
    return sorted(result.excepted + result.errored)


def _shown() -> logging.Logger:
    """A logger at the level at which the executor's workers say what they execute."""
    logger = logging.getLogger(__name__)
    logger.setLevel(logging.INFO)
    return logger


def _forget_those_of_another_library(folder: Path) -> None:
    """Drop all outputs if the library, its weights or the pinned versions have changed since.

    The cache itself knows only the text of the notebooks.
    """
    if not _made_with_this_library(folder):
        shutil.rmtree(folder / CACHE, ignore_errors=True)
        (folder / MADE_WITH).parent.mkdir(exist_ok=True)
        (folder / MADE_WITH).write_text(library_digest(folder))


def _made_with_this_library(folder: Path) -> bool:
    note = folder / MADE_WITH
    return note.is_file() and note.read_text() == library_digest(folder)


def library_digest(folder: Path) -> str:
    """A digest of all that decides a cell's output beside the cell."""
    digest = hashlib.sha256(platform.python_version().encode())
    for path in [*sorted((folder / "mechlib").rglob("*")), folder / "constraints.txt"]:
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.relative_to(folder).as_posix().encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def read(folder: Path, path: Path) -> nbformat.NotebookNode:
    """The notebook at ``path`` in the checkout ``folder`` with its outputs.

    Raises:
        FileNotFoundError: if it has not been executed as it and the library now stand.
    """
    if _made_with_this_library(folder):
        try:
            return get_cache(folder / CACHE).merge_match_into_notebook(nbformat.read(folder / path, as_version=4))[1]
        except KeyError:
            pass
    raise FileNotFoundError(f"{path} has not been executed as it and the library now stand: run 'make html'")
