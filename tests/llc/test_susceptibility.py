"""Covariances over draws against those of a normal law, and what they say of a component on a quadratic."""

import math

import pytest
import torch
from torch import Tensor

from mechlib.llc.estimate import estimate_llc
from mechlib.llc.susceptibility import covariance, losses_of, susceptibilities
from tests.sampling import ERRORS

from .conftest import population, regression

D, SAMPLES, GAMMA = 4, 60, 1.0
PROBLEM = regression(d=D, samples=SAMPLES)
X, Y = (part.double() for part in PROBLEM.data)
HESSIAN = X.T @ X / SAMPLES
RESIDUALS = Y - X @ PROBLEM.model.weight[0].detach().double()
QUICK = {"gamma": GAMMA, "strategy": "vmap", "progress": False}


def spread(free: list[int]) -> Tensor:
    """The covariance of the posterior with these weights free, zero elsewhere."""
    inner = HESSIAN[free][:, free]
    found = torch.zeros(D, D, dtype=torch.float64)
    index = torch.tensor(free)
    found[index[:, None], index] = torch.linalg.inv(PROBLEM.nbeta * inner + GAMMA * torch.eye(len(free)))
    return found


def exact(free: list[int]) -> Tensor:
    """``-Cov(L, l_i - L)``: of u'Hu / 2 with (x_i'u)^2 / 2, whose linear parts have no share."""
    s = spread(free)
    each = torch.einsum("ia,ab,ib->i", X, s @ HESSIAN @ s, X) / 2
    return each.mean() - each


def mask(free: list[int]) -> dict[str, Tensor]:
    return {"weight": (torch.arange(D)[None, :, None] == torch.tensor(free)).any(-1)}


# Covariances


def paths(seeds: int, chains: int, draws: int) -> Tensor:
    """Draws of the posterior that remember the one before, ``[seed, chain, draw, weight]``, from its law on."""
    root = torch.linalg.cholesky(spread([*range(D)]))
    noise = torch.randn(draws, seeds, chains, D, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    memory, u, found = 0.8, noise[0], []
    for fresh in noise:
        u = memory * u + math.sqrt(1 - memory**2) * fresh
        found.append(u @ root.T)
    return torch.stack(found, 2)


def test_over_forty_seeds_two_errors_are_left_as_often_as_chance_has_it():
    """Cov(L, l_i) and Cov(l_i, l_j) of four samples; about one in twenty of 40 times 14 may be off by two errors."""
    s = spread([*range(D)])
    x, r = X[:4], RESIDUALS[:4]
    inner = x @ s @ x.T
    of_loss = torch.einsum("ia,ab,ib->i", x, s @ HESSIAN @ s, x) / 2
    of_each_other = inner.square() / 2 + r[:, None] * r * inner
    right = torch.cat([of_loss[None], of_each_other])
    outside, off = 0, []
    for u in paths(40, 8, 400):
        each = (u @ x.T).square() / 2 - (u @ x.T) * r
        loss = torch.einsum("cda,ab,cdb->cd", u, HESSIAN, u) / 2
        found = covariance(torch.cat([loss[..., None], each], -1), each)
        z = (found.value - right) / found.std_error
        outside += int((z.abs() > 2).sum())
        off.append(z)
    z = torch.stack(off)
    share = outside / z.numel()
    assert 0.01 < share < 0.12, f"{share:.0%} of {z.numel()} outside two errors"
    assert float(z.mean((1, 2)).mean().abs()) < 0.5 and 0.7 < float(z.std(0).mean()) < 1.3


def test_of_white_noise_it_is_the_sample_covariance():
    a, b = torch.randn(2, 4, 200, 3, generator=torch.Generator().manual_seed(1))
    found = covariance(a, b)
    together = torch.cov(torch.cat([a, b], -1).flatten(0, 1).T.double())[:3, 3:]
    torch.testing.assert_close(found.value, together)
    errors = found.std_error * math.sqrt(800)  # of white noise 1; one of nine exceeds 1.6 at one seed in 25
    assert float(errors.min()) > 0.7 and float(errors.median()) < 1.4
    assert covariance(a[..., 0], b[..., 0]).value.shape == () and covariance(a, b[..., 0]).value.shape == (3,)


@pytest.mark.parametrize("shapes", [((2, 10), (3, 10)), ((2, 3), (2, 3)), ((2, 10, 4), (2, 11))])
def test_what_is_not_of_the_same_draws(shapes):
    with pytest.raises(ValueError, match="of the same chains and draws, 4 at least, not of shapes"):
        covariance(*(torch.randn(shape) for shape in shapes))


# Susceptibilities


@pytest.mark.filterwarnings("ignore::mechlib.llc.Unreliable")
@pytest.mark.parametrize(("batch_size", "lr"), [(None, 0.04), (30, 0.02)])
def test_on_a_quadratic_they_are_the_closed_form(batch_size, lr):
    components = {"first": mask([0, 1]), "all": None}
    found = susceptibilities(
        PROBLEM.model, PROBLEM.loss, PROBLEM.data, components, samples=tuple(part[:12] for part in PROBLEM.data),
        chains=8, draws=800, burnin=100, batch_size=batch_size, lr=lr, **QUICK,
    )  # fmt: skip
    right = torch.stack([exact([0, 1])[:12], exact([*range(D)])[:12]])
    assert found.components == ("first", "all") and found.value.shape == found.std_error.shape == (2, 12)
    assert bool(((found.value - right).abs() < ERRORS * found.std_error + 0.02 * right.abs().max()).all())
    assert float((found.std_error / right.abs().amax(1, keepdim=True)).mean()) < 0.25
    assert found.results["first"].n_params == 2 and "first: " in str(found)


@pytest.mark.filterwarnings("ignore::mechlib.llc.Unreliable")
def test_over_forty_seeds_chains_leave_two_errors_as_often_as_chance_has_it():
    """Two components and four samples, chains begun anew by each seed; the samples of one seed share their chains."""
    components = {"first": mask([0, 1]), "all": None}
    right = torch.stack([exact([0, 1])[:4], exact([*range(D)])[:4]])
    off = []
    for seed in range(40):
        found = susceptibilities(
            PROBLEM.model, PROBLEM.loss, PROBLEM.data, components, samples=tuple(part[:4] for part in PROBLEM.data),
            chains=4, draws=150, burnin=40, lr=0.04, seed=seed, **QUICK,
        )  # fmt: skip
        off.append((found.value - right) / found.std_error)
    z = torch.stack(off)
    share = float((z.abs() > 2).double().mean())
    assert share < 0.12, f"{share:.0%} of {z.numel()} outside two errors"
    assert float(z.mean().abs()) < 0.5 and 0.7 < float(z.std(0).mean()) < 1.3


@pytest.mark.filterwarnings("ignore::mechlib.llc.Unreliable")
def test_the_data_themselves_are_in_balance():
    """The mean of the losses of all samples is the loss: the mean of a row is zero, but for rounding."""
    found = susceptibilities(
        PROBLEM.model, PROBLEM.loss, PROBLEM.data, {"all": None}, chains=3, draws=30, burnin=10, lr=0.02, **QUICK
    )
    assert abs(float(found.value.mean())) < 1e-3 * float(found.value.abs().mean())


@pytest.mark.filterwarnings("ignore::mechlib.llc.Unreliable")
def test_losses_are_read_at_the_weights_of_the_draw():
    read = losses_of(PROBLEM.loss, PROBLEM.data)
    result = estimate_llc(
        PROBLEM.model, PROBLEM.loss, PROBLEM.data, on_draw=read, chains=2, draws=5, burnin=0, lr=0.02, **QUICK
    )
    assert result.observed.shape == (2, 5, SAMPLES)
    center = float(RESIDUALS.square().mean() / 2)
    rise = PROBLEM.nbeta * (result.observed.mean(2) - center)
    torch.testing.assert_close(rise.float(), result.trace, atol=1e-4, rtol=1e-3)


def test_what_is_refused():
    given = (PROBLEM.model, PROBLEM.loss, PROBLEM.data)
    with pytest.raises(ValueError, match="of one component at least"):
        susceptibilities(*given, {})
    with pytest.raises(ValueError, match="params of the chains is set here"):
        susceptibilities(*given, {"all": None}, params="weight")
    with pytest.raises(ValueError, match="losses of samples need data"):
        susceptibilities(PROBLEM.model, population(lambda w: w), None, {"all": None})
