import numpy as np
import pytest
import torch

from mechlib import stats


def test_values_are_averaged_within_each_unit():
    values = torch.tensor([[1.0, 3.0], [5.0, 7.0], [float("nan"), 4.0]])
    assert stats.by_unit(values, torch.tensor([4, 9, 4])).tolist() == [pytest.approx(8 / 3), 6.0]
    assert stats.by_unit(torch.stack([values, 2 * values]), torch.tensor([0, 1, 0])).shape == (2, 2)


def test_a_unit_per_row_is_needed():
    with pytest.raises(ValueError, match="each of the 3 rows"):
        stats.by_unit(torch.zeros(3, 2), torch.tensor([0, 1]))


def test_the_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [e.low <= 2.0 <= e.high for e in (stats.estimate(rng.normal(2.0, 1.0, 40), seed=s) for s in range(600))]
    assert 0.88 <= np.mean(covered) <= 0.98, "a bootstrap of 40 covers 93 %; the share has a standard error of 1 %"


def test_the_interval_is_that_of_the_normal_approximation_for_many_units():
    values = np.random.default_rng(1).exponential(size=2000)
    e = stats.estimate(values)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert (e.low, e.high) == pytest.approx((values.mean() - half, values.mean() + half), rel=0.01)
    assert e.n == 2000 and stats.estimate(values) == e


@pytest.mark.parametrize(
    ("values", "level", "low", "high"),
    [
        ([0.0, 1.0], 0.4, 0.5, 0.5),  # means of two draws: 0, 1/2 and 1 with chances 1/4, 1/2, 1/4
        ([0.0, 1.0], 0.6, 0.0, 1.0),
        (
            [0.0, 0.0, 0.0, 0.0, 10.0],
            0.8,
            0.0,
            4.0,
        ),  # twice a binomial of 5 and 1/5: .33, .74, .94, .99 up to 0, 2, 4, 6
        ([0.0, 0.0, 0.0, 0.0, 10.0], 0.96, 0.0, 6.0),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_interval_has_the_level_that_is_asked_for(values, level, low, high, seed):
    """Every share asked for is seven standard errors of 4,000 resamples from the next step, or more."""
    e = stats.estimate(values, level=level, seed=seed)
    assert (e.mean, e.low, e.high) == pytest.approx((np.mean(values), low, high))


def test_another_seed_resamples_anew():
    values = np.random.default_rng(1).normal(size=50)
    assert stats.estimate(values, seed=1) == stats.estimate(values, seed=1) != stats.estimate(values, seed=2)


@pytest.mark.parametrize("values", [[1.0, 2.0, 6.0], [4.0, 4.0]])
@pytest.mark.parametrize("interval", [stats.estimate, stats.over_runs], ids=["units", "runs"])
def test_an_estimate_says_which_level_its_interval_has(interval, values):
    assert (interval(values).level, interval(values, level=0.8).level) == (0.95, 0.8)
    assert (stats.share(3, 9).level, stats.share(3, 9, level=0.8).level) == (0.95, 0.8)


def test_constant_and_missing_units():
    assert stats.estimate([2.0, 2.0, float("nan")]) == stats.Estimate(2.0, 2.0, 2.0, 2)
    with pytest.raises(ValueError, match="at least two units, got 1"):
        stats.estimate([1.0, float("nan")])


def test_it_prints_mean_and_interval():
    assert str(stats.Estimate(0.1234, -0.5, 1.0, 3)) == "0.123 [-0.500, 1.000]"


def test_few_runs_are_covered_by_students_interval_where_a_bootstrap_is_too_narrow():
    runs = [np.random.default_rng(s).normal(2.0, 1.0, 3) for s in range(600)]

    def coverage(interval):
        return np.mean([(e := interval(r)).low <= 2.0 <= e.high for r in runs])

    assert coverage(stats.over_runs) == pytest.approx(0.95, abs=4.5 * (0.95 * 0.05 / 600) ** 0.5)
    assert coverage(stats.estimate) < 0.85


def test_the_interval_of_three_runs_by_hand():
    for level, t in ((None, 4.3026527), (0.8, 1.8856181)):  # Student's with two degrees of freedom
        e = stats.over_runs(torch.tensor([1.0, 2.0, 6.0]), **({} if level is None else {"level": level}))
        half = t * np.sqrt(7 / 3)
        assert (e.mean, e.low, e.high, e.n) == pytest.approx((3, 3 - half, 3 + half, 3), rel=1e-5)
    assert stats.over_runs([4, 4]) == stats.Estimate(4, 4, 4, 2)


@pytest.mark.parametrize("runs", [[1.0], [], [1.0, float("nan")]])
def test_runs_that_give_no_interval_are_refused(runs):
    with pytest.raises(ValueError, match="at least two runs and no NaN"):
        stats.over_runs(runs)


def test_a_share_of_none_reaches_as_high_as_chance_would_let_it():
    assert stats.share(0, 24).high == pytest.approx(1 - 0.025 ** (1 / 24))
    assert stats.share(0, 24, level=0.8).high == pytest.approx(1 - 0.1 ** (1 / 24))
    assert stats.share(24, 24, level=0.8).low == pytest.approx(0.1 ** (1 / 24))
    e = stats.share(7, 20)
    mirrored = stats.share(13, 20)
    assert (e.mean, e.low, e.high, e.n) == pytest.approx((0.35, 1 - mirrored.high, 1 - mirrored.low, 20))


@pytest.mark.parametrize(("found", "n"), [(-1, 3), (4, 3), (0, 0)])
def test_counts_that_are_no_share_are_refused(found, n):
    with pytest.raises(ValueError, match=f"found={found}, n={n}"):
        stats.share(found, n)


def test_an_estimate_lies_where_its_whole_interval_lies():
    e = stats.Estimate(0.5, 0.4, 0.7, 3)
    assert e.above(0.39) and not e.above(0.4) and not e.above(0.5)
    assert e.below(0.71) and not e.below(0.7) and not e.below(0.6)
    assert e.within(0.3, 0.8) and not e.within(0.45, 0.8) and not e.within(0.3, 0.65)
    assert f"{e:+.1f}" == "+0.5 [+0.4, +0.7]" and f"{e}" == str(e) == "0.500 [0.400, 0.700]"
