"""A sandbox that several tests share, and notebooks put through it."""

import os

import pytest

from mechlib.grading import sandbox
from mechlib.grading.assignment import Assignment
from mechlib.grading.marking import Marking
from mechlib.grading.notebook import Cell
from mechlib.grading.worker.rooms import Limits
from mechlib.grading.workshop import Workshop
from tests.grading.toys import TOYS

SECRET = b"of the tests, and of nothing else"


@pytest.fixture(scope="session")
def sandboxed(program):
    """Makes sure that there is a sandbox. Where there is none, the test is skipped; with CI=true it fails."""
    program("bwrap", package="bubblewrap")
    try:
        sandbox.require()
    except sandbox.NoSandbox as error:
        if os.environ.get("CI", "").lower() == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def shop(sandboxed):
    """A workshop with small limits."""
    with Workshop(Limits(memory=2**30, disk=8 * 2**20, processes=32)) as open_shop:
        yield open_shop


@pytest.fixture(scope="session")
def toys():
    """The assignment of the toy questions."""
    return Assignment.of("ch02", SECRET, only=TOYS)


@pytest.fixture
def mark(shop, toys):
    """``mark(source, ...)``: what marking makes of a notebook with these cells."""

    def marked(*sources, timeout=20.0, assignment=toys):
        marking = Marking(assignment, tuple(Cell(i, s) for i, s in enumerate(sources)), timeout=timeout)
        marking.run(shop)
        return marking

    return marked


@pytest.fixture
def states(mark):
    """``states(source, ...)``: the status of every question, by the last part of its id."""

    def graded(*sources, **keywords):
        return {grade.id.partition(".")[2]: grade.status for grade in mark(*sources, **keywords).grades()}

    return graded
