"""Tasks against their definitions, written out prompt by prompt, and against their moments."""

import math

import pytest
import torch

from mechlib.icl import shifts, tasks
from tests.sampling import mean_is

FAMILIES = [
    tasks.LinearRegression(4),
    tasks.LinearRegression(4, inputs="uniform"),
    tasks.LinearRegression(4, pool=torch.eye(4)),
    tasks.SparseLinear(7, nonzero=2),
    tasks.DecisionTree(5, depth=3),
    tasks.ReluNetwork(4, hidden=6),
]
SHIFTS = [shifts.Scaled, shifts.Rotated, shifts.InSubspace, shifts.InOrthant]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("task", [*FAMILIES, *(shift(tasks.DecisionTree(3)) for shift in SHIFTS)])
def test_a_seed_fixes_the_prompts_and_another_changes_them(task):
    one, two, other = (task.sample(3, 6, generator=generator(seed)) for seed in (5, 5, 6))
    assert one.x.shape[:2] == one.y.shape == (3, 6)
    assert torch.equal(one.x, two.x) and torch.equal(one.y, two.y)
    assert not torch.equal(one.y, other.y)


def test_a_tree_walks_to_the_leaf_that_the_signs_lead_to():
    family = tasks.DecisionTree(5, depth=3)
    prompts = family.sample(4, 30, generator=generator())
    for b in range(4):
        for n in range(30):
            low, high, node = 0, 8, 0
            while high - low > 1:
                right = prompts.x[b, n, prompts.task.coordinate[b, node]] > 0
                middle = (low + high) // 2
                low, high = (middle, high) if right else (low, middle)
                node = 2 * node + (2 if right else 1)
            assert prompts.y[b, n] == prompts.task.leaf[b, low]


def test_a_network_is_a_sum_of_ramps():
    prompts = tasks.ReluNetwork(3, hidden=5).sample(2, 7, generator=generator())
    for b in range(2):
        for n in range(7):
            ramps = [max(0.0, float(prompts.task.first[b, h] @ prompts.x[b, n])) for h in range(5)]
            expected = sum(float(a) * ramp for a, ramp in zip(prompts.task.second[b], ramps, strict=True))
            assert float(prompts.y[b, n]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("task", "variance"),
    [
        (tasks.LinearRegression(6), 6),
        (tasks.LinearRegression(6, inputs="uniform"), 6 / 12),
        (tasks.LinearRegression(6, noise=0.5), 6.25),
        (tasks.SparseLinear(9, nonzero=2), 2),
        (tasks.DecisionTree(6), 1),
        (tasks.ReluNetwork(6, hidden=50), 6),
    ],
)
def test_the_variance_of_y_is_the_one_that_the_scales_give(task, variance):
    y = task.sample(20_000, 4, generator=generator(1)).y
    mean_is(y.square().mean(1), variance, within=0.08 * variance)
    mean_is(y.mean(1), 0, within=0.05 * math.sqrt(variance))


def test_a_pool_is_all_that_is_drawn_and_all_of_it():
    pool = torch.randn(3, 5, generator=generator())
    drawn = tasks.LinearRegression(5, pool=pool).sample(200, 1, generator=generator(1)).task
    assert {tuple(w) for w in drawn.tolist()} == {tuple(w) for w in pool.tolist()}


def test_sparse_tasks_have_so_many_coordinates():
    weights = tasks.SparseLinear(6, nonzero=2).sample(500, 1, generator=generator()).task
    assert set((weights != 0).sum(1).tolist()) == {2}
    mean_is((weights != 0).float(), 2 / 6, within=0.11)


def test_shifts_change_the_inputs_as_they_say_and_y_belongs_to_them():
    base = tasks.LinearRegression(6)
    for shift in SHIFTS:
        prompts = shift(base).sample(5, 40, generator=generator(2))
        torch.testing.assert_close(prompts.y, torch.einsum("bnd,bd->bn", prompts.x, prompts.task))
    scaled = shifts.Scaled(base, factor=3.0).sample(400, 20, generator=generator())
    mean_is(scaled.x.square().mean((1, 2)), 9, within=0.45)
    inside = shifts.InSubspace(base, dimension=2).sample(300, 40, generator=generator())
    assert set(torch.linalg.matrix_rank(inside.x, rtol=1e-4).tolist()) == {2}
    mean_is(inside.x.square().mean((1, 2)), 1, within=0.05)
    signs = shifts.InOrthant(base).sample(300, 12, generator=generator()).x.sign()
    assert (signs[:, :-1] == signs[:, :1]).all()
    mean_is((signs[:, -1] == signs[:, 0]).float().flatten(), 0.5, within=0.1)
    turned = shifts.Rotated(base).sample(4, 50_000, generator=generator()).x
    spread = torch.linalg.eigvalsh(turned.mT @ turned / 50_000).flip(-1)
    expected = torch.arange(1, 7) ** -2.0
    torch.testing.assert_close(spread, (expected / expected.mean()).expand(4, -1), rtol=0.05, atol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tasks.LinearRegression(0), "d is a number of dimensions.*got 0"),
        (lambda: tasks.LinearRegression(2, noise=-1.0), "noise is a standard deviation.*got -1.0"),
        (lambda: tasks.LinearRegression(2, inputs="cauchy"), "'normal' or 'uniform', got 'cauchy'"),
        (lambda: tasks.LinearRegression(3, pool=torch.zeros(5, 2)), r"\[n_tasks, 3\], got \(5, 2\)"),
        (lambda: tasks.SparseLinear(3, nonzero=4), "1 to d=3, got 4"),
        (lambda: tasks.DecisionTree(3, depth=0), "depth 1 or more, got 0"),
        (lambda: tasks.ReluNetwork(3, hidden=0), "at least 1, got 0"),
        (lambda: shifts.InSubspace(tasks.LinearRegression(3), dimension=4), "1 to 3 dimensions, not 4"),
        (lambda: tasks.LinearRegression(3).sample(0, 2, generator=generator()), "batch=0"),
        (lambda: tasks.LinearRegression(3).sample(2, 0, generator=generator()), "n_points=0"),
    ],
)
def test_what_is_no_task_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
