"""Copies of the chapters for where no page is made of them: on the code host, on Colab, in JupyterLab.

A copy has what the page has, in what every reader of notebooks shows: plain Markdown, the figures, and only cells that
are worth their room. It runs as the chapter does. Copies are published on a branch of their own, in a folder for every
version, where the Colab links of the pages lead; each installs the version that it belongs to.
"""

from __future__ import annotations

import copy
import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mechlib.authoring import address, checkout, citations, needed, plain
from mechlib.authoring.checkout import Notebook
from mechlib.authoring.outputs import Outputs
from mechlib.figures import plots

__all__ = ["FOLDER", "plainly", "write"]

FOLDER = "_build/notebooks"
"""Where the copies of a checkout are laid."""
WIDGET = "application/vnd.jupyter.widget-view+json"
SHOWN = ("text/html", "text/markdown", "text/plain", "image/png")
"""The kinds of output that are shown everywhere."""
ALT = re.compile(r'<img [^>]*?alt="([^"]*)"')
CAPTION = re.compile(r"<figcaption>(.*?)</figcaption>", re.DOTALL)
FOLDED = "remove-input"
"""The tag of a cell whose output alone is for the reader."""
ABOUT = """\
# Notebooks of the book

Made from the executed chapters by `mechlib book notebooks`: a folder for every version. They are read here and run on
Colab; [the pages]({pages}) are the same with what moves, and changes go to [the source]({repository}).
"""


def write(folder: Path | None = None, out: Path | None = None) -> list[Path]:
    """Lay copies of the executed chapters of a checkout, in the folder of its version; the files that changed.

    Raises:
        FileNotFoundError: if a chapter has not been executed as it now stands.
        ValueError: if a text has no plain form; the message names its page.
    """
    folder = folder or checkout.root()
    out = out or folder / FOLDER
    outputs = Outputs(folder)
    facts = {"pages": address.pages(folder), "repository": address.repository(folder)}
    files: dict[Path, str | bytes] = {out / "README.md": ABOUT.format(**facts)}
    for chapter in checkout.notebooks(folder, "book"):
        path = chapter.relative_to(folder)
        done = plainly(outputs.read(path), path.as_posix(), folder)
        files[out / address.ref(folder) / path] = checkout.dump_notebook(done)
    return checkout.write_changed(files)


def plainly(notebook: Notebook, path: str, folder: Path) -> Notebook:
    """A copy of a notebook that is read well anywhere.

    Args:
        notebook: the chapter, with the outputs that the copy shall have.
        path: its place in the checkout.
        folder: the checkout.

    Raises:
        ValueError: if a text has no plain form.
    """
    done = copy.deepcopy(notebook)
    done["metadata"].pop("widgets", None)
    page = f"{address.pages(folder)}/{path.removesuffix('.ipynb')}.html"
    texts = [cell["source"] for cell in done["cells"] if cell["cell_type"] == "markdown"]
    known = citations.references(folder, address.pages(folder))
    convert = plain.Plain(folder, path, address.pages(folder), known, plain.numbers(texts))
    gone = set(needed.idle(done))
    done["cells"] = [cell for cell in done["cells"] if cell["id"] not in gone]
    for cell in done["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = convert.text(cell["source"])
        elif cell["cell_type"] == "code":
            cell["outputs"] = [shown for output in cell["outputs"] for shown in _shown(output, page)]
            if FOLDED in cell["metadata"].get("tags", ()):
                cell["metadata"] |= {"cellView": "form", "jupyter": {"source_hidden": True}}
    first = done["cells"][0]
    first["source"] = address.LINK.sub(lambda link: f"{link[0]} · [Read it as a page]({page})", first["source"], 1)
    return done


def _shown(output: dict[str, Any], page: str) -> Iterator[dict[str, Any]]:
    """An output as it is shown everywhere: a figure as a picture with its caption, a widget as a link to the page."""
    data, drawing = output.get("data"), output.get("metadata", {}).get(plots.PNG)
    if data is None:
        yield output
    elif WIDGET in data:
        yield _displayed({"text/markdown": f"What moves here moves on [the page]({page}), or when this cell is run."})
    elif drawing:
        told, caption = ALT.search(data["text/html"]), CAPTION.search(data["text/html"])
        yield _displayed({"image/png": drawing, "text/plain": html.unescape(told[1]) if told else ""})
        if caption:
            yield _displayed({"text/html": f"<p>{caption[1]}</p>", "text/plain": html.unescape(caption[1])})
    else:
        kept = {kind: data[kind] for kind in SHOWN if kind in data}
        yield output | {"data": kept, "metadata": {}}


def _displayed(data: dict[str, str]) -> dict[str, Any]:
    return {"output_type": "display_data", "data": data, "metadata": {}}
