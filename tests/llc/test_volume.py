"""Volumes against closed forms: chi-squared laws, normal crossings, and the coefficients of linear networks."""

import math
from itertools import pairwise

import pytest
import torch
from scipy.integrate import dblquad, quad
from scipy.stats import chi2

from mechlib.llc.exact import reduced_rank
from mechlib.llc.volume import VolumeCurve, linear_network_volume, nested_volume
from tests.sampling import mean_is

FALLING = torch.exp(torch.arange(1.0, -12.0, -0.5))


def quadratic(deviation):
    return 0.5 * deviation.square().sum(-1)


def crossing(deviation):
    return 0.5 * deviation.square().prod(-1)


def over(curve, exact):
    """The measured volumes over the exact ones, [run, level], where some are above the threshold.

    A product of shares is an unbiased estimate of a volume; its logarithm is a little too low.
    """
    return (curve.log_volume - exact).exp()[:, exact < math.log(0.9)]


def law(log_threshold, coefficient, multiplicity, constant=-1.3):
    x = torch.as_tensor(log_threshold, dtype=torch.float64)
    return coefficient * x + (multiplicity - 1) * (-x).log() + constant


@pytest.mark.parametrize(("d", "scale", "within"), [(1, 1.0, 0.1), (3, 0.2, 0.2), (5, 2.0, 0.4)])
def test_a_quadratic_follows_the_chi_squared_law(d, scale, within):
    curve = nested_volume(quadratic, d, FALLING, scale=scale, runs=64)
    exact = torch.from_numpy(chi2.logcdf(2 * FALLING / scale**2, d))
    mean_is(over(curve, exact), 1, within=within)
    assert 0.01 < curve.log_volume[:, -1].std() < 0.8


def test_a_network_follows_its_exact_volume():
    def rise(w):
        hidden, outer = w[..., :2], w[..., 2:].unflatten(-1, (5, 2))
        return 0.5 * (outer @ hidden[..., None]).square().sum((-1, -2))

    curve = nested_volume(rise, 12, FALLING, scale=0.7, runs=32)
    exact = linear_network_volume(2, 5, FALLING.tolist(), scale=0.7).log()
    mean_is(over(curve, exact), 1, within=0.2)


def test_the_share_below_a_threshold_that_all_meet_is_one():
    curve = nested_volume(lambda w: w.square().sum(-1) / 1e6, 2, [1.0, 0.5], runs=2, particles=50, moves=2)
    assert (curve.log_volume == 0).all()


def test_only_one_of_many_weights_matters():
    """The others are free: the walk must not steer by them."""
    curve = nested_volume(lambda w: 0.5 * w[..., 0].square(), 12, FALLING, runs=32)
    exact = torch.from_numpy(chi2.logcdf(2 * FALLING, 1))
    mean_is(over(curve, exact), 1, within=0.2)


def test_seeds_decide_the_runs():
    def run(seed):
        return nested_volume(quadratic, 2, FALLING[:4], runs=3, particles=40, moves=2, seed=seed).log_volume

    assert torch.equal(run(3), run(3))
    assert not torch.equal(run(3), run(4))
    assert run(3).std(0).min() > 0


@pytest.mark.parametrize(("n_hidden", "n_out"), [(1, 1), (2, 5), (5, 2), (3, 3), (1, 30)])
def test_the_exact_volume_is_the_product_of_two_chi_squared(n_hidden, n_out):
    thresholds, scale = [10.0, 0.1, 1e-5, 1e-11], 0.6

    def integrand(log_y, edge):
        return math.exp(log_y) * chi2.pdf(math.exp(log_y), n_out) * chi2.cdf(edge * math.exp(-log_y), n_hidden)

    edges = [2 * threshold / scale**4 for threshold in thresholds]
    knots = [(edge, sorted({-90.0, math.log(edge), 0.0, 8.0})) for edge in edges]
    expected = [
        sum(quad(integrand, a, b, args=(edge,), epsabs=0, limit=500)[0] for a, b in pairwise(at)) for edge, at in knots
    ]
    found = linear_network_volume(n_hidden, n_out, thresholds, scale=scale)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=0)


def test_widths_of_one_are_a_normal_crossing_of_two_normals():
    def density(b, a):
        return 2 * math.exp(-(a * a + b * b) / 2) / math.pi

    expected, _ = dblquad(density, 0, 12, 0, lambda a: min(0.4 / max(a, 1e-9), 12))
    assert float(linear_network_volume(1, 1, [0.08])) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("widths", [(1, 11), (2, 5), (3, 3), (6, 2)])
def test_exact_volumes_have_the_exponents_of_theory(widths):
    exact = reduced_rank(1, *widths, rank=0)
    thresholds = torch.logspace(-8, -16, 9, dtype=torch.float64)
    curve = VolumeCurve(thresholds.log(), linear_network_volume(*widths, thresholds.tolist()).log()[None])
    assert float(curve.exponents(exact.multiplicity)) == pytest.approx(exact.value, rel=0.02)


@pytest.mark.parametrize("multiplicity", [1, 2, 4])
def test_exponents_of_the_law_itself(multiplicity):
    x = torch.tensor([-1.0, -1.7, -4.0, -9.0], dtype=torch.float64)
    curve = VolumeCurve(x, torch.stack([law(x, 0.75, multiplicity), law(x, 2.0, multiplicity, constant=3.0)]))
    torch.testing.assert_close(curve.exponents(multiplicity), torch.tensor([0.75, 2.0], dtype=torch.float64))


def test_ignoring_the_multiplicity_gives_less():
    x = torch.linspace(-5, -20, 10, dtype=torch.float64)
    assert float(VolumeCurve(x, law(x, 0.5, 2)[None]).exponents(1)) < 0.45


def test_only_levels_below_the_limit_are_used():
    x = torch.tensor([2.0, 1.0, -1.0, -2.0, -3.0], dtype=torch.float64)
    y = torch.cat([torch.tensor([0.0, -7.0], dtype=torch.float64), 3 * x[2:]])
    assert float(VolumeCurve(x, y[None]).exponents(below=1.0)) == pytest.approx(3)


@pytest.mark.parametrize("thresholds", [[], [1.0, 1.0], [1.0, 2.0], [1.0, 0.0], [1.0, -1.0], [[1.0]]])
def test_thresholds_must_fall_and_be_positive(thresholds):
    with pytest.raises(ValueError, match="positive and falling"):
        nested_volume(quadratic, 2, thresholds)


@pytest.mark.parametrize("wrong", [{"d": 0}, {"scale": 0.0}, {"runs": 0}, {"particles": 0}, {"moves": 0}])
def test_counts_must_be_positive(wrong):
    with pytest.raises(ValueError, match=f"positive.*'{next(iter(wrong))}'"):
        nested_volume(**{"rise": quadratic, "d": 2, "thresholds": [1.0], **wrong})


def test_a_rise_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape \[2, 30\].*got \[2, 30, 4\]"):
        nested_volume(lambda w: w.square(), 4, [1.0], runs=2, particles=30)


def test_a_rise_that_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="NaN at the deviation"):
        nested_volume(lambda w: w.sum(-1).log(), 1, [1.0])


def test_a_level_out_of_reach_is_named():
    with pytest.raises(RuntimeError, match="none of 20 particles lies below 1e-09"):
        nested_volume(quadratic, 6, [10.0, 1e-9], runs=2, particles=20)


def test_a_slope_needs_two_levels_and_a_multiplicity():
    curve = VolumeCurve(torch.tensor([-1.0, -2.0]), torch.tensor([[-1.0, -2.0]]))
    with pytest.raises(ValueError, match="1 thresholds"):
        curve.exponents(below=0.2)
    with pytest.raises(ValueError, match="multiplicity 0"):
        curve.exponents(0)


def test_a_multiplicity_needs_thresholds_below_one():
    curve = VolumeCurve(torch.tensor([0.5, -2.0]), torch.tensor([[-1.0, -2.0]]))
    with pytest.raises(ValueError, match=r"below 1, got 1\.64872"):
        curve.exponents(2)


@pytest.mark.parametrize("wrong", [(0, 2, [1.0], 1.0), (2, 0, [1.0], 1.0), (2, 2, [0.0], 1.0), (2, 2, [1.0], -1.0)])
def test_exact_volumes_need_positive_arguments(wrong):
    n_hidden, n_out, thresholds, scale = wrong
    with pytest.raises(ValueError, match="must be positive"):
        linear_network_volume(n_hidden, n_out, thresholds, scale=scale)
