"""Chains in a plane have the covariance of the posterior there, and the loss beneath them is the loss."""

import math

import matplotlib
import pytest
import torch
from torch import Tensor

from mechlib.llc import plane
from mechlib.llc.plane import principal
from tests.sampling import ERRORS

from .conftest import Point, population, regression, untouched

matplotlib.use("Agg")

pytestmark = pytest.mark.filterwarnings("ignore::mechlib.llc.Unreliable")

D, GAMMA, SAMPLES = 6, 5.0, 400
PROBLEM = regression(d=D, samples=SAMPLES)
X = PROBLEM.data[0].double() * torch.logspace(0, -1, D).double()
QUICK = {"gamma": GAMMA, "strategy": "vmap", "progress": False}


def problem():
    """Least squares whose curvatures fall by a factor of a hundred from weight to weight."""
    with torch.no_grad():
        y = X @ PROBLEM.model.weight[0].double()
    return PROBLEM.model, PROBLEM.loss, (X.float(), y.float())


HESSIAN = X.T @ X / SAMPLES
COVARIANCE = torch.linalg.inv(PROBLEM.nbeta * HESSIAN + GAMMA * torch.eye(D))


def turned(seed: int = 1) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    first, second = torch.randn(2, 1, D, generator=torch.Generator().manual_seed(seed))
    return {"weight": first}, {"weight": second}


def effective_errors(found: Tensor, right: Tensor) -> Tensor:
    """By how many standard errors second moments ``[chain, draw, 2, 2]`` are off, from the spread of the chains."""
    means = found.mean(1)
    return (means.mean(0) - right).abs() / (means.std(0) / math.sqrt(len(means)))


@pytest.mark.parametrize("batch_size", [None, 200])
def test_in_given_directions_they_have_the_closed_covariance(batch_size):
    found = plane(*problem(), directions=turned(), chains=32, draws=600, batch_size=batch_size, grid=3, **QUICK)
    basis = torch.stack([direction["weight"][0] for direction in found.directions]).double()
    torch.testing.assert_close(basis @ basis.T, torch.eye(2).double(), atol=1e-6, rtol=0)
    first = turned()[0]["weight"][0]
    torch.testing.assert_close(basis[0].float(), first / first.norm())
    assert found.coordinates.shape == (32, 600, 2) and all(math.isnan(share) for share in found.shares)
    c = found.coordinates.double()
    right = basis @ COVARIANCE @ basis.T
    assert bool((effective_errors(c[..., None] * c[..., None, :], right) < ERRORS + 0.5).all())


def test_principal_directions_are_those_of_the_least_curvature():
    found = plane(*problem(), chains=16, draws=1500, grid=3, **QUICK)
    variances, vectors = torch.linalg.eigh(COVARIANCE)
    span = vectors[:, -2:].T
    basis = torch.stack([direction["weight"][0] for direction in found.directions]).double()
    assert float(torch.linalg.svdvals(basis @ span.T).min()) > 0.95
    share = float(variances[-2:].sum() / variances.sum())
    assert abs(sum(found.shares) - share) < 0.1 and found.shares[0] > found.shares[1]
    assert found.coordinates.shape == (16, 125, 2)


def test_principal_directions_of_draws_that_are_there():
    """Few draws of many weights and many of few: those of a singular value decomposition."""
    for shape in ((2, 10, 40), (3, 50, 5)):
        draws = torch.randn(shape, generator=torch.Generator().manual_seed(2)) + 3
        rows, shares = principal(draws)
        flat = draws.flatten(0, 1).double()
        _, values, vectors = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)
        torch.testing.assert_close((rows.double() @ vectors[:2].T).abs(), torch.eye(2).double(), atol=1e-4, rtol=0)
        torch.testing.assert_close(torch.tensor(shares).double(), (values**2 / (values**2).sum())[:2])
        assert bool((rows.gather(1, rows.abs().argmax(1, keepdim=True)) > 0).all())


def test_the_loss_on_the_plane_is_that_of_the_points():
    found = plane(*problem(), directions=turned(), chains=2, draws=20, burnin=20, grid=4, lr=1e-3, **QUICK)
    a, b = torch.cartesian_prod(*found.axes).double().T
    moved = a[:, None] * found.directions[0]["weight"][0] + b[:, None] * found.directions[1]["weight"][0]
    right = torch.einsum("pi,ij,pj->p", moved.double(), HESSIAN, moved.double()) / 2
    torch.testing.assert_close(found.loss, right.view(4, 4), atol=1e-6, rtol=1e-3)
    drawn = found.coordinates.flatten(0, 1)
    for axis, values in zip(found.axes, drawn.T, strict=True):
        assert axis[0] < values.min() and axis[-1] > values.max() and axis[0] < 0 < axis[-1]


def test_masks_leave_frozen_weights_where_they_are():
    mask = torch.arange(D)[None] < 3
    found = plane(*problem(), params={"weight": mask}, directions=turned(), chains=2, draws=20, grid=3, **QUICK)
    for direction in found.directions:
        assert bool((direction["weight"][~mask] == 0).all()) and float(direction["weight"].norm()) == pytest.approx(1)
    assert found.result.n_params == 3


def test_the_model_is_left_as_it_was_and_the_chains_are_those_of_the_estimate():
    model, loss, data = problem()
    with untouched(model):
        found = plane(model, loss, data, chains=2, draws=30, burnin=10, grid=3, lr=1e-3, **QUICK)
    again = plane(model, loss, data, directions=found.directions, chains=2, draws=30, burnin=10, lr=1e-3, **QUICK)
    torch.testing.assert_close(again.result.trace, found.result.trace)
    torch.testing.assert_close(again.coordinates, found.coordinates, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"directions": ({"weights": torch.ones(1, D)}, turned()[1])}, "names 'weights', and the free parameters are"),
        ({"directions": ({"weight": torch.ones(D)}, turned()[1])}, r"shape \(6,\), the weight \(1, 6\)"),
        ({"directions": (turned()[0], turned()[0])}, "parallel"),
        ({"on_draw": print}, "on_draw is set here"),
        ({"grid": 1}, "grid"),
    ],
)
def test_what_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        plane(*problem(), **(QUICK | options))


def test_what_is_too_large_to_be_kept_says_so():
    with pytest.raises(ValueError, match="400,000,000 numbers would be kept, and 200,000,000 are the most"):
        plane(Point(torch.zeros(200_000)), population(lambda w: w.square().sum()), None, chains=2, draws=1000, **QUICK)


def test_one_weight_has_no_plane():
    with pytest.raises(ValueError, match="a plane needs two weights"):
        principal(torch.randn(2, 5, 1))


def test_the_plot_has_every_chain_and_the_loss():
    found = plane(*problem(), chains=3, draws=40, burnin=10, grid=5, lr=1e-3, **QUICK)
    ax = found.plot()
    assert len(ax.lines) == 4 and "of the variance" in ax.get_xlabel()
    matplotlib.pyplot.close("all")
