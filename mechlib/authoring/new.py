"""A new chapter: every place that it needs, from the templates in ``skeleton/``.

A chapter is its notebook, its solutions, its questions with their tests, and, where it opens one, a part of the book.
What lists chapters is derived from these and brought up to date: the table of contents, the exercises, the tables of
the README and of the page for instructors.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mechlib.authoring import address, checkout, exercises, folding, instructors, overview
from mechlib.authoring.checkout import Notebook

__all__ = ["new"]

SKELETON = Path(__file__).with_name("skeleton")

PLACES = {
    "book/part{{part}}/{{file}}": "chapter.cells",
    "solutions/{{file}}": "exercises.cells",
    "book/cards/{{nn}}.toml": "cards.toml.txt",
    "mechlib/questions/{{chapter}}/__init__.py": "bank.py.txt",
    "mechlib/questions/{{chapter}}/gap.py": "question.py.txt",
    "tests/questions/alternatives/{{chapter}}/gap.py": "alternatives.py.txt",
    "tests/questions/strangers/{{chapter}}.py": "strangers.py.txt",
    "tests/questions/test_{{chapter}}.py": "tests.py.txt",
}
"""The template of every file of a chapter, by its place in the checkout."""

NUMERALS = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")
PART = "  - caption: {caption}\n    chapters:\n      - glob: book/part{part}/*\n"
AFTER_PARTS = "  - caption: Ledger\n"
CELL = re.compile(r"^%% (?P<kind>markdown|code) (?P<id>[\w-]+)(?P<tags>(?: [\w-]+)*)\n", re.MULTILINE)
"""The line above every cell in a template of a notebook."""


def new(
    number: int,
    title: str,
    part: int,
    *,
    caption: str | None = None,
    name: str | None = None,
    builds_on: str = "nothing",
    folder: Path | None = None,
) -> list[Path]:
    """Make a chapter that passes the checks of the house and waits to be written; the files that were written.

    Its verdict comes into the ledger when it has been executed, with ``mechlib book claims``; until then that is stale.

    Args:
        number: of the chapter, from 1 to 99; chapters are numbered through all parts.
        title: of the chapter.
        part: the number of the part that it belongs to.
        caption: what the part is about, if this chapter opens it.
        name: of the files, after the number; made from the title by default.
        builds_on: what a reader has to know before, as the page for instructors says it.
        folder: the checkout; ``None`` takes the one that mechlib is imported from.

    Raises:
        ValueError: if the number, the title or the name cannot be one, or the part is not there (or there, with a
            ``caption``), or does not come at this place.
        FileExistsError: if there is a chapter of this number. Nothing is written then, and with no other error either.
    """
    folder = folder or checkout.root()
    name = name or "_".join(re.findall(r"[a-z0-9]+", title.lower()))
    _check_names(number, title, name)
    _check_place(folder, number, part)
    contents = _contents(folder, part, caption)
    facts = {"nn": f"{number:02}", "chapter": f"ch{number:02}", "title": title, "part": str(part)}
    facts["file"] = f"{number:02}_{name}.ipynb"
    facts["colab"] = address.colab_link(folder, f"exercises/{facts['file']}")
    texts = {folder / _filled(place, facts): _text(template, facts, builds_on) for place, template in PLACES.items()}
    texts[folder / overview.LINES] = _lines(folder, facts["nn"])
    written = checkout.write_changed({**texts, folder / "_toc.yml": contents})
    for generated in (exercises, address, folding, instructors):
        written += generated.write(folder)
    return list(dict.fromkeys(written))


def _check_names(number: int, title: str, name: str) -> None:
    if not 1 <= number <= 99:
        raise ValueError(f"a chapter has a number from 1 to 99, not {number}")
    if not title.strip() or "\n" in title:
        raise ValueError(f"a title is one line that is not empty, not {title!r}")
    if not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", name):
        raise ValueError(f"files are named by small letters, digits and _, not {name!r}; give another with --name")


def _check_place(folder: Path, number: int, part: int) -> None:
    """Raise if the number is taken, or lies among those of another part."""
    for path in checkout.notebooks(folder, "book", "solutions"):
        if path.name.startswith(f"{number:02}_"):
            raise FileExistsError(f"there is a chapter {number:02}: {path.relative_to(folder).as_posix()}")
    for path in checkout.notebooks(folder, "book"):
        other, there = int(path.name[:2]), int(path.parent.name.removeprefix("part"))
        if (other < number and there > part) or (other > number and there < part):
            raise ValueError(f"chapter {number:02} cannot stand in part {part}: chapter {other:02} is in part {there}")


def _contents(folder: Path, part: int, caption: str | None) -> str:
    """The table of contents, with the part if the chapter opens it."""
    text = (folder / "_toc.yml").read_text(encoding="utf-8")
    there = [int(found) for found in re.findall(r"glob: book/part(\d+)/", text)]
    if part in there:
        if caption is not None:
            raise ValueError(f"there is a part {part} already, and it has its caption: leave --caption out")
        return text
    if caption is None or part != len(there) + 1 or part > len(NUMERALS):
        known = f"the parts are 1 to {len(there)}, and --part {len(there) + 1} --caption TEXT opens another"
        raise ValueError(f"there is no part {part}: {known}")
    entry = PART.format(caption=json.dumps(f"{NUMERALS[part - 1]}. {caption}", ensure_ascii=False), part=part)
    return text.replace(AFTER_PARTS, entry + AFTER_PARTS, 1)


def _lines(folder: Path, number: str) -> str:
    """What the chapters ask, with a line for this one if it was not planned."""
    path = folder / overview.LINES
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    entry = f'\n[{number}]\nline = "Say here what the chapter asks."\n'
    return text if re.search(rf"^\[{number}\]$", text, re.MULTILINE) else text + entry


def _filled(text: str, facts: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: facts[found[1]], text)


def _text(template: str, facts: dict[str, str], builds_on: str) -> str:
    text = _filled((SKELETON / template).read_text(encoding="utf-8"), facts)
    if not template.endswith(".cells"):
        return text
    notebook = _notebook(text)
    if template.startswith("chapter"):
        notebook["metadata"]["mechlib"] = {overview.BUILDS_ON: builds_on}
    return checkout.dump_notebook(notebook)


def _notebook(text: str) -> Notebook:
    """The notebook whose cells a template holds, one after the other."""
    heads = list(CELL.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    cells = [_cell(head, text[head.end() : end].strip("\n")) for head, end in zip(heads, ends, strict=True)]
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _cell(head: re.Match[str], source: str) -> dict[str, Any]:
    tags = head["tags"].split()
    cell = {"cell_type": head["kind"], "id": head["id"], "metadata": {"tags": tags} if tags else {}, "source": source}
    return cell | ({"outputs": [], "execution_count": None} if head["kind"] == "code" else {})
