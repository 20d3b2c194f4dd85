"""Notebooks that mean harm: they earn nothing by it, and harm nobody but themselves."""

import pytest

from tests.grading import toys
from tests.grading.hostile import ANSWERS, CHEATING, DISRUPTIVE

BOTH_RIGHT = {"total": "right", "ends": "right"}
SPOILS_ITS_OWN_PROCESS = {
    "names deleted",
    "every file closed",
    "noise on every file",
    "numpy and torch patched",
    "json and sockets patched",
    "a tracer",
    "exit at the end",
    "stop everybody",
    "kill the group",
}
"""What comes after these in the same process may fail with them: they are blamed on a later cell or answer."""


@pytest.mark.parametrize("name", DISRUPTIVE)
def test_right_answers_around_a_disruptive_cell_count(name, states):
    cells = (*toys.HONEST[:3], DISRUPTIVE[name], *toys.HONEST[3:])
    found = states(*cells, timeout=6.0)
    assert found["total"] == "right"
    if name not in SPOILS_ITS_OWN_PROCESS:
        assert found["ends"] == "right"
    assert states(*toys.HONEST) == BOTH_RIGHT


@pytest.mark.parametrize("name", CHEATING)
def test_cheating_earns_nothing(name, mark):
    cells = (toys.IMPORTS, CHEATING[name], toys.WRONG_TOTAL, toys.WRONG_ENDS, CHEATING[name])
    for notebook in (cells, (*cells, toys.CHECK_TOTAL, toys.CHECK_ENDS)):
        assert [grade.score for grade in mark(*notebook, timeout=6.0).grades()] == [0, 0]


@pytest.mark.parametrize("name", ANSWERS)
def test_an_odd_answer_costs_its_own_points_only(name, mark):
    body, status = ANSWERS[name]
    answer = f"def total(x, factor):\n    {body}"
    marking = mark(toys.IMPORTS, toys.RIGHT_ENDS, answer, toys.CHECK_TOTAL, toys.CHECK_ENDS, timeout=6.0)
    total, ends = marking.grades()
    assert (total.status, ends.status) == (status, "right")
    assert total.message.replace("\n", "").isprintable()
