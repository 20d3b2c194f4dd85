"""The references of chapter 08 against volumes by counting, integrals on a grid and exact expectations."""

import math

import pytest
import torch

from mechlib.checks.registry import find
from mechlib.llc import quadrature
from mechlib.questions.ch08 import refute

PATHS, WEIGH = (find(f"ch08.{name}").reference for name in ("paths", "weigh"))


@pytest.mark.parametrize("equations", [[1, 1], [1, 2], [2, 2], [3, 1]])
def test_the_volume_of_small_losses_shrinks_as_the_coefficient_says(equations):
    """Uniform points in the cube: a product of squared lengths below eps has a share ~ eps^λ (-log eps)^(m - 1)."""
    generator = torch.Generator().manual_seed(3)
    points = torch.rand(2_000_000, sum(equations), generator=generator, dtype=torch.float64)
    factors = [part.square().sum(1) for part in points.split(equations, 1)]
    loss = torch.stack(factors).prod(0)
    value, multiplicity = map(float, PATHS(torch.tensor(equations), torch.ones(2, dtype=torch.bool)))
    eps = (1e-3, 1e-5)
    shares = [float((loss < e).double().mean()) for e in eps]
    power = (shares[0] / shares[1]) / (math.log(eps[0]) / math.log(eps[1])) ** (multiplicity - 1)
    assert math.log(power) / math.log(eps[0] / eps[1]) == pytest.approx(value, abs=0.06)


def test_a_free_energy_is_the_integral_on_a_grid():
    h, c, nbeta, gamma = torch.tensor([0.7, 0.0]), torch.tensor([1.2, -0.8]), 9.0, 2.0
    w = torch.linspace(-9, 9, 20_001, dtype=torch.float64)
    total = 0.0
    for one, at in zip(h.double(), c.double(), strict=True):
        prior = torch.exp(-gamma * w**2 / 2) * math.sqrt(gamma / 2 / math.pi)
        total -= math.log(torch.trapezoid(torch.exp(-nbeta * one * (w - at) ** 2 / 2) * prior, w))
    assert float(sum(WEIGH(h, c, nbeta, gamma))) == pytest.approx(total, rel=1e-5)


def test_expectations_are_those_of_two_paths():
    """Two paths of one weight each, on a square: losses u² v² have the density t^(-1/2) (-log t) up to a constant."""
    for nbeta, found in zip(refute.NBETA[:3].tolist(), refute.expected(0.5, 2)[:3].tolist(), strict=True):
        loss = quadrature(lambda w: (w[:, 0] * w[:, 1]) ** 2, [0.0, 0.0], nbeta, 0.0, bounds=[(0, 1), (0, 1)])
        # the square's density is -log(t) / (4 sqrt(t)), for t from 0 to 1
        assert found == pytest.approx(loss.value, rel=1e-3)


@pytest.mark.parametrize("kind", refute.KINDS, ids=lambda kind: kind.about)
def test_expectations_tend_to_the_coefficients_that_a_kind_has(kind):
    for (value, multiplicity), steepness in zip((kind.repaired, kind.single), kind.steepness, strict=True):
        off = value - refute.expected(value, multiplicity, steepness)
        assert (off[1:] >= -1e-3).all() and (off.diff() < 1e-3).all()
        assert float(off[-1] * (refute.NBETA[-1] * steepness).log()) == pytest.approx(multiplicity - 1, rel=0.15)
    assert [k.holds for k in refute.KINDS] == [False] * 7 + [True] * 7
