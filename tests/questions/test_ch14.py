"""The references of chapter 14 against the library, closed forms, and the statistics they stand for."""

import math

import pytest
import torch

from mechlib.checks.registry import find
from mechlib.llc.evidence import Solution, graded_grid
from mechlib.llc.exact import LearningCoefficient, normal_crossing, reduced_rank
from mechlib.llc.volume import VolumeCurve

COEFFICIENT, EXPONENTS, FREE_ENERGY, POSTERIOR, REFUTE = (
    find(f"ch14.{name}").reference for name in ("coefficient", "exponents", "free_energy", "posterior", "refute")
)


def inputs(name, case=0, seed=3):
    return tuple(find(f"ch14.{name}").cases(torch.Generator().manual_seed(seed))[case].inputs.values())


@pytest.mark.parametrize("exponents", [[1], [1, 2], [3, 3, 1], [2, 0, 2, 2]])
def test_one_chart_without_jacobian_is_a_normal_crossing(exponents):
    k = torch.tensor([exponents])
    value, multiplicity = COEFFICIENT(k, torch.zeros_like(k))
    exact = normal_crossing(exponents)
    assert (float(value), int(multiplicity)) == (pytest.approx(exact.value), exact.multiplicity)


@pytest.mark.parametrize(("n_hidden", "n_out"), [(1, 1), (2, 5), (5, 2), (3, 3)])
def test_the_chart_of_a_linear_network_with_one_input(n_hidden, n_out):
    value, multiplicity = COEFFICIENT(torch.tensor([[1, 1]]), torch.tensor([[n_hidden - 1, n_out - 1]]))
    exact = reduced_rank(1, n_hidden, n_out, rank=0)
    assert (float(value), int(multiplicity)) == (exact.value, exact.multiplicity)


def test_the_coefficient_does_not_depend_on_the_order_of_charts_and_weights():
    k, h = inputs("coefficient", case=2)
    flipped = COEFFICIENT(k.flip(0, 1), h.flip(0, 1))
    assert torch.equal(torch.stack(COEFFICIENT(k, h)), torch.stack(flipped))


@pytest.mark.parametrize("case", range(4))
def test_exponents_are_those_of_the_library(case):
    threshold, share, multiplicity = inputs("exponents", case)
    curve = VolumeCurve(threshold.log(), share.log().cumsum(1))
    torch.testing.assert_close(EXPONENTS(threshold, share, multiplicity), curve.exponents(multiplicity))


def test_exponents_of_an_exact_law():
    x = torch.tensor([-0.7, -2.0, -5.0], dtype=torch.float64)
    volume = torch.cat([torch.zeros(1, dtype=torch.float64), 1.25 * x + 2 * (-x).log() - 3])
    found = EXPONENTS(x.exp(), volume.diff().exp()[None], 3)
    assert float(found) == pytest.approx(1.25)


def test_free_energy_is_that_of_the_library():
    grid = graded_grid([0.0, 0.0], [(-1.0, 1.0)] * 2, finest=0.1)
    loss = grid.points.square().sum(1)
    n = torch.tensor([3.0, 50.0], dtype=torch.float64)
    found = FREE_ENERGY(loss[None], grid.log_weights.exp(), n)
    torch.testing.assert_close(found[0], grid.free_energy(n[:, None] * loss))


def test_free_energy_of_a_regular_model_grows_by_half_a_log_per_weight():
    """The midpoint rule on a line; between n and 4n the free energy of one regular weight grows by log 2."""
    nodes = torch.linspace(-1, 1, 20001, dtype=torch.float64)
    weight = torch.full_like(nodes, 1 / len(nodes))
    found = FREE_ENERGY(nodes.square()[None], weight, torch.tensor([1e4, 4e4], dtype=torch.float64))
    assert float(found[0].diff()) == pytest.approx(math.log(2), abs=1e-4)


def test_a_constant_on_the_loss_is_paid_n_times():
    loss, weight, n = inputs("free_energy")
    torch.testing.assert_close(FREE_ENERGY(loss + 0.3, weight, n), FREE_ENERGY(loss, weight, n) + 0.3 * n)


def test_odds_of_the_posterior_are_gaps_of_free_energy():
    loss, coefficient, multiplicity, n = inputs("posterior")
    weights = POSTERIOR(loss, coefficient, multiplicity, n)
    torch.testing.assert_close(weights.sum(1), torch.ones(len(n), dtype=torch.float64))
    first, second = (
        Solution(float(loss[i]), LearningCoefficient(float(coefficient[i]), int(multiplicity[i]))) for i in (0, 1)
    )
    for size, row in zip(n.tolist(), weights, strict=True):
        gap = second.free_energy(size) - first.free_energy(size)
        assert float((row[0] / row[1]).log()) == pytest.approx(gap, abs=1e-6)


def test_the_cases_of_the_posterior_are_trades():
    """The preferred solution changes with n: otherwise a mistake in one term would go unseen."""
    changes = [len(set(POSTERIOR(*inputs("posterior", 0, seed)).argmax(1).tolist())) > 1 for seed in range(20)]
    assert sum(changes) >= 15


def test_refute_covers_the_difference_of_exponents():
    """Independent errors around two laws: the interval holds the truth nearly as often as it says."""
    generator = torch.Generator().manual_seed(1)
    x = torch.linspace(-1, -9, 12, dtype=torch.float64)
    law = torch.stack([2.5 * x + 3, 0.5 * x])[:, None]
    hits = 0
    for _ in range(300):
        noise = 0.2 * torch.randn(2, 20, len(x), generator=generator, dtype=torch.float64)
        claimed, _, low, high, at_n = REFUTE(law + noise, x.exp(), 2, 1e4)
        hits += low < 2 < high
        assert float(claimed) == pytest.approx(3 + 2 * float(x[2]), abs=0.4)
        assert float(at_n) == pytest.approx(3 - 2 * math.log(1e4), abs=0.4)
    assert 0.88 < hits / 300 < 0.98


def test_refute_leaves_a_true_report_standing():
    log_volume, threshold, reported, n = inputs("refute", case=1)
    claimed, _, _, high, at_n = REFUTE(log_volume, threshold, reported, n)
    assert claimed > 0
    assert high < 0
    assert at_n > claimed
