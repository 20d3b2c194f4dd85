"""Every planted failure raises its warning; healthy runs raise none."""

import math
import re
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mechlib.llc.diagnostics import CODES, mode_layers
from mechlib.llc.estimate import estimate_llc
from mechlib.llc.result import LLCResult, Unreliable

from .conftest import Point, Regression, population, regression

PROBLEM = regression(d=6, samples=400)
STEEP = PROBLEM.nbeta * float(PROBLEM.eigenvalues[-1]) + 1
OPTIONS = {"chains": 8, "draws": 500, "burnin": 100, "strategy": "vmap", "progress": False}


def estimated(
    model: nn.Module = PROBLEM.model, loss: Callable = PROBLEM.loss, data=PROBLEM.data, **options
) -> LLCResult:
    """The result, having checked that every one of its warnings was also a Python warning and has a meaning."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", Unreliable)
        result = estimate_llc(model, loss, data, **(OPTIONS | options))
    assert [str(w.message) for w in said if w.category is Unreliable] == [str(w) for w in result.warnings]
    assert result.codes() <= CODES.keys()
    return result


def message(result: LLCResult, code: str) -> str:
    (found,) = [warning.message for warning in result.warnings if warning.code == code]
    return found


# Planted failures


three_seeds = pytest.mark.parametrize("seed", [0, 1, 2])


@three_seeds
@pytest.mark.parametrize(("sampler", "times"), [("lm", 3.5), ("sgld", 1.0)])
def test_a_step_too_large(sampler, times, seed):
    result = estimated(lr=times / STEEP, sampler=sampler, seed=seed)
    said = re.search(r"lr x largest curvature of U is ([\d.]+)", message(result, "step_too_large"))
    assert said and float(said[1]) == pytest.approx(times, rel=0.05)


def test_noisy_gradients_are_a_step_too_large():
    result = estimated(lr=0.3 / STEEP, sampler="sgld", batch_size=4, anchor=False)
    assert result.virial > 1.1 and "larger batches" in message(result, "step_too_large")


def test_chains_that_fly_apart_are_kept_and_counted():
    result = estimated(lr=5 / STEEP)
    assert result.n_diverged == 8 and not abs(result.llc) < 1e6
    assert "8 of 8 chains diverged (kept in llc" in message(result, "diverged")


def test_one_lost_chain_is_neither_dropped_nor_hides_the_others():
    def cliff(w: Tensor) -> Tensor:
        return torch.where(w[0] > 2.2, torch.nan, w.square().sum() / 2)

    result = estimated(
        Point(torch.zeros(1)), population(cliff), None, nbeta=1.0, gamma=0.01, lr=0.5, chains=20, draws=150, burnin=0
    )
    assert 0 < result.n_diverged < 20
    assert int(result.per_chain.isnan().sum()) == result.n_diverged
    assert math.isnan(result.llc) and math.isnan(result.ess)
    healthy = float(result.per_chain[~result.per_chain.isnan()].mean())
    assert f"the mean of the others is {healthy:.4g}" in message(result, "diverged")


@three_seeds
def test_too_few_draws(seed):
    assert "120 draws are worth" in message(estimated(draws=15, lr=0.2 / STEEP, seed=seed), "few_draws")


def test_a_burn_in_that_is_too_short():
    result = estimated(burnin=0, lr=0.005 / STEEP, draws=400, chains=32)
    assert {"drifting", "not_equilibrated"} <= result.codes()
    assert "burnin of 0 is too short" in message(result, "drifting")


def test_chains_in_different_places():
    def two_wells(w: Tensor) -> Tensor:
        return ((w.square() - 1).square() + 0.1 * w.pow(3)).sum()

    result = estimated(Point(torch.zeros(1)), population(two_wells), None, nbeta=100.0)
    assert "R-hat is" in message(result, "chains_disagree")


def test_one_chain():
    result = estimated(chains=1, draws=3000, lr=1 / STEEP)
    assert result.codes() == {"one_chain"} and math.isnan(result.rhat) and result.std_error > 0


def test_hardly_any_proposal_accepted():
    assert "mala accepts" in message(estimated(sampler="mala", lr=6 / STEEP), "low_acceptance")


@three_seeds
def test_a_point_that_is_no_minimum(seed):
    model = nn.Linear(6, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(PROBLEM.model.weight + 0.2)
    result = estimated(model, lr=1 / STEEP, seed=seed)
    assert f"has norm {result.grad_norm:.3g}" in message(result, "not_a_minimum")


def test_a_saddle_gives_a_negative_estimate():
    result = estimated(Point(torch.zeros(1)), population(lambda w: (w.pow(4) - w.square()).sum()), None, nbeta=50.0)
    assert result.llc < 0 and "found places with less loss" in message(result, "negative")


@three_seeds
def test_a_baseline_of_one_minibatch(seed):
    result = estimated(anchor=False, batch_size=20, lr=0.2 / STEEP, seed=seed)
    assert "read on one minibatch of 20" in message(result, "noisy_baseline")
    whole = estimated(anchor=False, lr=0.2 / STEEP, seed=seed)
    assert "noisy_baseline" not in whole.codes(), "all the data are no minibatch"


@three_seeds
@pytest.mark.parametrize("batch_size", [None, 100])
def test_a_prior_that_dominates(batch_size, seed):
    result = estimated(gamma=30 * STEEP, batch_size=batch_size, seed=seed)
    assert "doubling gamma" in message(result, "gamma_dominates")
    assert batch_size or result.gamma_sensitivity == pytest.approx(-1, abs=0.15)


class Dropping(nn.Module):
    """A network with dropout that is a module, or one that is always on."""

    def __init__(self, always: bool):
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 1)
        self.drop = (lambda x: F.dropout(x, 0.2)) if always else nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.drop(torch.tanh(self.first(x))))


@three_seeds
def test_dropout_left_on(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Dropping(always=True)
    said = message(estimated(model, draws=50, seed=seed), "random_loss")
    assert "two evaluations at w* on the same samples differ" in said


def test_a_model_in_training_mode_is_run_in_eval_mode_and_says_so():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Dropping(always=False)
    result = estimated(model.train(), draws=50)
    assert "(Dropout 'drop')" in message(result, "eval_mode") and "random_loss" not in result.codes()
    assert "eval_mode" not in estimated(model.eval(), draws=50).codes()


def test_layers_that_act_otherwise_in_training():
    model = nn.ModuleDict(
        {
            "a": nn.Dropout(0.1),
            "off": nn.Dropout(0.0),
            "b": nn.BatchNorm1d(2),
            "c": nn.LSTM(2, 2, num_layers=2, dropout=0.3),
            "plain": nn.LayerNorm(2),
        }
    )
    assert mode_layers(model) == ["Dropout 'a'", "BatchNorm1d 'b'", "LSTM 'c'"]
    assert mode_layers(model.eval()) == []


# Healthy runs


class Tanh(nn.Module):
    """A small network; its data are its own answers, so that its weights are a minimum."""

    def __init__(self, seed: int):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 1)
            self.x = torch.randn(300, 2)
        with torch.no_grad():
            self.y = self(self.x)[:, 0]

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(x)))


def crossing(*exponents: int) -> Callable:
    powers = 2 * torch.tensor(exponents)
    return population(lambda w: (w**powers).prod())


def point(d: int) -> nn.Module:
    return Point(torch.zeros(d))


def squares(d: int, seed: int = 0, **options) -> tuple:
    problem = regression(d=d, samples=500, seed=seed)
    return problem.model, problem.loss, problem.data, options


def network(seed: int, **options) -> tuple:
    model = Tanh(seed)
    return model, Regression.loss, (model.x, model.y), {"gamma": 5.0, "burnin": 1500, "draws": 2000} | options


HEALTHY = {
    "d 3": squares(3),
    "d 8": squares(8, seed=1),
    "d 20": squares(20, seed=2),
    "d 3, batches": squares(3, batch_size=50),
    "d 8, batches": squares(8, batch_size=50, seed=3),
    "d 20, batches": squares(20, batch_size=100, seed=4),
    "small given step": squares(8, lr=0.3 / STEEP, draws=1500),
    "serial": squares(3, strategy="serial", chains=4),
    "two chains": squares(3, chains=2, draws=1500),
    "sgld": squares(3, sampler="sgld", draws=3000, burnin=300),
    "sgld, batches": squares(3, sampler="sgld", draws=3000, burnin=300, batch_size=100),
    "mala": squares(3, sampler="mala", draws=1000),
    "mala, d 10": squares(10, sampler="mala", draws=1500, burnin=300),
    "three of eight weights": squares(8, params={"weight": torch.arange(8)[None] < 3}),
    "read on a half": (*squares(8)[:3], {"eval_data": tuple(part[:250] for part in squares(8)[2])}),
    "w^2": (point(1), crossing(1), None, {"nbeta": 145.0}),
    "w^4": (point(1), crossing(2), None, {"nbeta": 145.0, "chains": 64, "draws": 3000, "burnin": 1500}),
    "u^2 v^2": (
        point(2),
        crossing(1, 1),
        None,
        {"nbeta": 145.0, "chains": 400, "sampler": "mala", "draws": 1500, "burnin": 1500},
    ),
    "network": network(0),
    "network, batches": network(1, batch_size=60),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_is_not_warned_of(name):
    model, loss, data, options = HEALTHY[name]
    assert [str(warning) for warning in estimated(model, loss, data, **options).warnings] == []


def test_there_are_twenty_of_them():
    assert len(HEALTHY) == 20
