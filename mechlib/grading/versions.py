"""Whether a question is still the one that was asked: its version is another once its text, code or numbers change."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import mechlib
from mechlib.checks.judging import Trial
from mechlib.checks.open_task import OpenTask
from mechlib.checks.question import Question, Task

__all__ = ["grader", "source", "version"]

SEED = 0
"""Draws the cases whose right answers are compared."""

DIGITS = 12
"""Binary digits of them that are: what sums in another order change is not a change of the question."""

JUDGE = "mechlib.checks.judging"
OPEN_JUDGE = "mechlib.checks.open_judging"
"""The modules that, with what they import, decide on every question, and on every open task."""

GRADER = ("mechlib.grading.marking", "mechlib.grading.worker.cells", "mechlib.grading.worker.server")
"""The modules that, with what they import, execute a notebook and put its answers to the questions."""


def version(question: Task) -> str:
    """One word for all that decides how an answer to the question is judged.

    That is its text and points; the source of its module, of those of mechlib that this imports, directly or not, and
    of the judging; and what its reference returns on the cases of one seed. An open task has no reference: what its
    outcome is follows from the sources.
    """
    parts: Iterator[str] = iter(())
    if isinstance(question, OpenTask):
        parts = _of_open(question)
    elif isinstance(question, Question):
        functions = {question.reference, question.cases}
        parts = chain(_text(question), _sources(functions, JUDGE), _numbers(question))
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part.encode()).digest())
    return digest.hexdigest()


@cache
def grader() -> str:
    """One word for how notebooks are executed and asked, whatever the questions are."""
    digest = hashlib.sha256()
    for name in sorted(_reached(frozenset(GRADER))):
        digest.update(hashlib.sha256(f"{name}\0{source(name)}".encode()).digest())
    return digest.hexdigest()


def _text(question: Question) -> Iterator[str]:
    yield repr((question.id, question.points, question.title, question.fields))
    yield from (repr((name, each.sentence)) for name, each in question.misconceptions.items())


def _of_open(task: OpenTask) -> Iterator[str]:
    yield repr((task.id, task.points, task.title, task.handed_in, task.steps, task.words, task.model, task.instances))
    yield from _sources((task.draw, task.outcome, task.baseline), OPEN_JUDGE)


def _sources(functions: Iterable[Callable[..., object]], judge: str) -> Iterator[str]:
    modules = {getattr(part, "__module__", judge) for part in functions}
    for name in sorted(_reached(frozenset(modules | {judge}))):
        yield name
        yield source(name) or ""


def _numbers(question: Question) -> Iterator[str]:
    trial = Trial(question, SEED)
    for case, readings in zip(trial.cases, trial.expected, strict=True):
        yield case.description
        for reading in readings:
            mantissa, exponent = reading.values.frexp()
            yield repr((mantissa.mul(2**DIGITS).round().tolist(), exponent.tolist()))


def _reached(modules: frozenset[str]) -> set[str]:
    """Those modules and all of mechlib that they import, directly or not."""
    found: set[str] = set()
    todo = set(modules)
    while todo:
        name = todo.pop()
        found.add(name)
        todo |= _imported(name) - found
    return found


@cache
def _imported(name: str) -> frozenset[str]:
    """The modules of mechlib that a module imports, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source(name) or "")):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {part for part in parts if _file(part)}
            found |= modules if modules == parts else {node.module, *modules}
    return frozenset(each for each in found if _file(each))


@cache
def source(name: str) -> str | None:
    """The text of a module; ``None`` where there is none to read."""
    file = _file(name) or getattr(sys.modules.get(name), "__file__", None)
    return Path(file).read_text(encoding="utf-8") if file else None


def _file(name: str) -> Path | None:
    """The file of a module of mechlib; ``None`` if that is no name of one."""
    top, *rest = name.split(".")
    if top != "mechlib":
        return None
    path = Path(mechlib.__file__).parent.joinpath(*rest)
    return next((file for file in (path / "__init__.py", path.with_name(f"{path.name}.py")) if file.is_file()), None)
