"""Free energies against closed forms and adaptive quadrature; transitions against hand arithmetic."""

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.special import erf, gammainc

from mechlib.llc.evidence import Solution, graded_grid, transitions
from mechlib.llc.exact import LearningCoefficient, normal_crossing, regular
from mechlib.llc.quadrature import quadrature

BOX = [(-2.0, 1.0), (-1.0, 3.0)]


@pytest.mark.parametrize("n", [1.0, 100.0, 1e6])
def test_a_gaussian_in_a_box(n):
    grid = graded_grid([0.0, 0.0], BOX, finest=0.3 / math.sqrt(n))
    energy = n / 2 * grid.points.square().sum(1)
    root = math.sqrt(n / 2)
    sides = [math.sqrt(math.pi / 2 / n) * (erf(b * root) - erf(a * root)) / (b - a) for a, b in BOX]
    assert float(grid.free_energy(energy)) == pytest.approx(-math.log(sides[0] * sides[1]), abs=1e-5)


@pytest.mark.parametrize("power", [4, 6])
def test_a_degenerate_minimum_in_one_dimension(power):
    """The integral of exp(-n w^p) from 0 to 1 is an incomplete gamma function."""
    n = 1e4
    grid = graded_grid([0.0], [(0.0, 1.0)], finest=0.01)
    expected = gammainc(1 / power, n) * math.gamma(1 / power) / power * n ** (-1 / power)
    found = grid.free_energy(n * grid.points[:, 0] ** power)
    assert float(found) == pytest.approx(-math.log(expected), abs=1e-4)


@pytest.mark.parametrize("center", [[0.0, 0.0], [-2.0, 0.5]])
def test_it_agrees_with_adaptive_quadrature(center):
    def loss(w):
        return (w[:, 0] - center[0]) ** 2 * (w[:, 1] - center[1]) ** 4

    exact = quadrature(loss, center, nbeta=1e4, gamma=0.0, bounds=BOX).free_energy
    grid = graded_grid(center, BOX, finest=1e-3)
    assert float(grid.free_energy(1e4 * loss(grid.points))) == pytest.approx(exact, abs=1e-4)


@pytest.mark.parametrize("n", [10.0, 1e3, 1e6])
@pytest.mark.parametrize("noise", [-3.0, 0.5, 3.0])
def test_a_peak_away_from_the_centre(n, noise):
    """Noisy labels move the posterior of a degenerate weight; ``v = n^(-1/6) x`` makes it the same for every n."""
    grid = graded_grid([0.0], [(-2.0, 2.0)], finest=0.1 / math.sqrt(n))
    v = grid.points[:, 0]
    edge = 2 * n ** (1 / 6)
    mass, _ = quad(lambda x: math.exp(noise * x**3 - x**6 / 2), -edge, edge, points=[math.cbrt(noise)], limit=200)
    found = grid.free_energy(n * v**6 / 2 - math.sqrt(n) * noise * v**3)
    assert float(found) == pytest.approx(-math.log(mass / (2 * edge)), abs=2e-3)


def test_three_dimensions_and_a_batch_of_energies():
    grid = graded_grid([0.0, 0.5, 1.0], [(0.0, 1.0)] * 3, finest=0.3)
    assert grid.points.shape == (len(grid.log_weights), 3)
    energies = torch.stack([torch.zeros(len(grid.log_weights)), 3 + grid.points[:, 0]])[None]
    expected = torch.tensor([[0.0, 3 - math.log(1 - math.exp(-1))]], dtype=torch.float64)
    torch.testing.assert_close(grid.free_energy(energies), expected, atol=1e-6, rtol=0)


def test_points_lie_in_the_box_and_weights_sum_to_one():
    grid = graded_grid([1.0, 0.0], BOX, finest=1e-5)
    low, high = torch.tensor(BOX, dtype=torch.float64).T
    assert ((grid.points > low) & (grid.points < high)).all()
    assert float(grid.log_weights.exp().sum()) == pytest.approx(1)
    mean = (grid.log_weights.exp()[:, None] * grid.points).sum(0)
    torch.testing.assert_close(mean, (low + high) / 2, atol=1e-6, rtol=0)


def test_huge_energies_do_not_underflow():
    grid = graded_grid([0.0], [(0.0, 1.0)], finest=0.1)
    assert float(grid.free_energy(1e5 + 0 * grid.points[:, 0])) == pytest.approx(1e5)


def test_energies_that_are_rounded_too_coarsely_are_refused():
    """Single precision rounds 1e6 by up to 1/32."""
    grid = graded_grid([0.0], [(0.0, 1.0)], finest=0.1)
    energy = 1e6 + grid.points[:, 0]
    assert float(grid.free_energy(energy)) == pytest.approx(1e6 - math.log(1 - math.exp(-1)), abs=1e-6)
    with pytest.raises(ValueError, match=r"torch\.float32, which rounds the smallest by up to 0\.06 nats"):
        grid.free_energy(energy.float())
    assert float(grid.free_energy(energy.float() - 1e6)) == pytest.approx(-math.log(1 - math.exp(-1)), abs=0.04)


@pytest.mark.parametrize(
    ("center", "bounds", "finest"),
    [
        ([0.0], [(0.1, 1.0)], 0.1),
        ([0.0], [(0.0, 0.0)], 0.1),
        ([0.0], [(0.0, 1.0)], 0.0),
        ([0.0, 0.0], [(0.0, 1.0)], 0.1),
        ([0.0] * 4, [(0.0, 1.0)] * 4, 0.1),
        ([], [], 0.1),
    ],
)
def test_a_grid_needs_a_centre_inside_its_box(center, bounds, finest):
    with pytest.raises(ValueError, match="1 to 3 coordinates inside their bounds"):
        graded_grid(center, bounds, finest)


def test_energies_belong_to_the_nodes():
    grid = graded_grid([0.0], [(0.0, 1.0)], finest=0.1)
    with pytest.raises(ValueError, match=r"nodes on its last axis, got \[3\]"):
        grid.free_energy(torch.zeros(3))


def test_the_expansion_is_approached_as_n_grows():
    """L = w^2 v^2 on the unit square: V = sqrt(e) (1 - log sqrt(e)), so c = 1/2 and the constant is -log(Γ(3/2)/2)."""
    exact = normal_crossing([1, 1])
    solution = Solution(0.2, exact, constant=-math.log(math.gamma(1.5) / 2))

    def gap(n):
        grid = graded_grid([0.0, 0.0], [(0.0, 1.0)] * 2, finest=0.1 / math.sqrt(n))
        energy = n * (0.2 + grid.points.square().prod(1))
        return abs(float(grid.free_energy(energy)) - solution.free_energy(n))

    gaps = [gap(10.0**power) for power in (3, 6, 9)]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.2


def test_the_terms_of_the_free_energy():
    solution = Solution(0.5, LearningCoefficient(1.5, 3), constant=0.25)
    assert solution.free_energy(100.0) == pytest.approx(50 + 1.5 * 4.60517 - 2 * 1.52718 + 0.25, abs=1e-4)


@pytest.mark.parametrize("n", [1.0, 0.5, -3.0])
def test_the_expansion_is_for_large_n(n):
    with pytest.raises(ValueError, match=f"n above 1, got {n}"):
        Solution(0.0, regular(1)).free_energy(n)


def test_accuracy_overtakes_simplicity_once():
    (n,) = transitions(Solution(0.0, regular(2)), Solution(0.01, regular(1)), low=10.0)
    assert 0.01 * n == pytest.approx(0.5 * math.log(n))


def test_constants_can_add_a_transition_or_forbid_it():
    accurate = Solution(0.0, regular(2))
    assert len(transitions(accurate, Solution(0.01, regular(1), constant=0.5), low=1.1)) == 2
    assert transitions(accurate, Solution(0.01, regular(1), constant=5.0)) == ()


def test_equal_losses_cross_where_the_constants_say():
    (n,) = transitions(Solution(0.0, regular(2)), Solution(0.0, regular(1), constant=3.0))
    assert n == pytest.approx(math.exp(6))


@pytest.mark.parametrize(("low", "high"), [(1.0, 10.0), (10.0, 10.0), (20.0, 10.0)])
def test_transitions_need_a_range(low, high):
    with pytest.raises(ValueError, match="1 < low < high"):
        transitions(Solution(0.0, regular(2)), Solution(0.1, regular(1)), low=low, high=high)
