"""What the library offers to a reader, and which chapters use it: read from the sources, without importing them.

Public are the functions and classes that a room exports, and those of a module within a room that a chapter imports
from directly.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mechlib.authoring import checkout
from mechlib.authoring.reach import Library, syntax

__all__ = ["TOOLS", "Catalogue", "Section", "catalogue", "rooms"]

TOOLS = frozenset({"authoring", "cli", "course", "files", "grading", "questions"})
"""The rooms of mechlib that are no library for readers: the commands, and the bank of questions with its answers."""

Definition = ast.FunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Section:
    """The public functions and classes of one module, as a reader imports them."""

    module: str
    """Dotted, such as ``mechlib.llc``."""
    functions: tuple[str, ...]
    """Dotted, such as ``mechlib.llc.estimate_llc``, in the order in which the module exports or defines them."""
    classes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, in the order of the reference."""
        return self.functions + self.classes


@dataclass(frozen=True)
class Catalogue:
    """The public functions and classes of the library, and the chapters that use them."""

    rooms: dict[str, tuple[Section, ...]]
    """The sections of every room: its own, then those of its modules that a chapter imports from."""
    uses: dict[str, tuple[str, ...]]
    """For every chapter, by its path in the checkout, the names of what it uses, in the order of the reference."""
    types: dict[str, dict[str, str]]
    """For every function, what the names that the library gives to types stand for, those that its signature has."""

    def users(self, name: str) -> tuple[str, ...]:
        """The chapters that use what has this dotted name."""
        return tuple(chapter for chapter, used in self.uses.items() if name in used)


def rooms(folder: Path) -> tuple[str, ...]:
    """The rooms of the library in a checkout: what stands directly under mechlib, without the tools."""
    package = folder / "mechlib"
    found = {path.stem for path in package.glob("*.py")} | {path.parent.name for path in package.glob("*/__init__.py")}
    return tuple(sorted(found - TOOLS - {"__init__"}))


def catalogue(folder: Path) -> Catalogue:
    """The catalogue of a checkout."""
    library = _Library(folder)
    chapters = checkout.notebooks(folder, "book")
    mentioned = {path.relative_to(folder).as_posix(): set(_mentions(path)) for path in chapters}
    everything = set().union(*mentioned.values())
    sections = {room: tuple(library.sections(f"mechlib.{room}", everything)) for room in rooms(folder)}
    order = [name for each in sections.values() for section in each for name in section.names]
    homes = {library.home(name): name for name in order} | {name: name for name in order}
    used = {chapter: {homes[name] for name in names & homes.keys()} for chapter, names in mentioned.items()}
    uses = {chapter: tuple(filter(names.__contains__, order)) for chapter, names in used.items()}
    functions = (name for each in sections.values() for section in each for name in section.functions)
    return Catalogue(sections, uses, {name: library.types(name) for name in functions})


class _Library:
    """The modules of mechlib in a checkout, as text."""

    def __init__(self, folder: Path):
        self._paths = Library(folder).modules
        self._tree = cache(lambda module: ast.parse(self._paths[module].read_text(encoding="utf-8")))

    def sections(self, room: str, mentioned: Iterable[str]) -> Iterator[Section]:
        """The section of a room, then of those modules in it of which more is mentioned than the room exports."""
        exported = self._exports(room)
        homes = {self.home(f"{room}.{name}") for name in exported}
        yield _section(room, exported)
        inside = {name.rpartition(".")[0] for name in mentioned if name not in homes}
        for module in sorted(each for each in inside if each.startswith(f"{room}.") and each in self._paths):
            own = {name: node for name, node in self._exports(module).items() if f"{module}.{name}" not in homes}
            yield _section(module, own)

    def home(self, name: str) -> str:
        """The dotted name under which something is defined."""
        module, _, short = name.rpartition(".")
        return self._definition(module, short)[0]

    def types(self, function: str) -> dict[str, str]:
        """By name, what the library assigns to those names in a function's signature that are no classes, and so on."""
        module, _, short = self.home(function).rpartition(".")
        node = self._definition(module, short)[1]
        if not isinstance(node, ast.FunctionDef):
            return {}
        annotations = [each.annotation for each in ast.walk(node.args) if isinstance(each, ast.arg)] + [node.returns]
        found: dict[str, str] = {}
        todo = [(module, name) for each in annotations for name in _names(each)]
        for where, name in todo:  # which grows
            home = self.home(f"{where}.{name}")
            if name not in found and (value := self._assigned(home)):
                found[name] = ast.unparse(value)
                todo += [(home.rpartition(".")[0], part) for part in _names(value)]
        return found

    def _assigned(self, home: str) -> ast.expr | None:
        """What is assigned to a name at the top of the module where it is defined; ``None`` for what is not."""
        module, _, short = home.rpartition(".")
        assigned = (node for node in self._tree(module).body if isinstance(node, ast.Assign))
        return next((node.value for node in assigned if ast.unparse(node.targets[0]) == short), None)

    def _exports(self, module: str) -> dict[str, Definition]:
        """The functions and classes of a module's ``__all__``; where it has none, what it defines in public."""
        body = self._tree(module).body
        assigned = (node for node in body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
        defined = [node.name for node in body if isinstance(node, Definition) and not node.name.startswith("_")]
        names = next((ast.literal_eval(node.value) for node in assigned), defined)
        found = {name: self._definition(module, name)[1] for name in names}
        return {name: node for name, node in found.items() if node is not None}

    def _definition(self, module: str, name: str) -> tuple[str, Definition | None]:
        """Where a name of a module is from, and its definition; ``None`` for what is neither function nor class."""
        for node in self._tree(module).body:
            if isinstance(node, Definition) and node.name == name:
                return f"{module}.{name}", node
            if isinstance(node, ast.ImportFrom) and node.module and node.module in self._paths:
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return self._definition(node.module, alias.name)
        return f"{module}.{name}", None


def _names(node: ast.expr | None) -> list[str]:
    """The names in an expression, in order, each once."""
    parts = ast.walk(node) if node else ()
    return list(dict.fromkeys(part.id for part in parts if isinstance(part, ast.Name)))


def _section(module: str, exported: dict[str, Definition]) -> Section:
    functions, classes = (
        tuple(f"{module}.{name}" for name, node in exported.items() if isinstance(node, kind))
        for kind in (ast.FunctionDef, ast.ClassDef)
    )
    return Section(module, functions, classes)


def _mentions(path: Path) -> Iterator[str]:
    """The dotted names under mechlib that the code cells of a notebook import or reach through an import."""
    tree = syntax(checkout.read_notebook(path))
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "mechlib":
            bound |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    yield from bound.values()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            if first in bound:
                yield f"{bound[first]}.{rest}"
