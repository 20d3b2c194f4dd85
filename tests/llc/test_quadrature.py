import math
from importlib import import_module

import pytest
import scipy
import torch

from mechlib.llc.exact import normal_crossing, quadratic_expectation
from mechlib.llc.quadrature import quadrature


def quadratic(*eigenvalues):
    h = torch.tensor(eigenvalues, dtype=torch.float64)
    return lambda w: (h * w**2).sum(1) / 2


def crossing(*exponents):
    powers = 2 * torch.tensor(exponents)
    return lambda w: (w**powers).prod(1)


@pytest.mark.parametrize("nbeta", [0.3, 145.0, 1e7])
@pytest.mark.parametrize("eigenvalues", [(2.0,), (3.0, 0.01), (0.0, 1.0)])
def test_a_quadratic_loss_has_the_closed_form(nbeta, eigenvalues):
    found = quadrature(quadratic(*eigenvalues), [0.0] * len(eigenvalues), nbeta, gamma=0.5)
    assert found.value == pytest.approx(quadratic_expectation(eigenvalues, nbeta, 0.5), rel=1e-8)
    precision = 1 + nbeta / 0.5 * torch.tensor(eigenvalues, dtype=torch.float64)
    assert found.free_energy == pytest.approx(float(precision.log().sum()) / 2, abs=1e-6)


def test_three_dimensions():
    found = quadrature(quadratic(1.0, 4.0, 0.1), [0.0] * 3, 100.0, 1.0, rtol=1e-3)
    assert found.value == pytest.approx(quadratic_expectation([1.0, 4.0, 0.1], 100.0, 1.0), rel=1e-6)


@pytest.mark.parametrize(("k", "high"), [(1, 1.0), (2, 1.0), (3, 0.5)])
def test_one_coordinate_under_a_uniform_prior_is_an_incomplete_gamma_function(k, high):
    nbeta, a = 5e3, 1 / (2 * k)
    found = quadrature(crossing(k), [0.0], nbeta, 0.0, bounds=[(-high, high)])
    x = nbeta * high ** (2 * k)
    expected = a * scipy.special.gammainc(a + 1, x) / scipy.special.gammainc(a, x)
    assert found.value == pytest.approx(expected, rel=1e-7)
    mass = scipy.special.gammainc(a, x) * math.gamma(a) / (2 * k) * nbeta**-a / high
    assert found.free_energy == pytest.approx(-math.log(mass), abs=1e-7)


@pytest.mark.parametrize("nbeta", [145.0, 1e4])
def test_two_coordinates_reduce_to_one_where_the_loss_is_quadratic_in_the_other(nbeta):
    # (ab - 1)^2 given a is quadratic in b: integrated by hand, the rest by QUADPACK. Two ridges, one far from w*.
    def given_a(a, power):
        precision = 2 * nbeta * a**2 + 1
        mean, variance = (2 * nbeta * a + 1) / precision, 1 / precision
        least = nbeta * (a - 1) ** 2 / precision
        excess = nbeta * ((a * mean - 1) ** 2 + a**2 * variance)
        return math.exp(-((a - 1) ** 2) / 2 - least) * math.sqrt(variance / (2 * math.pi)) * excess**power

    breaks = sorted([0.0, 1.0, *(sign * 10.0**-e for e in range(5) for sign in (-1, 1))])
    mass, moment = (
        scipy.integrate.quad(given_a, -9, 11, args=(power,), points=breaks, limit=2000, epsabs=1e-13)[0]
        for power in (0, 1)
    )
    found = quadrature(lambda w: (w[:, 0] * w[:, 1] - 1) ** 2, [1.0, 1.0], nbeta, 1.0)
    assert found.value == pytest.approx(moment / mass, rel=1e-6)
    assert found.free_energy == pytest.approx(-math.log(mass), abs=1e-5)


def test_the_value_is_the_derivative_of_the_free_energy():
    # E[L] = dF/dnbeta, so nbeta E[L] = dF/dlog nbeta.
    at = {step: quadrature(crossing(2, 1), [0.0, 0.0], 145.0 * math.exp(step), 1.0) for step in (-1e-2, 0, 1e-2)}
    slope = (at[1e-2].free_energy - at[-1e-2].free_energy) / 2e-2
    assert at[0].value == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("exponents", [(1, 1), (2, 1), (2, 2)])
def test_the_law_of_the_learning_coefficient_at_large_nbeta(exponents):
    low, high = (quadrature(crossing(*exponents), [0.0, 0.0], nbeta, 1.0) for nbeta in (1e10, 1e12))
    exact = normal_crossing(exponents)
    power = exact.value * math.log(1e12 / 1e10)
    logarithm = (exact.multiplicity - 1) * math.log(math.log(1e12) / math.log(1e10))
    assert high.free_energy - low.free_energy == pytest.approx(power - logarithm, rel=0.05)


def test_the_error_covers_what_a_finer_rule_finds():
    coarse = quadrature(crossing(1, 1), [0.0, 0.0], 1e4, 1.0, rtol=1e-2)
    fine = quadrature(crossing(1, 1), [0.0, 0.0], 1e4, 1.0, rtol=1e-8)
    assert abs(coarse.value - fine.value) <= coarse.error <= 1e-2 * coarse.value
    assert fine.error <= 1e-8 * fine.value
    assert coarse.evaluations < fine.evaluations


def test_a_centre_of_higher_loss_gives_the_excess_over_it():
    shifted = quadrature(lambda w: (w[:, 0] - 0.1) ** 2 / 2, [0.0], 100.0, 1.0)
    variance, mean = 1 / 101, 10 / 101
    assert shifted.value == pytest.approx(100 / 2 * (variance + (mean - 0.1) ** 2 - 0.01), abs=1e-8)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([0.0] * 4, 1.0, 1.0), {}, r"1 to 3 coordinates, got shape \(4,\)"),
        ((0.0, 1.0, 1.0), {}, r"got shape \(\)"),
        (([0.0], -1.0, 1.0), {}, "got nbeta = -1, gamma = 1"),
        (([0.0], math.nan, 1.0), {}, "got nbeta = nan"),
        (([0.0], 1.0, 0.0), {}, "give bounds, or a positive gamma"),
        (([0.0], 1.0, 0.0), {"bounds": [(1.0, 2.0)]}, r"around \[0.0\], got \[\(1.0, 2.0\)\]"),
        (([0.0, 0.0], 1.0, 0.0), {"bounds": [(-1.0, 2.0)]}, "must be 2 pairs"),
    ],
)
def test_what_makes_no_posterior_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        quadrature(quadratic(1.0), *arguments, **options)


def test_a_loss_of_another_shape_or_nan_is_refused():
    with pytest.raises(ValueError, match=r"each of 1 points, got shape \(\)"):
        quadrature(lambda w: w.sum(), [0.0], 1.0, 1.0)
    with pytest.raises(ValueError, match="the loss is NaN at"):
        quadrature(lambda w: w[:, 0].sqrt(), [0.0], 1.0, 1.0)


def test_an_accuracy_out_of_reach_is_an_error(monkeypatch):
    monkeypatch.setattr(import_module("mechlib.llc.quadrature"), "MAX_EVALUATIONS", 20_000)
    with pytest.raises(RuntimeError, match="relative accuracy of 1e-09 needs more than 20,000 evaluations"):
        quadrature(crossing(1, 1), [0.0, 0.0], 1e3, 1.0, rtol=1e-9)
