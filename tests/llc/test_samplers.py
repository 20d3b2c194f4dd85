"""Each sampler against the stationary law that its recursion has on a quadratic, worked out by hand."""

import math
from functools import partial

import pytest
import torch

from mechlib.llc.samplers import ACCEPTANCE, SAMPLERS, adapt, gaussian, lm, mala, sgld
from tests.sampling import ERRORS, mean_is

STIFFNESS = torch.tensor([0.5, 2.0, 8.0], dtype=torch.float64)
CENTER = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
NBETA, GAMMA = 3.0, 0.7
CURVATURE = NBETA * STIFFNESS + GAMMA
CHAINS = 4000


def quadratic(w):
    moved = w - CENTER
    return (STIFFNESS * moved.square()).sum(1) / 2, STIFFNESS * moved


def spread(sampler, *, chains=CHAINS, steps=400, seed=0) -> torch.Tensor:
    """The mean square distance from the centre in each direction at the end, over chains."""
    normals = gaussian(torch.Generator().manual_seed(seed))
    state = sampler.init(CENTER.repeat(chains, 1), quadratic, normals)
    for _ in range(steps):
        state, _ = sampler.step(state, quadratic, normals)
    torch.testing.assert_close((state.loss, state.grad), quadratic(state.w))
    return (state.w - CENTER).square().mean(0)


def sure(variance: torch.Tensor) -> torch.Tensor:
    """The margin of the variance of normals: that three of them are within it has a chance of 1 - 2e-5."""
    return ERRORS * variance * math.sqrt(2 / CHAINS)


LR = 1.5 / float(CURVATURE.max())


def test_sgld_is_too_wide_by_its_known_factor():
    expected = 1 / (CURVATURE * (1 - LR * CURVATURE / 4))
    assert bool(((spread(sgld(CENTER, nbeta=NBETA, gamma=GAMMA, lr=LR)) - expected).abs() < sure(expected)).all())
    assert float(expected[-1] * CURVATURE[-1]) == pytest.approx(1.6)


@pytest.mark.parametrize("name", ["lm", "mala"])
def test_lm_and_mala_have_the_variance_of_the_posterior(name):
    expected = 1 / CURVATURE
    sampler = SAMPLERS[name](CENTER, nbeta=NBETA, gamma=GAMMA, lr=LR)
    assert bool(((spread(sampler) - expected).abs() < sure(expected)).all())


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_numbers_per_chain_do_what_one_number_does(name):
    chains = 5
    column = torch.ones(chains, 1, dtype=torch.float64)
    one = SAMPLERS[name](CENTER, nbeta=NBETA, gamma=GAMMA, lr=LR)
    each = SAMPLERS[name](CENTER, nbeta=NBETA * column, gamma=GAMMA, lr=LR * column)
    torch.testing.assert_close(spread(one, chains=chains), spread(each, chains=chains))


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_a_step_leaves_its_state_and_says_the_same_again(name):
    sampler = SAMPLERS[name](CENTER, nbeta=NBETA, gamma=GAMMA, lr=LR)
    start = sampler.init(CENTER.repeat(5, 1), quadratic, gaussian(torch.Generator().manual_seed(0)))
    kept = [part.clone() for part in start]
    (once, info), (again, info_again) = (
        sampler.step(start, quadratic, gaussian(torch.Generator().manual_seed(1)), out=out)
        for out in (None, start._replace(w=torch.empty_like(start.w), noise=torch.empty_like(start.w)))
    )
    torch.testing.assert_close([*start], kept, rtol=0, atol=0)
    torch.testing.assert_close([*once, *info], [*again, *info_again], rtol=0, atol=0)
    over, _ = sampler.step(start, quadratic, gaussian(torch.Generator().manual_seed(1)), out=start)
    assert over.w is start.w and torch.equal(over.w, once.w) and not torch.equal(over.w, kept[0])


def test_chains_at_several_temperatures_have_several_widths():
    nbeta = torch.tensor([[1.0], [100.0]], dtype=torch.float64).repeat(CHAINS, 1)
    normals = gaussian(torch.Generator().manual_seed(0))
    sampler = lm(CENTER, nbeta=nbeta, gamma=GAMMA, lr=0.5 / (8 * nbeta + GAMMA))
    state = sampler.init(CENTER.repeat(len(nbeta), 1), quadratic, normals)
    for _ in range(300):
        state, _ = sampler.step(state, quadratic, normals)
    stiff = (state.w - CENTER)[:, 2].square().view(CHAINS, 2).mean(0)
    expected = 1 / (8 * torch.tensor([1.0, 100.0], dtype=torch.float64) + GAMMA)
    assert bool(((stiff - expected).abs() < sure(expected)).all())


def test_mala_is_exact_where_the_loss_is_no_quadratic():
    """E |w|^4 under exp(-w^4) is 1/4, whatever the step."""
    normals = gaussian(torch.Generator().manual_seed(0))
    sampler = mala(torch.zeros(1, dtype=torch.float64), nbeta=1.0, gamma=0.0, lr=0.3)
    state = sampler.init(torch.zeros(CHAINS, 1, dtype=torch.float64), quartic, normals)
    total = torch.zeros(CHAINS, dtype=torch.float64)
    for step in range(1000):
        state, _ = sampler.step(state, quartic, normals)
        total += state.loss if step >= 100 else 0
    mean_is(total / 900, 0.25, within=0.01)


def quartic(w):
    return w[:, 0].pow(4), 4 * w.pow(3)


def test_mala_rejects_where_the_loss_is_not_finite():
    def walled(w):
        loss, grad = quadratic(w)
        return torch.where(w[:, 0] > 1.2, torch.nan, loss), grad

    normals = gaussian(torch.Generator().manual_seed(0))
    sampler = mala(CENTER, nbeta=NBETA, gamma=GAMMA, lr=LR)
    state = sampler.init(CENTER.repeat(50, 1), walled, normals)
    for _ in range(100):
        state, _ = sampler.step(state, walled, normals)
    assert bool(torch.isfinite(state.loss).all()) and float(state.w[:, 0].max()) <= 1.2


def test_adaptation_reaches_its_acceptance():
    lr = torch.full((1, 1), 1e-4, dtype=torch.float64)
    normals = gaussian(torch.Generator().manual_seed(0))
    target = partial(mala, CENTER, nbeta=NBETA, gamma=GAMMA)
    state = target(lr=lr).init(CENTER.repeat(500, 1), quadratic, normals)
    accepted = torch.zeros(600)
    for step in range(600):
        state, info = target(lr=lr).step(state, quadratic, normals)
        lr = adapt(lr, info, rate=0.3)
        accepted[step] = info.accept.mean()
    # The steps' deviations add up to what log lr has moved by, over the rate: there is hardly any noise in their mean.
    assert float(accepted[500:].mean()) == pytest.approx(ACCEPTANCE, abs=0.01) and float(lr) > 1e-3
