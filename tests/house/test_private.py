"""Tests read what mechlib offers, and no private name of it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mechlib.authoring import checkout

ROOT = checkout.root()

EXCEPTIONS = dict.fromkeys(("_css", "_esm"), "anywidget's names of what a widget sends to the browser")
"""Private names that tests may read, each with the reason."""


def private(name: str) -> bool:
    """A name with one underscore in front; those with two are Python's, and those of representations Jupyter's."""
    return re.fullmatch(r"_(?!repr_)[^_]\w*", name) is not None


def made(tree: ast.AST) -> Iterator[str]:
    """The private names that a module makes: functions, classes, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names = [node.id]
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            names = [node.attr]
        else:
            continue
        yield from filter(private, names)


def read(tree: ast.AST) -> Iterator[str]:
    """The private names that a test imports, takes from an object, or names in a string, as ``setattr`` is told."""
    pieces = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if id(node) in pieces:
            continue  # of a string with fields: no whole name
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value.rpartition(".")[2]] if node.value.startswith(("_", "mechlib.")) else []
        else:
            continue
        yield from filter(private, names)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def trespasses(library: Path, tests: Path) -> set[tuple[str, str]]:
    """The tests that read a private name of the library which is none of their own, each with the name."""
    known = {name for path in library.rglob("*.py") for name in made(parsed(path))}
    found = set()
    for path in sorted(tests.rglob("*.py")):
        tree = parsed(path)
        names = (known & set(read(tree))) - set(made(tree))
        found |= {(path.relative_to(tests).as_posix(), name) for name in names}
    return found


def test_no_private_name_is_read_but_the_exceptions():
    found = trespasses(ROOT / "mechlib", ROOT / "tests")
    assert [each for each in found if each[1] not in EXCEPTIONS] == []
    here = Path(__file__).relative_to(ROOT / "tests").as_posix()
    assert {name for path, name in found if path != here} == EXCEPTIONS.keys()


@pytest.mark.parametrize(
    "line",
    [
        "room._hidden = None",
        "from mechlib.room import _hidden",
        "from mechlib import room\nroom._hidden()",
        "room.Thing()._inside",
        'monkeypatch.setattr(room, "_hidden", None)',
        'monkeypatch.setattr("mechlib.room._hidden", None)',
    ],
)
def test_a_planted_reading_is_found(tmp_path, line):
    library, tests = tmp_path / "library", tmp_path / "tests"
    for folder in (library, tests):
        folder.mkdir()
    (library / "room.py").write_text(
        "def _hidden(): ...\nclass Thing:\n    def __init__(self): self._inside = 1\n    def _repr_html_(self): ...\n"
    )
    allowed = "import os\nos._exit(0)\nthing._repr_html_()\nclass Own:\n    def _mine(self): return self._mine\n"
    (tests / "test_room.py").write_text(allowed)
    assert trespasses(library, tests) == set()
    (tests / "test_room.py").write_text(f"{allowed}{line}\n")
    ((path, name),) = trespasses(library, tests)
    assert path == "test_room.py" and name in line
