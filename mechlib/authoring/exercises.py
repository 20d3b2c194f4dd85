"""Exercises are made from solutions: ``exercises/NAME.ipynb`` is ``solutions/NAME.ipynb`` without the answers.

A solution stands between the two marker lines of nbgrader, in a code cell::

    def logit_lens(model, tokens):
        ### BEGIN SOLUTION
        ...
        ### END SOLUTION

In the exercise the marked lines become one that raises ``NotImplementedError``, or at the left margin, where raising
would stop the notebook, a comment. Cells tagged ``solution-only`` are left out; outputs are stripped. A text cell
whose first line is ``<!-- written: NAME -->`` holds a model answer; the exercise has that line and an invitation.

An exercise in which somebody wrote is never made again over what they wrote (``mechlib.authoring.given``).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path

from mechlib.authoring import address, checkout
from mechlib.authoring.checkout import Notebook
from mechlib.authoring.given import PROMPT, added, stamped
from mechlib.checks.handing_in import INVITATION, WRITTEN

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
REMEDY = "Move it elsewhere to have the exercise again; 'mechlib work' makes a copy of the exercises to write in"


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
        elif marker := WRITTEN.match(cell["source"]):
            cell["source"] = f"{marker[0]}\n\n{INVITATION}"
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


def names(solutions: Path) -> list[Path]:
    """The notebooks in a folder of solutions, relative to it.

    Raises:
        FileNotFoundError: if there is none.
    """
    found = [path.relative_to(solutions) for path in checkout.notebooks(solutions.parent, solutions.name)]
    if not found:
        raise FileNotFoundError(f"there is no notebook (*.ipynb) in {solutions}")
    return found


@dataclass(frozen=True)
class Exercises:
    """Exercises kept up to date with the solutions that they are made from."""

    solutions: Path
    """The folder with the solutions."""
    target: Path
    """The folder of the exercises."""
    folder: Path = field(default_factory=checkout.home)
    """A checkout: exercises in it show their own public address."""

    def expected(self) -> dict[Path, str]:
        """The text of every exercise by its path.

        Raises:
            FileNotFoundError: if there is no notebook among the solutions.
            ValueError: for broken markers; see ``student``.
        """
        return {self.target / name: checkout.dump_notebook(self._exercise(name)) for name in names(self.solutions)}

    def _exercise(self, name: Path) -> Notebook:
        solution = checkout.read_notebook(self.solutions / name)
        exercise = student(solution, name=f"{self.solutions.name}/{name.as_posix()}")
        path, folder = (self.target / name).resolve(), self.folder.resolve()
        if path.is_relative_to(folder):
            exercise = address.addressed(exercise, path.relative_to(folder).as_posix(), folder)
        else:
            exercise = address.unlinked(exercise)
        return stamped(exercise)

    def kept(self) -> dict[Path, str]:
        """Why an exercise may not be made again, by its path: somebody wrote in it, or it is no notebook."""
        exercises = {self.target / name: self._exercise(name) for name in names(self.solutions)}
        reasons = {path: self._holds(path, exercise) for path, exercise in exercises.items() if path.is_file()}
        return {path: f"{self._shown(path)} {reason}. {REMEDY}" for path, reason in reasons.items() if reason}

    def _holds(self, path: Path, exercise: Notebook) -> str:
        try:
            ids = added(checkout.read_notebook(path), exercise)
        except ValueError as error:
            return f"cannot be read ({error}) and is left as it is"
        some = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
        return f"holds what somebody wrote (cells {some}) and is left as it is" if ids else ""

    def write(self) -> list[Path]:
        """Bring the exercises up to date; the files that changed.

        Raises:
            ValueError: if a solution is in error, or an exercise is ``kept``; then nothing is written.
        """
        texts = self.expected()
        if kept := self.kept():
            raise ValueError("\n".join([*kept.values(), "Nothing was written."]))
        return checkout.write_changed(texts)

    def stale(self) -> list[str]:
        """One line for every exercise that is not what its solution gives, byte for byte."""
        texts, kept = self.expected(), self.kept()
        drifted = "is not what its solution gives: run 'mechlib book exercises' or 'mechlib release'"
        problems = [
            kept.get(path, f"{self._shown(path)} {drifted}")
            for path, text in texts.items()
            if checkout.differs(path, text)
        ]
        there = checkout.notebooks(self.target.parent, self.target.name)
        orphans = [path for path in there if path not in texts]
        return problems + [f"{self._shown(path)} has no solution that it is made from: delete it" for path in orphans]

    def _shown(self, path: Path) -> Path:
        return path.relative_to(self.folder) if path.is_relative_to(self.folder) else path


def of_checkout(folder: Path | None = None) -> Exercises:
    """The exercises of a checkout; ``None`` takes the one that mechlib is imported from."""
    folder = folder or checkout.root()
    return Exercises(folder / "solutions", folder / "exercises", folder)


def write(folder: Path | None = None) -> list[Path]:
    """Bring the exercises of a checkout up to date; see ``Exercises.write``."""
    return of_checkout(folder).write()


def stale(folder: Path | None = None) -> list[str]:
    """What is not up to date in a checkout; see ``Exercises.stale``."""
    return of_checkout(folder).stale()
