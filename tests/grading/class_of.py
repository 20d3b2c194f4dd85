"""A class of notebooks on a chapter, each with what it must earn: every way in which people hand something in."""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from mechlib.authoring import checkout
from mechlib.checks.question import Question
from mechlib.checks.registry import asked, questions
from tests.questions.alternatives import alternatives

Notebook = dict

WRONG = ("misconception", "wrong", "error")


@dataclass(frozen=True)
class Member:
    """One file of the class."""

    name: str
    content: bytes
    states: dict[str, tuple[str, ...]]
    """For every question id, the statuses that its grade may have."""
    misconceptions: dict[str, str]
    """For some question ids, the only misconception that its grade may name."""


def class_of(size: int, chapter: str = "ch02", seed: int = 0, heavy: int = 50 * 10**6) -> list[Member]:
    """A class of ``size``: one of every kind, every misconception and alternative, and then all over again.

    Args:
        heavy: bytes of output in the notebook that has much.
    """
    maker = Maker(chapter, random.Random(seed))
    mistakes = cycle([(q, name) for q in maker.questions for name in q.misconceptions])
    others = cycle([(q, name) for q in maker.questions for name in alternatives(q)])
    kinds = [
        *maker.kinds(heavy),
        *[lambda: maker.mistaken(*next(mistakes)), lambda: maker.alternative(*next(others))] * 6,
    ]
    members = islice(cycle(kinds), size)
    return [make() for make in members] if size >= len(kinds) else [make() for make in kinds[:size]]


def answers(kind: str = "solutions", chapter: str = "ch02", on_models: bool = False) -> Notebook:
    """A chapter's notebook with its answers and checks, without the experiments beside them, which take the longest.

    Args:
        kind: ``"solutions"`` or ``"exercises"``.
        on_models: also the tasks that are judged on a real model.
    """
    (path,) = checkout.root().glob(f"{kind}/{chapter[2:]}_*.ipynb")
    notebook = checkout.read_notebook(path)
    left = tuple(task.id.partition(".")[2].replace("_", "-") for task in asked(chapter) if getattr(task, "model", ""))
    kept = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown" or OF_ANSWERS.search(cell["id"])]
    return {**notebook, "cells": [cell for cell in kept if on_models or not cell["id"].startswith(left or "\0")]}


OF_ANSWERS = re.compile(r"^imports$|-(?:answer|check|tools)$")
"""The code cells that answer questions, by their ids."""


def write(members: list[Member], folder: Path) -> None:
    """Write the class into a folder, one file for every member."""
    folder.mkdir(parents=True)
    for number, member in enumerate(members):
        (folder / f"{number:03}-{member.name}.ipynb").write_bytes(member.content)


class Maker:
    """Makes members from a chapter's solution."""

    def __init__(self, chapter: str, choice: random.Random) -> None:
        self.questions = questions(chapter)
        self.choice = choice
        root = checkout.root()
        (self.path,) = root.glob(f"solutions/{chapter[2:]}_*.ipynb")
        self.open = [task.id for task in asked(chapter) if task not in self.questions]
        self.solution = self._without_open(checkout.read_notebook(self.path))
        self.exercise = self._without_open(checkout.read_notebook(root / "exercises" / self.path.name))

    def _without_open(self, notebook: Notebook) -> Notebook:
        """Open tasks have tests of their own, and judging one on a real model takes seconds."""
        about = [rf'"{re.escape(task)}"|^(?:def )?{task.partition(".")[2]}\b' for task in self.open]
        cells = [cell for cell in notebook["cells"] if not any(re.search(one, cell["source"], re.M) for one in about)]
        return {**notebook, "cells": cells}

    def kinds(self, heavy: int) -> list[Callable[[], Member]]:
        """Everything but single misconceptions and alternatives."""
        unreadable = {
            "text": b"This is not a notebook.",
            "picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
            "empty": b"",
            "array": b"[1, 2, 3]",
            "other-json": b'{"cells": "none"}',
            "cut-off": self._dumped(self.solution)[:3000],
            "deep": b"[" * 10**5,
        }
        return [
            lambda: self._all("honest", self.solution, "right"),
            lambda: self._all("unfilled", self.exercise, "unanswered"),
            self.partly,
            self.deleted,
            self.duplicated,
            self.reordered,
            self.stripped,
            self.overwritten,
            self.overwritten_unchecked,
            lambda: self.heavy(heavy),
            *[
                lambda name=name, content=content: self._member(
                    name, content, dict.fromkeys(self._ids, ("unanswered",))
                )
                for name, content in unreadable.items()
            ],
        ]

    @property
    def _ids(self) -> list[str]:
        return [question.id for question in self.questions]

    def partly(self) -> Member:
        """Some questions answered, the others left as they were."""
        left = set(self.choice.sample(self._ids, self.choice.randint(1, len(self._ids) - 1)))
        notebook = copy.deepcopy(self.solution)
        originals = {cell["id"]: cell["source"] for cell in self.exercise["cells"]}
        for question_id in left:
            cell = self._cell(notebook, question_id)
            cell["source"] = originals[cell["id"]]
        return self._some("partly", notebook, left, "unanswered")

    def deleted(self) -> Member:
        """Cells thrown away: one answer, and the check of another."""
        lost, unchecked = self.choice.sample(self._ids, 2)
        gone = (self._cell(self.solution, lost), self._cell(self.solution, unchecked, "check("))
        notebook = {**self.solution, "cells": [c for c in self.solution["cells"] if c not in gone]}
        return self._some("deleted", notebook, {lost}, "unanswered")

    def duplicated(self) -> Member:
        """Every cell twice."""
        return self._all(
            "duplicated", {**self.solution, "cells": [c for c in self.solution["cells"] for _ in "ab"]}, "right"
        )

    def reordered(self) -> Member:
        """All cells but the imports in random order: checks may stand before the answers."""
        cells = list(self.solution["cells"])
        first = next(i for i, cell in enumerate(cells) if cell["id"] == "imports") + 1
        rest = cells[first:]
        self.choice.shuffle(rest)
        return self._all("reordered", {**self.solution, "cells": cells[:first] + rest}, "right")

    def stripped(self) -> Member:
        """As Colab saves it: no tags, other ids in the metadata, its own keys."""
        cells = [
            {**{k: v for k, v in cell.items() if k != "id"}, "metadata": {"id": f"x{index}"}}
            for index, cell in enumerate(self.solution["cells"])
        ]
        notebook = {"nbformat": 4, "nbformat_minor": 0, "metadata": {"colab": {"provenance": []}}, "cells": cells}
        return self._all("stripped", notebook, "right")

    def overwritten(self) -> Member:
        """An answer that was checked and right, and that a later cell overwrites."""
        name = self.choice.choice(self._ids).partition(".")[2]
        later = self._code(f"{name} = lambda *arguments: 0")
        return self._all("overwritten", {**self.solution, "cells": [*self.solution["cells"], later]}, "right")

    def overwritten_unchecked(self) -> Member:
        """The same where no check saw the right answer: what stands at the end counts."""
        question_id = self.choice.choice(self._ids)
        check = self._cell(self.solution, question_id, "check(")
        cells = [cell for cell in self.solution["cells"] if cell is not check]
        later = self._code(f"{question_id.partition('.')[2]} = lambda *arguments: 0")
        return self._some("overwritten-unchecked", {**self.solution, "cells": [*cells, later]}, {question_id}, *WRONG)

    def heavy(self, size: int) -> Member:
        """Right answers, and output without measure."""
        output = {"output_type": "stream", "name": "stdout", "text": "x" * size}
        cells = [*self.solution["cells"], {**self._code("print('done')"), "outputs": [output]}]
        return self._all("heavy", {**self.solution, "cells": cells}, "right")

    def mistaken(self, question: Question, name: str) -> Member:
        """One misconception, everything else right."""
        notebook = self._answered(question, question.reference.__module__, f'["MISCONCEPTIONS"][{name!r}].answer')
        member = self._some(f"mistaken-{name}", notebook, {question.id}, *WRONG)
        return Member(member.name, member.content, member.states, {question.id: name})

    def alternative(self, question: Question, name: str) -> Member:
        """One answer written differently."""
        notebook = self._answered(question, f"{alternatives.__module__}.{question.id}", f'["ALTERNATIVES"][{name!r}]')
        return self._all(f"alternative-{name}", notebook, "right")

    def _answered(self, question: Question, module: str, which: str) -> Notebook:
        """The solution, with the answer to one question taken from the text of a module."""
        notebook = copy.deepcopy(self.solution)
        lines = ["import sys, types", *_carried(module), f"{question.id.partition('.')[2]} = vars(carried){which}"]
        self._cell(notebook, question.id)["source"] = "\n".join(lines)
        return notebook

    def _cell(self, notebook: Notebook, question_id: str, begins: str | None = None) -> dict:
        """The cell that answers a question, or another of it by how it begins."""
        name = question_id.partition(".")[2]
        begins = f'{begins}"{question_id}"' if begins else f"def {name}("
        return next(c for c in notebook["cells"] if c["cell_type"] == "code" and begins in c["source"])

    @staticmethod
    def _code(source: str) -> dict:
        return {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None}

    def _all(self, name: str, notebook: Notebook, state: str) -> Member:
        return self._member(name, self._dumped(notebook), dict.fromkeys(self._ids, (state,)))

    def _some(self, name: str, notebook: Notebook, other: set[str], *states: str) -> Member:
        expected = {question_id: states if question_id in other else ("right",) for question_id in self._ids}
        return self._member(name, self._dumped(notebook), expected)

    def _member(self, name: str, content: bytes, states: dict[str, tuple[str, ...]]) -> Member:
        return Member(name, content, states | dict.fromkeys(self.open, ("unanswered",)), {})

    @staticmethod
    def _dumped(notebook: Notebook) -> bytes:
        return json.dumps(notebook).encode()


def _carried(name: str) -> Iterator[str]:
    """Lines that make ``carried`` a module of the bank, which notebooks do not find, after those that it imports."""
    source = inspect.getsource(importlib.import_module(name))
    for imported in sorted(set(re.findall(r"^from (mechlib\.questions\S*) import", source, re.MULTILINE))):
        yield from _carried(imported)
    yield f"sys.modules[{name!r}] = carried = types.ModuleType({name!r})"
    yield f"exec({source!r}, vars(carried))"


def disagreements(members: list[Member], grades: dict[str, object]) -> Iterator[str]:
    """One line for every grade that is not what it must be. ``grades`` by the file's name."""
    for number, member in enumerate(members):
        grade = grades[f"{number:03}-{member.name}.ipynb"]
        for question in grade.questions:
            allowed = member.states[question.id]
            named = member.misconceptions.get(question.id)
            if question.status not in allowed or (question.misconception or named) != (named or question.misconception):
                yield f"{member.name}, {question.id}: {question.status} ({question.misconception}): {question.message}"
            if (question.score == question.points) != (question.status == "right"):
                yield f"{member.name}, {question.id}: {question.score} points for {question.status}"
