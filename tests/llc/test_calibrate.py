"""What is advised is right where the answer is known; what would fool a rule does not, or is said to."""

import math

import matplotlib
import pytest
import torch
from torch import Tensor

from mechlib.llc import Calibration, calibrate, quadratic_expectation
from tests.sampling import ERRORS

from .conftest import Point, population

matplotlib.use("Agg")
pytestmark = pytest.mark.filterwarnings("ignore::mechlib.llc.Unreliable")

NBETA = 500.0


def spectrum(over: float, d: int = 20) -> Tensor:
    return torch.logspace(-math.log10(over), 0, d)


def of_quadratic(h: Tensor, gammas: tuple[float, ...], **options) -> Calibration:
    loss = population(lambda w: (h * w.square()).sum() / 2)
    defaults = {"nbeta": NBETA, "progress": False, "strategy": "vmap"}
    return calibrate(Point(torch.zeros(len(h))), loss, None, gammas=gammas, **(defaults | options))


def exactly(h: Tensor, calibration: Calibration) -> Tensor:
    return torch.tensor([quadratic_expectation(h, NBETA, gamma) for gamma in calibration.gammas])


def off(calibration: Calibration, exact: Tensor) -> Tensor:
    """By how many standard errors the estimates are off."""
    errors = [cell.full.std_error for cell in calibration.cells]
    return torch.tensor([(c.full.llc - e) / s for c, e, s in zip(calibration.cells, exact, errors, strict=True)])


def test_on_a_narrow_spectrum_there_is_a_plateau_and_it_is_half_the_weights():
    h = spectrum(10)
    found = of_quadratic(h, (0.01, 0.1, 1.0, 100.0))
    assert found.plateau is not None and found.plateau[1] == 1.0
    assert abs(found.advised.llc - 10) < ERRORS * found.advised.std_error + 0.1
    assert bool((off(found, exactly(h, found)).abs() < ERRORS).all())
    assert str(found).startswith(f"plateau from gamma {found.gamma:g} to 1")
