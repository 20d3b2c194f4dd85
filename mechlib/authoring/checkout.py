"""The repository's files: where they are, how notebooks are read and written."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mechlib
from mechlib.files import written_whole

Notebook = dict[str, Any]
"""A notebook of format 4.5 as ``json`` reads it."""

NOTEBOOKS = ("book", "solutions", "exercises")
"""The folders that hold notebooks."""


MORE = "_more"
"""How the name of a chapter's second page ends: it has no exercises of its own, and stands behind the first."""


def home() -> Path:
    """The folder that holds the package mechlib: a checkout, or where packages are installed."""
    return Path(mechlib.__file__).parents[1]


def root() -> Path:
    """The checkout that this very package is imported from.

    Raises:
        FileNotFoundError: if mechlib is an installed copy and not a checkout.
    """
    folder = home()
    if not (folder / "pyproject.toml").is_file():
        raise FileNotFoundError(
            f"this command works on the book's repository, and mechlib is installed in {folder} without it; "
            "clone the repository and install it with 'pip install -e .'"
        )
    return folder


def project(folder: Path) -> dict[str, Any]:
    """The ``[project]`` table of the ``pyproject.toml`` in ``folder``."""
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def notebooks(folder: Path, *kinds: str) -> Iterator[Path]:
    """The notebooks of a checkout in a fixed order, of the given ``NOTEBOOKS`` folders or of all."""
    for kind in kinds or NOTEBOOKS:
        for path in sorted((folder / kind).rglob("*.ipynb")):
            if ".ipynb_checkpoints" not in path.parts:
                yield path


def read_notebook(path: Path) -> Notebook:
    """The notebook in a file, every cell's source one string.

    Raises:
        ValueError: if the file is no notebook of format 4.5; the message names it.
    """
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        found = (notebook["nbformat"], notebook["nbformat_minor"])
        for cell in notebook["cells"]:
            cell["source"] = "".join(cell["source"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a notebook: {error}") from error
    if found != (4, 5):
        raise ValueError(f"{path} is a notebook of format {found[0]}.{found[1]}; the book's are 4.5, with cell ids")
    return notebook


def label(path: Path) -> str:
    """What a chapter's page is called by: ``02``, and ``02 (more)`` for its second page, ``02_NAME_more.ipynb``."""
    return path.name[:2] + (" (more)" if path.stem.endswith(MORE) else "")


def title(notebook: Notebook) -> str:
    """What its first line says, without the mark of a heading."""
    return notebook["cells"][0]["source"].partition("\n")[0].removeprefix("# ")


def dump_notebook(notebook: Notebook) -> str:
    """The text of a notebook as Jupyter writes it, the same bytes for the same content."""
    cells = [{**cell, "source": cell["source"].splitlines(keepends=True)} for cell in notebook["cells"]]
    return json.dumps({**notebook, "cells": cells}, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def write_changed(files: Mapping[Path, str | bytes], *, private: bool = False) -> list[Path]:
    """Write those contents that differ from what is on disk, each file whole or not at all; return their paths.

    With ``private`` nobody but their owner can read the files, whatever the umask is and whatever they were before, nor
    enter the folders that are made for them, where the system knows such rights.
    """
    changed = [path for path, content in files.items() if differs(path, content)]
    for path in changed:
        _make(path.parent, private)
        with written_whole(path, private=private) as file:
            file.write(_bytes(files[path]))
    if private:
        for path in files:
            path.chmod(0o600)
    return changed


def _make(folder: Path, private: bool) -> None:
    """Make a folder and those that it lies in."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    if private:
        for each in missing:
            each.chmod(0o700)


def differs(path: Path, content: str | bytes) -> bool:
    """Whether the file is missing or holds other bytes than ``content``."""
    return not path.is_file() or path.read_bytes() != _bytes(content)


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content
