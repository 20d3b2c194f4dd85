"""The bias of RMSProp-preconditioned SGLD against the law that is derived for it, and what takes it away."""

import math

import pytest
import torch
from torch import Tensor

from mechlib.llc.rmsprop import exact_bias, rmsprop
from mechlib.llc.samplers import gaussian
from tests.sampling import ERRORS

CURVATURE, NBETA = torch.tensor([0.1, 1.0], dtype=torch.float64), 100.0
CHAINS = 3000


def quadratic(w: Tensor) -> tuple[Tensor, Tensor]:
    return (CURVATURE * w.square()).sum(1) / 2, CURVATURE * w


def energies(*, lr: float, steps: int, chains: int = CHAINS, floor: float = 0.02, **options) -> Tensor:
    """``a x^2`` of every chain at the end, over its expectation 1; chains start from their law."""
    normals = gaussian(torch.Generator().manual_seed(0))
    sampler = rmsprop(torch.zeros(2).double(), nbeta=NBETA, gamma=0.0, lr=lr, floor=floor, **options)
    start = normals(torch.empty(chains, 2, dtype=torch.float64)) / (NBETA * CURVATURE).sqrt()
    state = sampler.init(start, quadratic)
    for _ in range(steps):
        state = sampler.step(state, quadratic, normals)
    return NBETA * CURVATURE * state.w.square()


def near(found: Tensor, expected: Tensor | float, within: float = 0.0) -> bool:
    margin = ERRORS * found.std(0) / math.sqrt(len(found)) + within
    return bool(((found.mean(0) - expected).abs() < margin).all())


def test_of_the_last_gradient_it_has_the_law_that_is_derived():
    """E[a x^2] is 1.56 along the flat axis and 1.80 along the steep one, for a floor of .02."""
    expected = exact_bias(CURVATURE, NBETA, 0.02)
    assert expected.tolist() == pytest.approx([1.558, 1.800], abs=1e-3)
    assert near(energies(lr=4e-5, steps=1500, alpha=0.0), expected, within=0.03)


def test_a_large_floor_is_plain_sgld():
    assert near(energies(lr=0.05, steps=300, alpha=0.0, floor=50.0), exact_bias(CURVATURE, NBETA, 50.0), within=0.01)


@pytest.mark.parametrize(
    "options",
    [
        {"alpha": 0.0, "correction": lambda w: CURVATURE.expand_as(w)},
        {"alpha": 0.9, "share": "others"},
        {"alpha": 1.0, "square": CURVATURE / NBETA},
    ],
    ids=["corrected", "of the others", "held fixed"],
)
def test_what_takes_the_bias_away(options):
    assert near(energies(lr=4e-5, steps=1500, floor=0.1, **options), 1.0, within=0.02)


def test_a_shorter_step_is_worse():
    """Then v follows the chain and knows where it is."""
    options = {"alpha": 0.98, "square": CURVATURE / NBETA}
    long, short = (energies(lr=lr, steps=steps, **options)[:, 1] for lr, steps in ((3e-4, 200), (1e-5, 1500)))
    assert float(short.mean()) > float(long.mean()) + 0.2


@pytest.mark.parametrize(
    ("options", "match"), [({"alpha": 1.5}, "from 0 to 1"), ({"share": "all"}, "'own' or 'others'")]
)
def test_what_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        energies(lr=1e-3, steps=1, **options)


def test_one_chain_has_no_others():
    sampler = rmsprop(torch.zeros(2), nbeta=NBETA, gamma=0.0, lr=1e-3, share="others")
    with pytest.raises(ValueError, match="at least 2"):
        sampler.init(torch.zeros(1, 2), lambda w: (w.sum(1).double(), w))
