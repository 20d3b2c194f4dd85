"""Notebooks that mean harm: they earn nothing by it, and harm nobody but themselves."""

import re

import pytest

from mechlib.checks.question import Field
from mechlib.grading.assignment import Assignment
from mechlib.grading.marking import MOST_TRIES
from mechlib.grading.worker import syscalls
from tests.grading import toys
from tests.grading.hostile import ANSWERS, CHEATING, DISRUPTIVE

TIME = 3.0
"""Seconds for a cell: an endless one costs a test that much."""

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
    "messages without end",
    "a message that never ends",
    "a message of a million lists",
    "more bytes than are taken",
    "open files sent",
    "the channel replaced",
    "a second process at the channel",
}
"""What comes after these in the same process may fail with them: they are blamed on a later cell or answer."""


@pytest.mark.parametrize("name", DISRUPTIVE)
def test_right_answers_around_a_disruptive_cell_count(name, states):
    cells = (*toys.HONEST[:3], DISRUPTIVE[name], *toys.HONEST[3:])
    found = states(*cells, timeout=TIME)
    assert found["total"] == "right"
    if name not in SPOILS_ITS_OWN_PROCESS:
        assert found["ends"] == "right"
    assert states(*toys.HONEST) == BOTH_RIGHT


@pytest.mark.parametrize("name", CHEATING)
def test_cheating_earns_nothing(name, mark):
    cells = (toys.IMPORTS, CHEATING[name], toys.WRONG_TOTAL, toys.WRONG_ENDS, CHEATING[name])
    for notebook in (cells, (*cells, toys.CHECK_TOTAL, toys.CHECK_ENDS)):
        assert [grade.score for grade in mark(*notebook, timeout=TIME).grades()] == [0, 0]


@pytest.mark.parametrize("name", ANSWERS)
def test_an_odd_answer_costs_its_own_points_only(name, mark):
    body, status = ANSWERS[name]
    answer = f"def total(x, factor):\n    {body}"
    marking = mark(toys.IMPORTS, toys.RIGHT_ENDS, answer, toys.CHECK_TOTAL, toys.CHECK_ENDS, timeout=TIME)
    total, ends = marking.grades()
    assert (total.status, ends.status) == (status, "right")
    assert total.message.replace("\n", "").isprintable()


SUM = toys.question("sum", 1, lambda x, factor: x.sum(), (Field("number"),), {})


def test_a_table_of_messages_earns_nothing(mark):
    """Whoever hands in again what the feedback said comes no nearer."""
    assignment = Assignment.of("ch02", b"a secret of the tests", only=[SUM]).of_student("mallory")
    table = []
    for _ in range(6):
        answer = f"table = {table} + 10 * [0.0]\ndef sum(x, factor):\n    return table.pop(0)"
        (grade,) = mark(answer, assignment=assignment).grades()
        assert grade.score == 0 and grade.status == "wrong"
        table += map(float, re.findall(r"right (-?\d\S*)", grade.message))
    (right,) = mark("def sum(x, factor):\n    return x.sum()", assignment=assignment).grades()
    assert right.score == 1


GUESSED = toys.question("guess", 1, lambda x, factor: 37, (Field("number", atol=0, rtol=0),), {})


@pytest.mark.parametrize("ending", ["", "os._exit(0)"])
def test_a_number_is_not_found_by_trying_out(ending, mark):
    """Also where every try but the first costs the process: tries are counted for the notebook as a whole."""
    assignment = Assignment.of("ch02", b"a secret of the tests", only=[GUESSED])
    guesses = [
        f"import os\nfor number in range({first}, {first + 4}):\n"
        f"    check('ch02.guess', lambda x, factor: number)\n{ending}"
        for first in range(0, 80, 4)
    ]
    marking = mark(toys.IMPORTS, *guesses, assignment=assignment)
    (grade,) = marking.grades()
    assert grade.score == 0 and marking.tries["ch02.guess"] == MOST_TRIES
    (right,) = mark(toys.IMPORTS, "guess = lambda x, factor: 37", assignment=assignment).grades()
    assert right.score == 1


def test_a_cell_has_its_time_however_much_it_says(mark):
    marking = mark(*toys.HONEST[:3], DISRUPTIVE["questions without end"], *toys.HONEST[3:], timeout=2.0)
    assert marking.problems == {"Cell 4 was stopped after 2 seconds; the rest was graded without it.": None}


@pytest.mark.parametrize("name", ["memory bomb in many processes", "memory in many processes, while it talks"])
def test_memory_is_looked_at_whatever_the_notebook_says(name, mark):
    marking = mark(*toys.HONEST[:3], DISRUPTIVE[name], *toys.HONEST[3:])
    assert marking.problems == {"Cell 4 used more than 2.0 GB of memory; the rest was graded without it.": None}
    assert [grade.status for grade in marking.grades()] == ["right", "right"]


FORBIDDEN = """
import ctypes, errno
from mechlib.grading.worker.syscalls import CLONE, CLONE3, FORBIDDEN, MACHINES
libc = ctypes.CDLL(None, use_errno=True)
column = MACHINES[__import__("platform").machine()][0]
def tried(number, *arguments):
    ctypes.set_errno(0)
    libc.syscall(number, *(ctypes.c_ulong(a) for a in (*arguments, 0, 0, 0, 0)))
    return errno.errorcode.get(ctypes.get_errno())
found = {name: tried(numbers[column]) for name, numbers in FORBIDDEN.items()}
others = [tried(CLONE[column], 0x10000000), tried(CLONE3), tried(2**30 + 39)]
raise RuntimeError(repr([sorted(set(found.values())), others, tried(39 if column == 0 else 172)]))
"""


def test_forbidden_calls_fail(mark):
    (problem,) = mark(FORBIDDEN).problems
    assert problem == "Cell 1 raised RuntimeError: [['EPERM'], ['EPERM', 'ENOSYS', 'EPERM'], None]."


def test_another_machine_has_no_filter(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(OSError, match="no filter of system calls is known for riscv64, only for x86_64 and aarch64"):
        syscalls.forbid()
