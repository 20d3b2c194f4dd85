import numpy as np
import pytest
import torch

from mechlib.llc.extrapolation import extrapolate
from mechlib.llc.quadrature import quadrature

NBETAS = np.geomspace(10, 1e5, 9)
LOG = np.log(NBETAS)


def errors(estimates, relative=1e-3):
    return np.diag((relative * estimates) ** 2)


@pytest.mark.parametrize(
    ("estimates", "llc", "multiplicity"),
    [
        (2.0 - 1 / (LOG + 1.5), 2.0, 2),
        (0.5 - 2 / (LOG + 4.0), 0.5, 3),
        (3.0 - 5 / NBETAS, 3.0, 1),
        (1.5 - 0.8 / NBETAS**0.5, 1.5, 1),
        (1.5 - 0.3 * LOG / NBETAS**0.5, 1.5, 1),
    ],
)
def test_a_law_is_recognised(estimates, llc, multiplicity):
    found = extrapolate(NBETAS, estimates, errors(estimates), n_params=8)
    assert found.llc == pytest.approx(llc, rel=0.01)
    assert abs(found.llc - llc) < 2 * found.std_error
    assert found.multiplicity == multiplicity
    assert found.multiplicity_weights[multiplicity] > 0.85
    assert sum(found.multiplicity_weights.values()) == pytest.approx(1)
    assert sum(fit.weight for fit in found.fits) == pytest.approx(1)


@pytest.mark.parametrize("exponents", [(1, 1), (2, 2), (1, 0), (2, 1)])
def test_exact_values_of_crossings_lead_to_their_coefficients(exponents):
    powers = 2 * torch.tensor(exponents)
    estimates = np.array([quadrature(lambda w: (w**powers).prod(1), [0.0, 0.0], n, 1.0).value for n in NBETAS])
    found = extrapolate(NBETAS, estimates, errors(estimates), n_params=2)
    expected = 1 / powers.max().item()
    assert found.llc == pytest.approx(expected, rel=0.04)
    assert found.multiplicity == powers.tolist().count(powers.max())
    assert abs(estimates[-1] - expected) > 4 * abs(found.llc - expected) or exponents == (1, 0)


def test_the_error_covers_the_truth_as_often_as_two_standard_errors_should():
    rng = np.random.default_rng(0)
    truth = 2.0 - 1 / (LOG + 1.5)
    found = [
        extrapolate(NBETAS, truth + rng.normal(0, 0.005 * truth), errors(truth, 0.005), n_params=8) for _ in range(40)
    ]
    z = np.array([(f.llc - 2.0) / f.std_error for f in found])
    assert (abs(z) < 2).mean() > 0.9
    assert {f.multiplicity for f in found} >= {2}


def test_no_multiplicity_exceeds_the_number_of_parameters():
    estimates = 0.5 - 2 / (LOG + 4.0)
    assert extrapolate(NBETAS, estimates, errors(estimates), n_params=2).multiplicity_weights.keys() == {1, 2}
    assert extrapolate(NBETAS, estimates, errors(estimates), n_params=1).multiplicity_weights == {1: pytest.approx(1)}


def test_rungs_below_the_range_of_a_law_are_left_out():
    estimates = 2.0 - 1 / (LOG + 1.5)
    estimates[:3] -= 0.2
    found = extrapolate(NBETAS, estimates, errors(estimates), n_params=8)
    assert found.fits[0].first == 3 and len(found.fits[0].curve) == 6
    assert found.fits[0].llc == pytest.approx(2.0, rel=1e-3)


def test_correlated_errors_are_told_apart_from_independent_ones():
    # An error that all rungs share is an error of λ and says nothing about the law.
    estimates = 3.0 - 5 / NBETAS
    shared = np.full((9, 9), 0.01) + 1e-6 * np.eye(9)
    found = extrapolate(NBETAS, estimates, shared, n_params=8)
    assert found.multiplicity_weights[1] > 0.95
    assert found.std_error == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("nbetas", [[10.0, 100.0, 1000.0], [10.0, 100.0, 50.0, 1e3], [0.5, 5.0, 50.0, 500.0]])
def test_a_ladder_needs_four_ascending_rungs_above_1(nbetas):
    with pytest.raises(ValueError, match="at least four ascending nbetas above 1 are needed, got"):
        extrapolate(np.array(nbetas), np.ones(len(nbetas)), np.eye(len(nbetas)), n_params=8)
