"""How time counts while a notebook is graded: only what passes while a process of the notebook is there."""

import time
from types import SimpleNamespace

import pytest

from mechlib.grading import marking, workshop
from mechlib.grading.assignment import Asked
from mechlib.grading.marking import Marking
from mechlib.grading.notebook import Cell
from tests.grading import toys as questions

LONG = 10_000.0
"""Seconds that something else takes, far more than the notebook has."""


class Clock:
    """The time, and what is added to it; the grader has no other."""

    def __init__(self):
        self.added = 0.0

    def monotonic(self):
        return time.monotonic() + self.added


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    for module in (marking, workshop):
        monkeypatch.setattr(module, "time", found)
    return found


@pytest.fixture
def graded(toys):
    def through(shop, *sources):
        found = Marking(toys, tuple(Cell(i, source) for i, source in enumerate(sources)), timeout=20.0)
        found.run(shop)
        return [grade.status for grade in found.grades()], list(found.problems)

    return through


def test_waiting_for_a_process_takes_no_time_of_the_notebook(shop, clock, graded):
    """Neither for the first nor for those after it."""

    def slow():
        clock.added += LONG
        return shop.worker()

    slow_shop = SimpleNamespace(worker=slow)
    assert graded(slow_shop, *questions.HONEST) == (["right", "right"], [])
    found, problems = graded(slow_shop, *questions.HONEST[:3], "import os\nos._exit(0)", *questions.HONEST[3:])
    assert found == ["right", "right"] and problems == ["Cell 4 ended the process; the rest was graded without it."]


@pytest.mark.parametrize("name", ["judged", "message"])
def test_what_the_grader_does_takes_no_time_of_the_notebook(name, shop, clock, graded, monkeypatch):
    plain = getattr(Asked, name)

    def judged(*given):
        clock.added += LONG
        return plain(*given)

    def message(asked):
        clock.added += LONG
        return plain.fget(asked)

    monkeypatch.setattr(Asked, name, judged if name == "judged" else property(message))
    assert graded(shop, *questions.HONEST) == (["right", "right"], [])


def test_what_the_notebook_takes_counts_over_all_its_processes(shop, clock, graded, monkeypatch):
    """A cell that ends its process spends what it took: here more than the notebook has."""
    failed = Marking.failed

    def late(self, *about):
        clock.added += LONG
        return failed(self, *about)

    monkeypatch.setattr(Marking, "failed", late)
    found, problems = graded(shop, "1 / 0", "import os\nos._exit(0)", *questions.HONEST)
    assert found == ["timeout", "timeout"]
    assert problems[-1] == "The notebook as a whole was stopped after 200 seconds."
