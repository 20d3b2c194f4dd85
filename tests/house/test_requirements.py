"""The files that say what is needed agree with each other and with what is installed."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mechlib import zoo
from mechlib.authoring import checkout

ROOT = checkout.root()
PROJECT = checkout.project(ROOT)
DIRECT = [*PROJECT["dependencies"], *(line for extra in PROJECT["optional-dependencies"].values() for line in extra)]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def closure() -> Iterator[tuple[str, Requirement]]:
    """Every requirement of the installed environment that the project leads to, with who asks for it."""
    todo = [("mechlib", Requirement(line)) for line in DIRECT]
    seen = set()
    while todo:
        asker, requirement = todo.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        yield asker, requirement
        if key in seen:
            continue
        seen.add(key)
        for line in requires(requirement.name) or ():
            needed = Requirement(line)
            if not needed.marker or any(needed.marker.evaluate({"extra": e}) for e in {"", *requirement.extras}):
                todo.append((requirement.name, needed))


def test_every_constraint_is_one_exact_version():
    lines = (ROOT / "constraints.txt").read_text().splitlines()[1:]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][a-z0-9.]*", line)] == []
    names = [line.split("==")[0] for line in lines]
    assert names == sorted(set(names))


def test_torch_is_pinned_without_a_build():
    assert pins()["torch"] == "2.13.0"


def test_requirements_are_the_constraints_and_the_package():
    assert (ROOT / "requirements.txt").read_text() == "-c constraints.txt\n-e .[book,test]\n"


@pytest.mark.parametrize("line", DIRECT)
def test_a_pin_satisfies_each_bound(line):
    requirement = Requirement(line)
    assert pins()[canonicalize_name(requirement.name)] in requirement.specifier


def test_everything_needed_is_pinned_here_or_by_who_needs_it():
    free = {
        f"{requirement} (for {asker})"
        for asker, requirement in closure()
        if canonicalize_name(requirement.name) not in pins()
        and not any(clause.operator == "==" for clause in requirement.specifier)
    }
    assert free == set()


def test_nothing_pinned_is_unneeded():
    assert set(pins()) - {canonicalize_name(requirement.name) for _, requirement in closure()} == set()


def test_the_environment_holds_the_pinned_versions():
    installed = {name: version(name).partition("+")[0] for name in pins()}
    assert installed == pins()


@pytest.mark.parametrize("name", zoo.names())
def test_the_packages_that_a_model_read_are_pinned_at_the_versions_on_its_card(name):
    distributions = packages_distributions()
    for label, read in zoo.card(name).data.get("packages", {}).items():
        (distribution, *_) = distributions[label.split(" ")[0]]
        assert pins()[canonicalize_name(distribution)] == read.partition("+")[0], label


def test_the_newest_changes_are_those_of_this_version():
    newest = re.search(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert newest.split()[0] == PROJECT["version"] if ".dev" not in PROJECT["version"] else newest == "Not yet released"


def test_build_requirement_and_python_bound_are_stated():
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert table["build-system"]["build-backend"] == "hatchling.build"
    assert PROJECT["requires-python"] == ">=3.11"
