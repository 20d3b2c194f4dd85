"""The references of chapter 12 against the library, Bayes' rule by sampling, and free energies that cross."""

import math

import pytest
import torch

from mechlib.checks.registry import find
from mechlib.icl import LinearRegression, dmmse, joint_pca, ridge
from mechlib.llc import LearningCoefficient
from mechlib.llc.evidence import Solution, transitions
from mechlib.questions.ch12 import refute

POSTERIOR, PROJECTION, PLANE, CROSSING = (
    find(f"ch12.{name}").reference for name in ("posterior", "projection", "plane", "crossing")
)


def inputs(name, case=0, seed=3):
    return tuple(find(f"ch12.{name}").cases(torch.Generator().manual_seed(seed))[case].inputs.values())


def prompts(pool=None, noise=0.5, batch=6, seed=0):
    return LinearRegression(3, noise=noise, pool=pool).sample(batch, 7, generator=torch.Generator().manual_seed(seed))


def test_no_other_weights_of_the_tasks_predict_better_on_the_pool():
    pool = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    given = prompts(pool, batch=20_000)

    def error(noise_var):
        return (POSTERIOR(given.x, given.y, pool, noise_var) - given.y).square().mean()

    assert error(0.25) < min(error(0.25 / 3), error(0.25 * 3))
    assert error(0.25) < (ridge(given.x, given.y, lam=0.25) - given.y).square().mean()


def test_a_large_normal_pool_is_ridge_regression():
    pool = torch.randn(50_000, 3, generator=torch.Generator().manual_seed(2))
    given = prompts()
    gap = POSTERIOR(given.x, given.y, pool, 0.25) - ridge(given.x, given.y, lam=0.25)
    assert gap.square().mean() < 1e-3 < ridge(given.x, given.y, lam=0.25).square().mean()


def test_ridge_is_zero_dmmse_is_one_and_neither_leaves_anything():
    given = prompts(torch.randn(4, 3, generator=torch.Generator().manual_seed(1)))
    low, high = ridge(given.x, given.y, lam=0.25), dmmse(given.x, given.y, pool=given.task, noise_var=0.25)
    assert PROJECTION(high, low, high) == (pytest.approx(1), pytest.approx(0, abs=1e-9))
    half = low + 0.5 * (high - low)
    assert [float(v) for v in PROJECTION(half, low, high)] == [pytest.approx(0.5), pytest.approx(0, abs=1e-6)]


def test_turning_the_space_of_outputs_turns_what_the_plane_shows():
    (paths,) = inputs("plane")
    turn, _ = torch.linalg.qr(torch.randn(2 * [paths.shape[2]], generator=torch.Generator().manual_seed(0)).double())
    share, seen = PLANE(paths)
    turned_share, turned = PLANE(paths @ turn + 5)
    torch.testing.assert_close(turned_share, share)
    torch.testing.assert_close(turned, seen @ turn + 5)
    lost = (paths - seen).square().sum() / (paths - paths.mean((0, 1))).square().sum()
    assert float(share.sum() + lost) == pytest.approx(1)


def test_the_plane_is_the_library_s():
    (paths,) = inputs("plane", case=2)
    found = joint_pca(paths.flatten(0, 1))
    torch.testing.assert_close(found.project(PLANE(paths)[1].flatten(0, 1)), found.scores)


@pytest.mark.parametrize("case", [0, 2])
def test_free_energies_are_equal_at_the_crossing_and_cross_there_last(case):
    errors, coefficients, noise_var, n_points = inputs("crossing", case)
    _, sizes = CROSSING(errors, coefficients, noise_var, n_points)
    for error, coefficient, n in zip(errors.tolist(), coefficients.tolist(), sizes.tolist(), strict=True):
        simple, accurate = (
            Solution(n_points * e / noise_var, LearningCoefficient(c, 1))
            for e, c in zip(error, coefficient, strict=True)
        )
        assert transitions(simple, accurate, low=1.01)[-1] == pytest.approx(n, rel=1e-6)
        assert accurate.free_energy(2 * n) < simple.free_energy(2 * n)


def test_where_nothing_crosses_the_accurate_solution_wins_from_the_start():
    errors, coefficients, noise_var, n_points = inputs("crossing", 1)
    gap, sizes = CROSSING(errors, coefficients, noise_var, n_points)
    never = (coefficients[:, 1] - coefficients[:, 0]) / gap < math.e
    assert never.any() and torch.equal(sizes == 1, never)


def drawn(name, seed):
    task = find(f"ch12.{name}")
    return task, task.draw(torch.Generator().manual_seed(seed))


def test_distances_of_runs_are_those_of_one_path():
    _, systems = drawn("refute", 0)
    for tools in systems.measured:
        assert (tools["to_blunt"].mean(1) <= tools["to_own"].mean(1) + 1e-6).all()
        assert len({tuple(distance.shape) for distance in tools.values()}) == 1


def test_a_retreat_ends_nearer_to_its_pool_and_a_memory_never_was_nearer_to_ridge():
    task, systems = drawn("refute", 1)
    for case, tools in zip(task.cases(systems), systems.measured, strict=True):
        ridge_mean, blunt_mean = tools["to_ridge"].mean(1), tools["to_blunt"].mean(1)
        if "sharpens" in case.description:
            assert (blunt_mean < ridge_mean).all()
        if "all the way back" in case.description:
            assert tools["to_own"][-1].mean() < ridge_mean[-1]


@pytest.mark.parametrize(
    "kind", [kind for kind in refute.KINDS if kind.way in refute.AT_A_BOUND], ids=lambda k: k.about
)
def test_runs_at_a_bound_end_as_far_away_as_they_were(kind):
    """Within a twentieth: nearer rather than farther, for the looks near ridge are the lowest of several."""
    generator, tool = torch.Generator().manual_seed(2), {"aside": "to_own", "around": "to_ridge"}[kind.way]
    ends = []
    for _ in range(20):
        distance = kind.drawn(generator)[tool].mean(1)
        s = torch.linspace(0, 1, len(distance))
        there = distance[(s >= kind.turn) & (s <= kind.turn + 0.25 * (1 - kind.turn))].mean()
        ends.append(float(distance[-5:].mean() / there))
    assert all(0.95 < end < 1.05 for end in ends)
    assert not kind.holds


def test_the_lowest_look_is_low_by_luck_and_other_prompts_do_not_cure_it():
    _, runs = drawn("rise", 0)
    mean = sum(float(run.distance.mean(1)[-1] - run.distance.mean(1).min()) - run.rise for run in runs) / len(runs)
    halves = sum(
        float(run.distance[-1, 1::2].mean() - run.distance[run.distance[:, ::2].mean(1).argmin(), 1::2].mean())
        - run.rise
        for run in runs
    ) / len(runs)
    assert min(mean, halves) > 0.15


def test_without_jitter_the_report_is_right():
    task, runs = drawn("rise", 2)
    smooth = [run.rise for run in runs]
    assert task.outcome(runs, smooth).value == 0 < task.baseline(runs)
    assert any(rise == 0 for rise in smooth) and max(smooth) > 0.8
