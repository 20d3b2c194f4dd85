"""The references of chapter 14 against the library, closed forms, and the statistics they stand for."""

import dataclasses
import math

import pytest
import torch

from mechlib.checks.registry import find
from mechlib.llc.evidence import Solution, graded_grid
from mechlib.llc.exact import LearningCoefficient, normal_crossing, reduced_rank, regular
from mechlib.llc.volume import VolumeCurve, nested_volume
from mechlib.questions.ch14 import polynomial, refute

COEFFICIENT, EXPONENTS, FREE_ENERGY, POSTERIOR = (
    find(f"ch14.{name}").reference for name in ("coefficient", "exponents", "free_energy", "posterior")
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


@pytest.mark.parametrize(
    ("powers", "exact"),
    [
        ([[3]], normal_crossing([3])),
        ([[1, 2, 0]], normal_crossing([1, 2])),
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], regular(3)),
        ([[1, 1, 0], [1, 0, 1]], reduced_rank(1, 1, 2, rank=0)),
        ([[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1]], reduced_rank(2, 1, 2, rank=0)),
    ],
)
def test_the_coefficient_of_a_polynomial_is_the_known_one(powers, exact):
    assert polynomial.coefficient(torch.tensor(powers)) == pytest.approx(exact.value)


def test_separate_weights_add_up_and_more_terms_never_lower_the_coefficient():
    assert polynomial.coefficient(torch.tensor([[1, 0], [0, 2]])) == pytest.approx(1 / 2 + 1 / 4)
    for loss in find("ch14.polynomial").draw(torch.Generator().manual_seed(0)):
        assert all(loss.known > polynomial.coefficient(term[None]) for term in loss.powers)


def test_the_coefficient_of_a_polynomial_is_the_exponent_of_a_measured_volume():
    powers = torch.tensor([[2, 1, 0], [0, 1, 2]])  # λ is 1/2 with ν = (0, 1, 0), each term alone 1/4

    def loss(w):
        return (w[..., None, :] ** (2 * powers)).prod(-1).sum(-1)

    curve = nested_volume(loss, 3, torch.exp(torch.arange(0.0, -30.0, -0.5)), runs=6)
    exact = polynomial.coefficient(powers)
    assert float(curve.exponents(below=1e-6).mean()) == pytest.approx(exact, rel=0.12)


def test_the_report_is_false_of_the_first_half_of_the_pairs_and_true_of_the_other():
    assert [kind.holds for kind in refute.KINDS] == [False] * 6 + [True] * 6


@pytest.mark.parametrize("kind", refute.KINDS, ids=lambda kind: kind.about)
def test_volumes_of_a_pair_follow_their_laws_in_the_end(kind):
    """Without noise, from the middle on, their logarithms divided out: the slopes are the two coefficients."""
    drawn = dataclasses.replace(kind, noise=0.0).drawn(torch.Generator().manual_seed(0))
    x = drawn["threshold"].log()
    late = slice(3 * len(x) // 4, None)
    for side, law in (("a", kind.a), ("b", kind.b)):
        y = drawn[f"volume_{side}"][0] - (drawn[f"m_{side}"] - 1) * (-x).log()
        assert (y.diff() / x.diff())[late].tolist() == pytest.approx([law[0]] * len(y.diff()[late]), abs=0.01)
