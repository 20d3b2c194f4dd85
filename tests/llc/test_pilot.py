import pytest
import torch

from mechlib.llc.batches import Batches
from mechlib.llc.flat import FlatModel
from mechlib.llc.pilot import STEP, auto_lr, curvature_met, top_curvature
from mechlib.llc.posterior import Posterior, at_start
from mechlib.llc.samplers import gaussian
from mechlib.llc.surface import Surface

from .conftest import Point, population, regression

NBETA, GAMMA = 50.0, 1.0


def normals():
    return gaussian(torch.Generator().manual_seed(0))


def near(loss, d: int) -> Posterior:
    surface = Surface(FlatModel(Point(torch.zeros(d))), population(loss))
    batches = Batches(None, None, torch.Generator())
    return Posterior(surface, batches, at_start(surface, batches, 1), chains=16, anchor=True)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_eigenvalue_by_size(sign):
    generator = torch.Generator().manual_seed(3)
    basis = torch.linalg.qr(torch.randn(12, 12, generator=generator, dtype=torch.float64))[0]
    eigenvalues = torch.cat([torch.linspace(-1, 1, 11), torch.tensor([4.0 * sign])]).double()
    hessian = basis @ torch.diag(eigenvalues) @ basis.T
    found = top_curvature(
        lambda w: w @ hessian, torch.zeros(3, 12).double(), nbeta=NBETA, gamma=GAMMA, normals=normals()
    )
    torch.testing.assert_close(found, torch.full((3,), 4.0).double(), rtol=1e-3, atol=0)


def test_a_flat_loss_has_no_curvature():
    found = top_curvature(torch.zeros_like, torch.zeros(2, 3), nbeta=NBETA, gamma=GAMMA, normals=normals())
    assert found.tolist() == [0, 0]


def test_chains_that_are_lost_are_left_out():
    p = near(lambda w: 1.5 * w.square().sum(), 2)
    w = p.w.clone()
    w[3] = torch.nan
    p.evaluate(p.w)
    assert curvature_met(p, w, NBETA, GAMMA, normals()) == pytest.approx(3.0, rel=1e-3)


@pytest.mark.parametrize("sampler", list(STEP))
def test_the_step_is_the_stated_one_on_a_quadratic(sampler):
    problem = regression(d=5)
    surface = Surface(FlatModel(problem.model), problem.loss)
    batches = Batches(problem.data, None, torch.Generator())
    p = Posterior(surface, batches, at_start(surface, batches, 1000), chains=4, anchor=True)
    lr = auto_lr(p, sampler, NBETA, GAMMA, normals())
    assert lr * (NBETA * float(problem.eigenvalues[-1]) + GAMMA) == pytest.approx(STEP[sampler], rel=0.03)
    assert torch.equal(p.w, p.center.expand_as(p.w)), "the chains are no longer at w*"


def test_a_degenerate_minimum_is_as_steep_as_the_chains_find_it():
    """At w* the Hessian of w^4 is 0; at one standard deviation of exp(-50 w^4), .22, it is 12 w^2 = .57."""
    lr = auto_lr(near(lambda w: w.pow(4).sum(), 1), "lm", NBETA, GAMMA, normals())
    assert 0.3 < (STEP["lm"] / lr - GAMMA) / NBETA < 5


def test_no_curvature_and_no_prior_leave_no_step():
    with pytest.raises(ValueError, match="the loss is flat around w\\*, and gamma is 0"):
        auto_lr(near(lambda w: torch.relu(w.square().sum() - 9), 12), "lm", NBETA, 0.0, normals())
