"""Every open task: no hand-in without thought earns a point, and every way of solving it earns all."""

import ast
import re
from pathlib import Path

import pytest
import torch

from mechlib import zoo
from mechlib.authoring import checkout
from mechlib.checks.open_judging import OpenTrial
from mechlib.checks.open_task import OpenTask
from mechlib.checks.registry import asked
from tests.questions.ways import ways

TASKS = [task for task in asked() if isinstance(task, OpenTask)]
SEEDS = range(3)
"""Of a task on the real model the first alone: its instances are many, and measured by the benches."""


def here(task):
    try:
        return not task.model or bool(zoo.card(task.model))
    except OSError:
        return False


def asked_where_it_can_be(task, *more):
    missing = pytest.mark.skipif(not here(task), reason=f"{task.model} is not on this machine")
    return pytest.param(task, *more, id="-".join(map(str, (task.id, *more))), marks=missing)


each = pytest.mark.parametrize("task", list(map(asked_where_it_can_be, TASKS)))
at_seeds = pytest.mark.parametrize(
    ("task", "seed"), [asked_where_it_can_be(t, s) for t in TASKS for s in (SEEDS[:1] if t.model else SEEDS)]
)


@pytest.fixture(scope="session")
def judged():
    """``judged(task, answer, seed)``: the judgement."""
    trials = {}

    def judgement(task, answer, seed):
        trial = trials.setdefault((task.id, seed), OpenTrial(task, seed))
        return trial.judge(trial.run(answer))

    return judgement


@at_seeds
def test_what_took_no_thought_earns_nothing(task, seed, judged):
    for name, null in task.nulls(torch.Generator().manual_seed(seed)).items():
        judgement = judged(task, null, seed)
        assert (judgement.status, judgement.earned) == ("wrong", 0), (name, judgement)
    assert judged(task, None, seed).status == "unanswered"


@at_seeds
def test_every_way_earns_all(task, seed, judged):
    assert len(ways(task)) >= 2
    for name, way in ways(task).items():
        assert judged(task, way, seed).status == "right", (name, judged(task, way, seed))


@each
def test_what_is_no_answer_is_said_to_be_none(task, judged):
    for junk in ("layers", [], [1.5], {"a": 1}, object(), torch.ones(2, 2), [None], lambda: 3):
        judgement = judged(task, junk, 0)
        assert judgement.status in ("wrong", "raised") and not judgement.earned


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_steps_ascend_to_all_points_and_the_baseline_is_none_of_them(task):
    points, shares = zip(*task.steps, strict=True)
    assert list(points) == sorted(points) and points[-1] == task.points
    assert list(shares) == sorted(shares, reverse=True) and shares[0] < 1


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_the_notebook_tells_the_budget_and_the_steps(task):
    (path,) = checkout.root().glob(f"solutions/{task.chapter[2:]}_*.ipynb")
    prose = "\n".join(c["source"] for c in checkout.read_notebook(path)["cells"] if c["cell_type"] == "markdown")
    assert task.budget in prose
    assert all(re.search(rf"\b{points:g} (points )?for at most", prose) for points, _ in task.steps)


def test_ways_are_there_for_every_task_and_for_nothing_else():
    folder = Path(ways.__code__.co_filename).parent
    assert {f"{path.parent.name}.{path.stem}" for path in folder.glob("ch*/*.py")} == {task.id for task in TASKS}


@pytest.mark.parametrize(("task_id", "name"), [("ch02.leave_out", "leave_out"), ("ch06.keep", "keep")])
def test_an_answer_of_the_notebook_is_one_of_the_ways(task_id, name):
    (task,) = [task for task in TASKS if task.id == task_id]
    (path,) = checkout.root().glob(f"solutions/{task.chapter[2:]}_*.ipynb")
    cells = [c["source"] for c in checkout.read_notebook(path)["cells"] if c["source"].startswith(f"{name} = None")]
    last = ast.parse(cells[0]).body[-1]
    assert isinstance(last, ast.Assign)
    assert eval(ast.unparse(last.value)) in ways(task).values()
