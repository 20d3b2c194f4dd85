"""Estimates in single precision against closed forms and against double precision; what rounding still does is said."""

import math

import pytest
import torch
from torch import Tensor, nn

from mechlib.llc.batches import Batches
from mechlib.llc.estimate import estimate_llc
from mechlib.llc.exact import quadratic_expectation
from mechlib.llc.flat import FlatModel
from mechlib.llc.ladder import ladder
from mechlib.llc.posterior import EvalLoss, Posterior, at_start
from mechlib.llc.precision import Doubled, in_double, precision
from mechlib.llc.surface import Surface
from mechlib.llc.verify import verify

from .conftest import Point, population

pytestmark = pytest.mark.filterwarnings("ignore::mechlib.llc.Unreliable")

SAMPLES, D = 1000, 5
QUICK = {"chains": 8, "draws": 500, "burnin": 100, "strategy": "vmap", "progress": False}
Z = 4
"""Standard errors from the exact value: by chance once in 16,000."""


class Units:
    """Least squares at its solution, the targets in units of their own and the loss with a constant."""

    def __init__(self, unit: float = 1.0, offset: float = 0.0, constant: float = 0.0, dtype=torch.float32):
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(SAMPLES, D, generator=generator, dtype=torch.float64)
        noise = torch.randn(SAMPLES, generator=generator, dtype=torch.float64)
        y = offset + unit * (x.sum(1) + noise)
        whole = torch.cat([x, torch.ones(SAMPLES, 1, dtype=torch.float64)], 1)
        solution = torch.linalg.lstsq(whole, y).solution
        self.model = nn.Linear(D, 1, dtype=dtype)
        with torch.no_grad():
            self.model.weight.copy_(solution[None, :-1])
            self.model.bias.copy_(solution[-1:])
        self.data, self.constant = (x.to(dtype), y.to(dtype)), constant
        self.eigenvalues = torch.linalg.eigvalsh(whole.T @ whole / SAMPLES)

    def loss(self, f, batch: tuple[Tensor, Tensor]) -> Tensor:
        return (f(batch[0])[:, 0] - batch[1]).square() / 2 + self.constant

    def surface(self, strategy: str = "vmap") -> Surface:
        return Surface(FlatModel(self.model), self.loss, strategy)

    def estimate(self, nbeta: float, **options):
        return estimate_llc(self.model, self.loss, self.data, nbeta=nbeta, **(QUICK | options))


def near(result, exact: float) -> bool:
    return abs(result.llc - exact) < Z * result.std_error


# The losses of the chains


def of_posterior(problem: Units, w: Tensor, strategy: str, batch_size: int | None) -> Tensor:
    surface, batches = problem.surface(strategy), Batches(problem.data, batch_size, torch.Generator().manual_seed(0))
    start = at_start(Surface(surface.flat, problem.loss, "serial"), batches, SAMPLES)
    return Posterior(surface, batches, start, chains=len(w), anchor=True).evaluate(w.to(surface.flat.dtype))[0]


def of_other_data(problem: Units, w: Tensor, strategy: str, batch_size: int | None) -> Tensor:
    batches = Batches(problem.data, batch_size, torch.Generator().manual_seed(0))
    surface = problem.surface(strategy)
    return EvalLoss(surface, batches).read(w.to(surface.flat.dtype))


@pytest.mark.parametrize("read", [of_posterior, of_other_data])
@pytest.mark.parametrize("strategy", ["vmap", "serial"])
@pytest.mark.parametrize("batch_size", [None, 100])
def test_a_constant_of_the_loss_takes_no_digits_from_a_difference(read, strategy, batch_size):
    """Losses of 10^4 are rounded by up to 2^-11, by 2^-11 / sqrt(3) in the root mean square; independently, the mean
    over n of differences of two errs by 2^-11 sqrt(2 / 3n), and a mean in single precision alone by up to 2^-11."""
    single, double = (Units(constant=1e4, dtype=dtype) for dtype in (torch.float32, torch.float64))
    noise = torch.randn(6, D + 1, generator=torch.Generator().manual_seed(1))
    w = FlatModel(single.model).w_star + 0.01 * noise
    theirs = read(double, w.double(), strategy, batch_size)
    mine = read(single, w, strategy, batch_size)
    assert mine.dtype == torch.float64
    error = 2**-11 * math.sqrt(2 / 3 / (batch_size or SAMPLES))
    assert float((mine - theirs).abs().max()) < 5 * error


def test_the_pull_of_minibatches_is_taken_off_differences_of_weights():
    """At weights of 10^4 a product with them is rounded by 10^-3, and one with w - w* is not."""
    problems = [Units(offset=1e4, dtype=dtype) for dtype in (torch.float32, torch.float64)]
    with torch.no_grad():
        problems[1].model.load_state_dict(problems[0].model.double().state_dict())
        problems[0].model.float()
    flat = FlatModel(problems[0].model)
    w = (flat.w_star + 0.01 * torch.randn(6, D + 1, generator=torch.Generator().manual_seed(1))).float()
    mine, theirs = (of_posterior(problem, w, "vmap", 100) for problem in problems)
    problems[1].data = tuple(part.double() for part in problems[0].data)
    torch.testing.assert_close(mine, theirs, rtol=0, atol=4e-4)


# Estimates


@pytest.mark.parametrize("sampler", ["lm", "sgld", "mala"])
@pytest.mark.parametrize("nbeta", [1e5, 1e7])
def test_a_large_nbeta_in_single_precision(nbeta, sampler):
    problem = Units()
    exact = quadratic_expectation(problem.eigenvalues, nbeta, 1.0)
    result = problem.estimate(nbeta, sampler=sampler, draws=3000 if sampler == "sgld" else 500)
    slack = 0.05 * exact if sampler == "sgld" else 0.0  # its own bias at steps of a tenth of the stiffest direction
    assert abs(result.llc - exact) < Z * result.std_error + slack
    assert nbeta > 1e6 or "precision" not in result.codes()  # at 1e7 rounding is half of the error: a coin


@pytest.mark.parametrize("options", [{}, {"batch_size": 100}, {"strategy": "serial", "chains": 4}], ids=str)
def test_targets_in_their_own_units(options):
    """Prices around 600, residuals of 210: the coefficient of six weights is 3."""
    problem = Units(unit=210.0, offset=600.0)
    nbeta = SAMPLES / math.log(SAMPLES)
    exact = quadratic_expectation(problem.eigenvalues, nbeta, 1.0)
    assert near(problem.estimate(nbeta, **options), exact)


@pytest.mark.parametrize("options", [{}, {"batch_size": 100}, {"sampler": "mala"}], ids=str)
def test_a_loss_with_a_constant(options):
    problem = Units(constant=1e4)
    exact = quadratic_expectation(problem.eigenvalues, 145.0, 1.0)
    assert near(problem.estimate(145.0, **options), exact)


HOPELESS = {
    "a constant": (Units(constant=1e8), 145.0, {}),
    "a constant, batches": (Units(constant=1e8), 145.0, {"batch_size": 100}),
    "a constant, read on other data": (Units(constant=1e8), 145.0, {"eval_data": Units().data}),
    "an offset": (Units(offset=1e7), 145.0, {}),
    "an nbeta": (Units(), 1e12, {}),
    "a constant in double precision": (Units(constant=1e8, dtype=torch.float64), 1e10, {}),
}


@pytest.mark.parametrize("name", HOPELESS)
def test_what_precision_cannot_give_is_said(name):
    problem, nbeta, options = HOPELESS[name]
    result = problem.estimate(nbeta, **options)
    (said,) = [warning.message for warning in result.warnings if warning.code == "precision"]
    assert "take off the loss what is constant in it" in said
    assert ("model.double()" in said) == ("double" not in name)
    check = verify(problem.model, problem.loss, problem.data, result=result, **QUICK | options)
    assert check.verdict != "agree"
    assert check.doubts == ("precision",) and "both may be wrong: precision" in str(check)


def test_a_population_loss_is_rounded_as_a_whole():
    """One number of 10^4 is rounded by 2^-11, and no other numbers even that out: nbeta times that is 5."""
    loss, options = population(lambda w: (w - 1).square().sum() / 2 + 1e4), QUICK | {"nbeta": 1e4}
    assert "precision" in estimate_llc(Point(torch.ones(3)), loss, None, **options).codes()
    right = estimate_llc(Point(torch.ones(3).double()), loss, None, **options)
    assert near(right, quadratic_expectation(torch.ones(3), 1e4, 1.0)) and not right.warnings


def test_a_mean_given_for_each_sample_is_rounded_as_a_whole_too():
    problem = Units(constant=1e4)
    loss = lambda f, b: problem.loss(f, b).mean().expand(len(b[0]))  # noqa: E731
    result = estimate_llc(problem.model, loss, problem.data, nbeta=1e4, **QUICK)
    assert "precision" in result.codes()
    assert "coupled_samples" not in result.codes()


def test_steps_that_rounding_of_the_weights_swallows_are_named():
    """At weights of 1 neighbouring numbers are 1.2e-7 apart; a step of 1e-15 moves by 3e-8."""
    loss = population(lambda w: (w - 1).square().sum() / 2)
    options = QUICK | {"nbeta": 1e7, "lr": 1e-15, "draws": 20, "burnin": 0}
    result = estimate_llc(Point(torch.ones(3)), loss, None, **options)
    assert any(warning.message.startswith("the steps are so short") for warning in result.warnings)
    assert "precision" not in estimate_llc(Point(torch.ones(3).double()), loss, None, **options).codes()


# The ladder


def climbed(problem: Units, nbetas: list[float]):
    return ladder(
        problem.model, problem.loss, problem.data, nbetas=nbetas, replicas=16, draws=100, burnin=100, progress=False
    )


def test_a_ladder_in_single_precision_is_right_where_it_says_nothing():
    """The mean of 1000 rounded losses of about a half errs by 1e-9; nbeta times that is 3e-4 of the value."""
    nbetas = [1e4, 3e4, 1e5, 3e5]
    found = climbed(Units(), nbetas)
    exact = torch.tensor([quadratic_expectation(Units().eigenvalues, nbeta, 1.0) for nbeta in nbetas])
    assert "precision" not in {warning.code for warning in found.warnings}
    assert float(((found.estimates - exact) / exact).abs().max()) < 2e-3


def test_a_ladder_says_where_rounding_is_too_coarse():
    found = climbed(Units(constant=1e6), [1e4, 1e5, 1e6, 1e7])
    (said,) = [warning.message for warning in found.warnings if warning.code == "precision"]
    assert "at nbeta = 1e+07" in said


# Every operation in double precision


class Mixed(nn.Module):
    """Constants, buffers, masks, casts and writing in place, all in single precision, and a trunk in half."""

    def __init__(self):
        super().__init__()
        self.trunk, self.head = nn.Linear(4, 8).bfloat16(), nn.Linear(8, 3)
        self.register_buffer("shift", torch.full((8,), 0.1))
        self.register_buffer("calls", torch.zeros(()))
        self.trunk.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        hidden = self.trunk(x.bfloat16()).float() + self.shift
        out = torch.zeros(len(x), 3)
        out[:, :2] = self.head(hidden)[:, :2]
        return out.masked_fill(out > 10, torch.finfo(torch.float32).max).to(torch.float32)


def test_a_loss_is_had_in_double_precision_as_it_stands():
    torch.manual_seed(0)
    model, x, y = Mixed(), torch.randn(20, 4), torch.randn(20, 3)
    surface = Surface(FlatModel(model), lambda f, b: (f(b) - y).square().sum(1), "serial")
    found = in_double(surface, surface.flat.w_star, x)
    hidden = torch.nn.functional.linear(x.double(), model.trunk.weight.double(), model.trunk.bias.double())
    out = torch.nn.functional.linear(
        hidden + torch.tensor(0.1).double(), *(p.double() for p in model.head.parameters())
    )
    out = torch.cat([out[:, :2], torch.zeros(20, 1)], 1)
    torch.testing.assert_close(found, (out - y.double()).square().sum(1).detach(), rtol=1e-13, atol=0)
    assert model.calls == 0 and model.head.weight.dtype == torch.float32


def test_what_cannot_be_had_in_double_precision_is_reckoned():
    def loss(f, batch: tuple[Tensor, Tensor]) -> Tensor:
        if batch[0].mul(1).dtype != torch.float32:
            raise TypeError("single precision alone")
        return problem.loss(f, batch)

    problem = Units(constant=1e4)
    surface = Surface(FlatModel(problem.model), loss, "serial")
    assert in_double(surface, surface.flat.w_star, problem.data) is None
    w = surface.flat.w_star.repeat(4, 1)
    found = precision(surface, w, 1e-3, problem.data, SAMPLES)
    assert found.rounding == pytest.approx(1e4 * 2**-24 / math.sqrt(SAMPLES), rel=1e-3)
    assert precision(surface, w * math.nan, 1e-3, problem.data, SAMPLES).rounding == 0


def test_the_error_of_many_samples_is_reckoned_from_some():
    """Independent errors are smaller by the root of the number; common ones stay."""
    problem = Units(constant=1e4)
    surface = Surface(FlatModel(problem.model), problem.loss, "serial")
    w = surface.flat.w_star + 0.01 * torch.randn(8, D + 1, generator=torch.Generator().manual_seed(0))
    some = tuple(part[:400] for part in problem.data)
    few, many = (precision(surface, w, 1e-3, some, samples).rounding for samples in (400 + 1, 40_000))
    assert 3 < few / many < 30


def test_the_mode_leaves_whole_numbers_and_double_precision_alone():
    with Doubled():
        assert torch.arange(3).dtype == torch.int64
        assert torch.ones(2).dtype == torch.ones(2, dtype=torch.float16).dtype == torch.float64
