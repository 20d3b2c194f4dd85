"""Exercises are made from solutions: ``exercises/NAME.ipynb`` is ``solutions/NAME.ipynb`` without the answers.

A solution stands between the two marker lines of nbgrader, in a code cell::

    def logit_lens(model, tokens):
        ### BEGIN SOLUTION
        ...
        ### END SOLUTION

In the exercise the marked lines become one that raises ``NotImplementedError``, or at the left margin, where raising
would stop the notebook, a comment. Cells tagged ``solution-only`` are left out; outputs are stripped.
"""

from __future__ import annotations

import copy
from pathlib import Path

from mechlib.authoring import address, checkout
from mechlib.authoring.checkout import Notebook

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
PROMPT = "# your answer here"


def student(notebook: Notebook, *, name: str = "the notebook") -> Notebook:
    """The notebook that a student gets, made from a solution.

    Args:
        notebook: a notebook whose cells hold their source as one string; it is left as it is.
        name: what the notebook is called in an error.

    Raises:
        ValueError: for markers that are unbalanced, nested or outside a code cell; the message names the cell.
    """
    exercise = copy.deepcopy(notebook)
    exercise["metadata"].pop("widgets", None)
    exercise["cells"] = [c for c in exercise["cells"] if "solution-only" not in c["metadata"].get("tags", ())]
    for index, cell in enumerate(exercise["cells"]):
        where = f"{name}, cell {index} (id {cell['id']})"
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
            cell["metadata"].pop("execution", None)
            cell["source"] = _without_answer(cell["source"], where)
        elif BEGIN in cell["source"] or END in cell["source"]:
            raise ValueError(f"{where}: a solution's marker outside a code cell")
    return exercise


def _without_answer(source: str, where: str) -> str:
    kept: list[str] = []
    opened: int | None = None
    for number, line in enumerate(source.split("\n"), 1):
        marker = line.strip()
        if marker == BEGIN:
            if opened is not None:
                raise ValueError(f"{where}, line {number}: '{BEGIN}' inside the solution begun on line {opened}")
            opened = number
            indent = line[: line.index("#")]
            kept.append(f"{indent}raise NotImplementedError  {PROMPT}" if indent else PROMPT)
        elif marker == END:
            if opened is None:
                raise ValueError(f"{where}, line {number}: '{END}' without '{BEGIN}'")
            opened = None
        elif BEGIN in line or END in line:
            raise ValueError(f"{where}, line {number}: a marker stands alone on its line, not in {marker!r}")
        elif opened is None:
            kept.append(line)
    if opened is not None:
        raise ValueError(f"{where}, line {opened}: '{BEGIN}' without '{END}'")
    return "\n".join(kept)


def expected(folder: Path) -> dict[Path, str]:
    """The text of every exercise of a checkout, by its path."""
    texts = {}
    for source in checkout.notebooks(folder, "solutions"):
        name = source.relative_to(folder / "solutions")
        exercise = student(checkout.read_notebook(source), name=f"solutions/{name.as_posix()}")
        addressed = address.addressed(exercise, f"exercises/{name.as_posix()}", folder)
        texts[folder / "exercises" / name] = checkout.dump_notebook(addressed)
    return texts


def write(folder: Path | None = None) -> list[Path]:
    """Bring ``exercises/`` up to date; the files that changed. Nothing is written if any solution is in error."""
    return checkout.write_changed(expected(folder or checkout.root()))


def stale(folder: Path | None = None) -> list[str]:
    """One line for every exercise that is not what its solution gives, byte for byte."""
    folder = folder or checkout.root()
    texts = expected(folder)
    problems = [
        f"{path.relative_to(folder)} is not what its solution gives: run 'mechlib book exercises'"
        for path, text in texts.items()
        if checkout.differs(path, text)
    ]
    orphans = (path.relative_to(folder) for path in checkout.notebooks(folder, "exercises") if path not in texts)
    return problems + [f"{orphan} has no solution that it is made from: delete it" for orphan in orphans]
