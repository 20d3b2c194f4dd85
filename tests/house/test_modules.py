"""Modules of mechlib stay small, and import only what the project declares."""

import ast
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mechlib.authoring import checkout
from mechlib.authoring.reach import stated

ROOT = checkout.root()
MODULES = sorted((ROOT / "mechlib").rglob("*.py"))
LONGEST = 400


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_is_one_room(path):
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert n_lines <= LONGEST, f"{n_lines} lines: two ideas; find the seam"


def foreign(path: Path) -> set[str]:
    """The top names of a module's imports from outside Python and the project."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {name.partition(".")[0] for name in stated(tree, path.relative_to(ROOT).parts[:-1])}
    return names - set(sys.stdlib_module_names) - {"mechlib"}


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def test_every_import_is_a_declared_dependency():
    project = checkout.project(ROOT)
    everywhere = names(project["dependencies"])
    in_authoring = everywhere | names(project["optional-dependencies"]["book"])
    distributions = packages_distributions()
    undeclared = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in MODULES
        for name in foreign(path)
        if not (in_authoring if "authoring" in path.parts else everywhere)
        & {canonicalize_name(d) for d in distributions.get(name, ())}
    }
    assert undeclared == set()
