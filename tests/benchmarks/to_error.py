"""How many draws an estimate of the learning coefficient needs for a given error: ``tests.benchmarks.llc`` asks.

The error is against the expectation at the same nbeta and gamma, whatever the learning coefficient is. It is that of
the mean over 16 chains of the draws after a burn-in, chains starting at w*, at the best step and the best share of
burn-in: for draws up to n, the bias is the mean over all chains of the run less the expectation, and the variance that
of the means of chains. SGLD, the sampler of the rivals, reads the loss on all the data here and not on minibatches; and
noise of the minibatches that all chains share, which an anchor takes away, is not counted: both in the rivals' favour.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float64
from torch import Tensor

from mechlib.llc import LLCResult, Unreliable, estimate_llc, quadratic_expectation
from mechlib.llc.pilot import STEP
from tests.benchmarks.rivals.problems import Problem, problem

CHAINS = 16
ERROR = 0.02
"""The root mean square error that is asked for, as a share of the expectation."""
RUN = 64
"""Chains of the run that measures bias and variance."""
STEPS = {"sgld": (0.4, 0.2, 0.1, 0.05, 0.025), "lm": (2.0, 1.4, 1.0, 0.7, 0.5), "jacobi": (1.0,)}
"""Steps times the largest curvature of U that are tried; ``jacobi`` has that of ``lr="auto"``."""
LONGEST = {"sgld": 8000, "lm": 3000, "jacobi": 3000}
"""The most draws."""
LEARNING = 200
"""Steps of ``jacobi`` in which it learns its preconditioner."""
SHARES = (0.1, 0.2, 0.35, 0.5)
"""Burn-in as a share of all draws."""


@dataclass(frozen=True)
class Needed:
    """What a sampler needs."""

    draws: float
    """Of 16 chains, burn-in included; infinite if it takes more than was run."""
    step: float
    """The best step, times the largest curvature of U."""
    bias: float
    """What was left of the bias at the end of the run at that step, as a share of the expectation."""


@cache
def expectation(which: str) -> tuple[float, float]:
    """That of a problem with its standard error: exact for least squares, else by ``mala`` on all the data."""
    given = problem(which)
    if which.startswith("quadratic"):
        return quadratic_expectation((_precision(given) - given.gamma) / given.nbeta, given.nbeta, given.gamma), 0.0
    found = _run(given, sampler="mala", chains=32, draws=6000, burnin=3000, seed=9)
    return found.llc, found.std_error


@cache
def needed(which: str, sampler: str, error: float = ERROR) -> Needed:
    """The fewest draws, over steps and shares of burn-in."""
    given, right = problem(which), expectation(which)[0]
    steepest = _steepest(which)
    found = []
    for step in STEPS[sampler]:
        losses, first = _losses(given, sampler, step, steepest)
        draws, left = _fewest(losses, right, error, first)
        found.append(Needed(draws, step, left))
    return min(found, key=lambda one: one.draws)


def _losses(given: Problem, sampler: str, step: float, steepest: float) -> tuple[Float64[Tensor, "chain draw"], int]:
    """``nbeta (L - L*)`` from the first step on, and how many steps cannot count."""
    how: dict[str, object] = {"sampler": "lm", "lr": step / steepest, "burnin": 0}
    if sampler == "sgld":
        how |= {"sampler": "sgld", "anchor": False, "eval_data": (given.inputs, given.targets)}
    elif sampler == "jacobi":
        how = {"sampler": "lm", "precondition": "jacobi", "burnin": LEARNING}
    found = _run(given, **how, chains=RUN, draws=LONGEST[sampler], batch_size=given.batch_size, seed=3)
    return torch.cat([found.burnin_trace, found.trace], 1).double(), found.burnin_trace.shape[1]


def _fewest(losses: Float64[Tensor, "chain draw"], right: float, error: float, first: int) -> tuple[float, float]:
    """The fewest draws from which on the error stays small enough, and the relative bias of the last half of all.

    An estimate that passes through the right value on its way to a wrong one has not reached it.
    """
    total, chains = losses.shape[1], len(losses)
    sums = torch.nn.functional.pad(losses.cumsum(1), (1, 0))
    numbers = torch.logspace(math.log10(20), math.log10(total), 200).long().unique()
    best = math.inf
    for share in SHARES:
        starts = (share * numbers).round().long().clamp_min(first)
        ends, starts = numbers[starts < numbers], starts[starts < numbers]
        means = (sums[:, ends] - sums[:, starts]) / (ends - starts)
        variance = means.var(0)
        bias = ((means.mean(0) - right).square() - variance / chains).clamp_min(0)
        large = (bias + variance / CHAINS >= (error * right) ** 2).nonzero()
        after = int(large[-1]) + 1 if len(large) else 0
        if after < len(ends):
            best = min(best, int(ends[after]))
    return best, float(losses[:, total // 2 :].mean()) / right - 1


def _run(given: Problem, **options: object) -> LLCResult:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Unreliable)
        return estimate_llc(
            given.model, lambda f, batch: given.per_sample(f(batch[0]), batch[1]), (given.inputs, given.targets),
            gamma=given.gamma, nbeta=given.nbeta, strategy="vmap", progress=False, **options,
        )  # fmt: skip


def _precision(given: Problem) -> Tensor:
    """The curvatures of U, for least squares."""
    x = given.inputs.double()
    return given.nbeta * torch.linalg.eigvalsh(x.T @ x / len(x)) + given.gamma


@cache
def _steepest(which: str) -> float:
    """The largest curvature of U that a pilot meets."""
    found = _run(problem(which), chains=8, draws=1, burnin=0, lr="auto")
    return STEP["lm"] / found.lr
