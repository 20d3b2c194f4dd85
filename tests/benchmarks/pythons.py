"""Chapters that read the standard library, on that of other versions: ``python -m tests.benchmarks.pythons``.

The Python that runs stays the same; ``mechlib.text`` reads another library. Those of 3.12, 3.13 and 3.14 come from the
npm package ``pyodide``, whose ``python_stdlib.zip`` holds them; they are kept under ``build/texts``. Every number of
the prose that a chapter warns of is printed. A chapter stops where its code needs what the other text does not have.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import nbclient
import nbformat
from nbformat.v4 import new_code_cell

from mechlib.authoring import checkout
from mechlib.claims import METADATA
from tests.benchmarks import machine

LIBRARIES = {"3.12": "0.27.7", "3.13": "0.28.3", "3.14": "314.0.0"}
"""The versions of Python and those of the package that hold their libraries."""

CHAPTERS = (
    "book/part1/01_residual_columns.ipynb",
    "book/part1/02_logit_lens.ipynb",
    "book/part2/06_induction_heads.ipynb",
)
"""Those that read the library: the others draw their data."""

ELSEWHERE = "from pathlib import Path\n\nfrom mechlib import text\n\ntext.standard_library = lambda: Path({folder!r})"
WARNED = re.compile(r"ProseWarning: (.*?)(?=; the book was measured)", re.DOTALL)


def library(python: str, folder: Path) -> Path:
    """The folder with a version's library, fetched if it is not there."""
    target = folder / python
    if not target.is_dir():
        with TemporaryDirectory() as temporary:
            pack = ["npm", "pack", "--silent", f"pyodide@{LIBRARIES[python]}"]
            subprocess.run(pack, cwd=temporary, check=True, stdout=subprocess.DEVNULL)
            (archive,) = Path(temporary).glob("*.tgz")
            with tarfile.open(archive) as package:
                content = package.extractfile("package/python_stdlib.zip").read()
        zipfile.ZipFile(io.BytesIO(content)).extractall(target)
    return target


def run(chapter: Path, folder: Path | None) -> tuple[list[str], dict[str, str]]:
    """What a chapter warns of when it reads the library in ``folder``, and its verdicts by claim."""
    notebook = nbformat.read(chapter, as_version=4)
    if folder is not None:
        notebook.cells.insert(0, new_code_cell(ELSEWHERE.format(folder=str(folder))))
    failed = []
    try:
        nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(chapter.parent)}}).execute()
    except nbclient.exceptions.CellExecutionError as error:
        failed = [f"stopped: {error.ename}: {error.evalue}"]
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    warned = [found for output in outputs for found in WARNED.findall(output.get("text", ""))]
    cards = [data for output in outputs if (data := output.get("metadata", {}).get(METADATA))]
    return warned + failed, {card["claim_id"]: card["outcome"] for card in cards}


def main() -> None:
    """Print one line for every chapter and library, and what it warned of."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pythons", nargs="*", default=list(LIBRARIES), help=f"of {', '.join(LIBRARIES)}; or 'own'")
    root = checkout.root()
    print("\n| library | chapter | numbers outside their tolerance | verdicts |\n|---|---|---|---|")
    for python in parser.parse_args().pythons:
        folder = None if python == "own" else library(python, root / "build" / "texts")
        for chapter in CHAPTERS:
            problems, verdicts = run(root / chapter, folder)
            said = " ".join(f"{claim} {word}" for claim, word in sorted(verdicts.items()))
            told = "; ".join([str(len(problems)), *problems])
            print(f"| {python} | {Path(chapter).stem} | {told} | {said} |", flush=True)


if __name__ == "__main__":
    print(machine.description())
    main()
