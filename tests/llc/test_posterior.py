import math

import pytest
import torch
from torch import nn

from mechlib.llc.batches import Batches
from mechlib.llc.flat import FlatModel
from mechlib.llc.posterior import EvalLoss, Posterior, at_start
from mechlib.llc.surface import Surface

from .conftest import Point, Regression, population, regression

PROBLEM = regression(d=4, samples=60)
BATCH = 7


def posterior(
    *, anchor: bool, batch_size: int | None = BATCH, chains: int = 3, problem: Regression = PROBLEM
) -> Posterior:
    surface = Surface(FlatModel(problem.model), problem.loss)
    batches = Batches(problem.data, batch_size, torch.Generator().manual_seed(0))
    return Posterior(surface, batches, at_start(surface, batches, 20), chains=chains, anchor=anchor)


def moved(p: Posterior) -> torch.Tensor:
    noise = torch.randn(p.w.shape, generator=torch.Generator().manual_seed(1))
    return p.center + 0.3 * noise


def over_an_epoch(p: Posterior, w: torch.Tensor, samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    pairs = [p.evaluate(w) for _ in range(samples // p.batches.size)]
    losses, grads = (torch.stack(part) for part in zip(*((a.clone(), b.clone()) for a, b in pairs), strict=True))
    return losses, grads


def exact(p: Posterior, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    loss, grad = p.surface.loss_and_grad(w, PROBLEM.data)
    return loss - p.start.loss, grad


@pytest.mark.parametrize("anchor", [True, False])
def test_batches_have_the_loss_and_gradient_of_the_data_as_their_mean(anchor):
    p = posterior(anchor=anchor, batch_size=6)
    w = moved(p)
    losses, grads = over_an_epoch(p, w, 60)
    loss, grad = exact(p, w)
    torch.testing.assert_close(grads.mean(0), grad, rtol=1e-3, atol=1e-4)
    baseline = 0.0 if anchor else p.start.loss - p.baseline()
    torch.testing.assert_close(losses.mean(0), loss + baseline, rtol=1e-3, atol=1e-4)


def test_the_anchor_takes_the_noise_away_near_w_star():
    near = {}
    for anchor in (True, False):
        p = posterior(anchor=anchor, batch_size=6)
        w = p.center + 0.1 * (moved(p) - p.center)
        losses, grads = over_an_epoch(p, w, 60)
        near[anchor] = float(losses.std(0).mean()), float(grads.std(0).mean())
    assert near[True][0] < 0.02 * near[False][0]
    assert near[True][1] < 0.2 * near[False][1]


def test_with_all_the_data_there_is_no_anchor_and_no_noise():
    p = posterior(anchor=True, batch_size=None)
    assert not p.anchored and p.rows.shape == p.w.shape
    w = moved(p)
    torch.testing.assert_close(p.evaluate(w), exact(p, w))


def test_evaluating_again_stays_on_the_batch():
    p = posterior(anchor=True)
    w = moved(p)
    first = [t.clone() for t in p.evaluate(w)]
    torch.testing.assert_close(p.evaluate_again(w), tuple(first))
    assert not torch.equal(p.evaluate(w)[0], first[0])


def test_the_loss_on_a_batch_and_its_gradient_are_one_function():
    p = posterior(anchor=True)
    w = moved(p).double().float()
    _, grad = p.evaluate(w)
    grad = grad.clone()
    step = 1e-2 * torch.eye(4)[0]
    slope = (p.evaluate_again(w + step)[0] - p.evaluate_again(w - step)[0]) / 2e-2
    torch.testing.assert_close(slope, grad[:, 0].double(), rtol=1e-2, atol=1e-3)


def test_start_knows_gradient_curvature_and_gain():
    model = nn.Linear(4, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(PROBLEM.model.weight + torch.tensor([[0.5, 0.0, -0.3, 0.1]]))
    surface = Surface(FlatModel(model), PROBLEM.loss)
    start = at_start(surface, Batches(PROBLEM.data, BATCH, torch.Generator()), chunk=11)
    x, y = (part.double() for part in PROBLEM.data)
    residual = x @ model.weight[0].detach().double() - y
    gradient, hessian = x.T @ residual / 60, x.T @ x / 60
    torch.testing.assert_close(start.gradient.double(), gradient, rtol=1e-4, atol=1e-5)
    assert start.loss == pytest.approx(float(residual.square().mean() / 2), rel=1e-5)
    assert start.loss_sd == pytest.approx(float((residual.square() / 2).std()), rel=1e-4)
    along = gradient / gradient.norm()
    assert start.slope_curvature == pytest.approx(float(along @ hessian @ along), rel=1e-2)
    best = residual - x @ (gradient * (gradient @ gradient) / (gradient @ hessian @ gradient))
    assert start.gain() == pytest.approx(float(residual.square().mean() / 2 - best.square().mean() / 2), rel=1e-2)
    assert start.gap == 0


def test_a_saddle_promises_everything():
    surface = Surface(FlatModel(Point(torch.tensor([0.1]))), population(lambda w: -w.square().sum()))
    assert math.isinf(at_start(surface, Batches(None, None, torch.Generator()), 1).gain())


def test_a_start_that_is_not_finite_is_refused():
    x, y = PROBLEM.data
    bad = (x, torch.where(torch.arange(60) < 3, torch.nan, y))
    surface = Surface(FlatModel(PROBLEM.model), PROBLEM.loss)
    with pytest.raises(ValueError, match="the loss at w\\* is not finite for 3 of 60 samples"):
        at_start(surface, Batches(bad, None, torch.Generator()), 60)


def test_other_data_are_read_beside_w_star():
    p = posterior(anchor=True)
    other = (PROBLEM.data[0][:20], PROBLEM.data[1][:20] + 1)
    reader = EvalLoss(p.surface, Batches(other, 5, torch.Generator().manual_seed(0)))
    w = moved(p)
    mean = torch.stack([reader.read(w) for _ in range(4)]).mean(0)
    exactly = p.surface.losses(torch.cat([w, p.center[None]]), other)
    torch.testing.assert_close(mean, exactly[:-1] - exactly[-1], rtol=1e-3, atol=1e-4)
    assert reader.loss == pytest.approx(float(exactly[-1]), rel=1e-5)
