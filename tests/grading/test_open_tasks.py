"""Open tasks in a course: what is handed in leaves the sandbox as plain data, and is judged outside of it."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from mechlib.checks.open_task import Outcome
from mechlib.grading.assignment import Asked, Assignment
from mechlib.grading.versions import version
from mechlib.grading.worker.frames import BadFrame, Blob, encode
from tests.checks.open_toy import AWAY, MIDDLE, SIGNS
from tests.grading.conftest import SECRET

IMPORTS = "import torch\nfrom mechlib.checks import check"
ASKED = 'check("ch02.middle", middle)', 'check("ch02.signs", signs)'
RIGHT = "middle = torch.tensor(3.0)", "def signs(x):\n    return x.sign()"


@pytest.fixture
def grades(mark, monkeypatch, tmp_path):
    """``grades(source, ...)``: status and score of both tasks."""
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path))
    assignment = Assignment.of("ch02", SECRET, only=(MIDDLE, SIGNS))

    def graded(*sources):
        return [(g.status, g.score) for g in mark(IMPORTS, *sources, assignment=assignment).grades()]

    return graded


def test_values_and_functions_earn_what_comes_of_them(grades):
    assert grades(*RIGHT, *ASKED) == [("right", 3), ("right", 2)]
    assert grades(*RIGHT) == [("right", 3), ("right", 2)], "what the notebook never checks is found by its name"


def test_the_most_that_was_earned_stays(grades):
    worse = "middle = 1.2", "def signs(x):\n    return 0.5 * x.sign()"
    assert grades(*RIGHT, *ASKED, *worse, *ASKED) == [("right", 3), ("right", 2)]
    assert grades(*worse, *ASKED) == [("partly", 1), ("partly", 1)]


def test_stubs_junk_and_exceptions_earn_nothing(grades):
    stubs = "middle = None", "def signs(x):\n    raise NotImplementedError"
    assert grades(*stubs, *ASKED) == [("unanswered", 0)] * 2
    assert grades() == [("unanswered", 0)] * 2
    assert grades("middle = object()", "def signs(x):\n    return x.sing()", *ASKED) == [
        ("wrong", 0),
        ("error", 0),
    ]
    assert grades("middle = lambda: 3", "signs = 3", *ASKED) == [("wrong", 0), ("wrong", 0)]


def test_without_the_model_nothing_is_judged_and_a_person_is_asked(mark, monkeypatch, tmp_path):
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path))
    assignment = Assignment.of("ch02", SECRET, only=(AWAY,))
    (grade,) = mark(IMPORTS, "away = 3.0", 'check("ch02.away", away)', assignment=assignment).grades()
    assert (grade.status, grade.score, grade.needs_human) == ("unjudged", 0, True)
    assert "smollm2-135m is not on this machine" in grade.message


def test_plain_data_travels_as_it_is():
    seen, blob = [], Blob()
    task = replace(MIDDLE, outcome=lambda numbers, handed: seen.append(handed) or Outcome(0.0))
    asked = Asked(task, SECRET)
    handed = {"a": [1, 2.5, None, True, "text"], "b": torch.arange(3.0, dtype=torch.float64)}
    asked.judged({"outcomes": [{"changed": [], "plain": encode(handed, blob)}]}, Blob(blob.content))
    assert seen[0]["a"] == handed["a"] and torch.equal(seen[0]["b"], handed["b"])


@pytest.mark.parametrize(
    "sent",
    [
        {"model": ["code-2l", None]},
        {"mapping": [["a"]]},
        {"mapping": {"a": 1}},
        {"array": {"dtype": "float32", "shape": [0]}},
        {"array": {"dtype": "float64", "shape": [3]}},
        [[[[[[[[[[1]]]]]]]]]],
        {"other": 1},
    ],
)
def test_a_worker_that_sends_anything_else_is_refused(sent):
    asked = Asked(MIDDLE, SECRET)
    with pytest.raises(BadFrame):
        asked.judged({"outcomes": [{"changed": [], "plain": sent}]}, Blob())


def test_a_class_shares_as_many_instances_as_a_task_says_and_else_none():
    def seeds(task, secret=SECRET):
        root = Asked(task, secret)
        return [root.of(f"student {number}").trial.seed for number in range(60)]

    shared = replace(MIDDLE, instances=4)
    assert len(set(seeds(shared))) == 4 and seeds(shared) == seeds(shared)
    assert not {*seeds(shared)} & {*seeds(shared, b"another secret of the tests"), *seeds(MIDDLE)}
    assert min(Counter(seeds(shared)).values()) >= 5, "each of them is somebody's"
    assert len({*seeds(MIDDLE)}) == 60
    with pytest.raises(ValueError, match="what a function is called with is its own"):
        replace(SIGNS, instances=4)


def test_a_task_has_a_version_that_changes_with_its_steps():
    assert version(MIDDLE) == version(MIDDLE) != version(SIGNS)
    assert version(MIDDLE) != version(replace(MIDDLE, steps=((3, 0.5),)))
