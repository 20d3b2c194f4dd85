"""The copy of the exercises in which a reader works: made where it is not there, and never written over.

``work/NAME.ipynb`` is ``exercises/NAME.ipynb`` as it was when the copy was made, and from then on the reader's. When
the exercise has changed since, its new version is laid beside as ``work/NAME-new-VERSION.ipynb``, and
:meth:`Work.carry` brings the answers over into it. What a reader wrote is told from what was given by
``mechlib.authoring.given``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mechlib.authoring import checkout
from mechlib.authoring.checkout import Notebook
from mechlib.authoring.given import added, given, is_answer, version

__all__ = ["Carried", "Work", "of_checkout"]

FOLDER = "work"
NEW = "-new-"


@dataclass(frozen=True)
class Carried:
    """Answers that were brought over into the new version of an exercise."""

    source: Path
    """The notebook that they come from; it is left as it was."""
    target: Path
    """The new version."""
    cells: tuple[str, ...]
    """The ids of the cells that were brought over."""
    notes: tuple[str, ...]
    """One line for every cell that wants a look."""


@dataclass(frozen=True)
class Work:
    """A reader's copy of exercises."""

    exercises: Path
    """The folder of the exercises."""
    folder: Path
    """The folder of the copy."""

    def update(self) -> list[Path]:
        """Copy every exercise that is not there yet in its present version; the files that were made.

        The first copy has the exercise's name; a later version is laid beside it. No file that is there is written.

        Raises:
            ValueError: if a file in either folder is no notebook; nothing is made then.
        """
        texts = {
            self._place(path, exercise): checkout.dump_notebook(exercise)
            for path, exercise in self._given().items()
            if self._present(path, exercise) is None
        }
        return checkout.write_changed({path: text for path, text in texts.items() if not path.exists()})

    def carry(self, notebook: Path | None = None) -> list[Carried]:
        """Bring the answers of older versions over into the present ones, which are laid beside where they are not yet.

        Every cell in which the reader wrote takes its place: an answer in the cell with the same id, a cell of the
        reader's own after the one that it stood after. Where the new version has been written in already, that stays.

        Args:
            notebook: the one to bring over; ``None`` takes, of every exercise that has a new version, the notebook that
                was written in last.

        Raises:
            ValueError: if ``notebook`` is not an older version of an exercise, or a file is no notebook.
        """
        self.update()
        done = []
        for path, exercise in self._given().items():
            target = self._present(path, exercise)
            older = [each for each in self._versions(path) if each != target]
            if notebook is not None:
                older = [each for each in older if each.resolve() == notebook.resolve()]
            else:
                older = [each for each in older if added(checkout.read_notebook(each), exercise)]
            if target is not None and older:
                done.append(self._carry(max(older, key=lambda each: each.stat().st_mtime), target))
        if notebook is not None and not done:
            raise ValueError(f"{notebook} is no older version of an exercise in {self.folder}")
        return [each for each in done if each.cells or each.notes]

    def _given(self) -> dict[Path, Notebook]:
        paths = checkout.notebooks(self.exercises.parent, self.exercises.name)
        return {path: checkout.read_notebook(path) for path in paths}

    def _versions(self, exercise: Path) -> list[Path]:
        """The notebooks of an exercise in the copy, of whatever version."""
        first = self.folder / exercise.relative_to(self.exercises)
        return [*([first] if first.is_file() else []), *sorted(first.parent.glob(f"{first.stem}{NEW}*.ipynb"))]

    def _present(self, path: Path, exercise: Notebook) -> Path | None:
        """The notebook of the copy that was made from the exercise as it is."""
        made = (each for each in self._versions(path) if given(checkout.read_notebook(each)) == given(exercise))
        return next(made, None)

    def _place(self, path: Path, exercise: Notebook) -> Path:
        first = self.folder / path.relative_to(self.exercises)
        return first.with_stem(f"{first.stem}{NEW}{version(exercise)}") if first.exists() else first

    def _carry(self, source: Path, target: Path) -> Carried:
        old, new = checkout.read_notebook(source), checkout.read_notebook(target)
        merged, cells, notes = _merged(old, new, source.name)
        if cells:
            checkout.write_changed({target: checkout.dump_notebook(merged)})
        return Carried(source, target, tuple(cells), tuple(notes))


def _merged(old: Notebook, new: Notebook, where: str) -> tuple[Notebook, list[str], list[str]]:
    """``new`` with what was written in ``old``, the ids of the cells brought over, and notes on what wants a look."""
    merged = copy.deepcopy(new)
    ours, theirs = given(old), given(new)
    taken = set(added(new, new))
    cells, notes = [], []
    for index, cell in enumerate(old["cells"]):
        if cell["id"] not in added(old, new):
            continue
        places = {each["id"]: place for place, each in enumerate(merged["cells"])}
        if (place := places.get(cell["id"])) is None:
            before = [each["id"] for each in old["cells"][:index] if each["id"] in places]
            merged["cells"].insert(places[before[-1]] + 1 if before else 0, _bare(cell))
            if cell["id"] in ours:
                notes.append(f"{cell['id']}: the new version no longer asks for this; your cell stands where it stood")
        elif _bare(cell) == _bare(merged["cells"][place]):
            continue
        elif cell["id"] in taken:
            notes.append(
                f"{cell['id']}: you have written in the new version too, and that stays; the other is in {where}"
            )
            continue
        elif ours.get(cell["id"]) != theirs[cell["id"]] and not is_answer(merged["cells"][place]):
            notes.append(
                f"{cell['id']}: both you and the new version changed it; the new text stands, yours is in {where}"
            )
            continue
        else:
            if ours.get(cell["id"], theirs[cell["id"]]) != theirs[cell["id"]]:
                notes.append(f"{cell['id']}: what is asked has changed; compare your answer with the exercise")
            merged["cells"][place] = _bare(cell)
        cells.append(cell["id"])
    return merged, cells, notes


def _bare(cell: Mapping[str, Any]) -> dict[str, Any]:
    """A cell without outputs and traces of execution."""
    kept = {key: value for key, value in cell.items() if key not in ("outputs", "execution_count")}
    return {**kept, "outputs": [], "execution_count": None} if cell["cell_type"] == "code" else kept


def of_checkout(folder: Path | None = None) -> Work:
    """The copy in a checkout; ``None`` takes the one that mechlib is imported from."""
    folder = folder or checkout.root()
    return Work(folder / "exercises", folder / FOLDER)
