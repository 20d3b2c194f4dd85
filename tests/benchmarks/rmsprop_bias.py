"""The bias of RMSProp-preconditioned SGLD on deep linear networks: ``python -m tests.benchmarks.rmsprop_bias``.

Estimates over the expectation at the same nbeta and gamma, which ``mala`` gives, at several steps; and that
expectation beside lambda, for a sampler that is scored against lambda is rewarded for a bias upwards. All steps of a
sampler are rows of one batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from mechlib.llc import Unreliable, deep_linear, estimate_llc
from mechlib.llc.chains import std_error
from mechlib.llc.flat import FlatModel
from mechlib.llc.pilot import STEP
from mechlib.llc.rmsprop import rmsprop
from mechlib.llc.samplers import gaussian, lm, sgld
from mechlib.llc.surface import Surface
from tests.benchmarks import machine
from tests.benchmarks.rivals.problems import problem

PROBLEMS = ("linear, flat", "linear, spread 1 to .03")
SHARES = (0.1, 0.5, 1.0)
"""Steps, times the largest curvature of U; for RMSProp also over its floor, at which it is plain SGLD near w*."""
CHAINS, BURNIN, DRAWS = 24, 4000, 6000
SAMPLERS: dict[str, tuple[Callable, float]] = {
    "lm": (lm, 1.0),
    "sgld": (sgld, 1.0),
    "rmsprop, floor .1": (partial(rmsprop, floor=0.1), 0.1),
    "rmsprop, floor .01": (partial(rmsprop, floor=0.01), 0.01),
    "rmsprop, floor .001": (partial(rmsprop, floor=0.001), 0.001),
    "rmsprop of the others, floor .01": (partial(rmsprop, floor=0.01, share="others"), 0.01),
}
"""Samplers, and what their step is multiplied by."""


@dataclass(frozen=True)
class Target:
    """A network at its solution with the loss of the population, whose inputs are white."""

    which: str
    nbeta: float
    gamma: float
    surface: Surface
    expectation: float
    std_error: float
    steepest: float


def half_squared(f: Callable[[Tensor], Tensor], _: None, *, images: Tensor) -> Tensor:
    """Half the squared distance of the map from that at the solution."""
    return (f(torch.eye(len(images))) - images).square().sum() / 2


def target(which: str) -> Target:
    """The problem, with its expectation by ``mala``."""
    given = problem(which)
    with torch.no_grad():
        loss = partial(half_squared, images=given.model(torch.eye(8)))
    options = {"nbeta": given.nbeta, "gamma": given.gamma, "strategy": "vmap", "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Unreliable)
        exact = estimate_llc(
            given.model, loss, None, sampler="mala", chains=64, draws=6000, burnin=3000, seed=9, **options
        )
        pilot = estimate_llc(given.model, loss, None, chains=8, draws=1, burnin=0, **options)
    surface = Surface(FlatModel(given.model), loss)
    return Target(which, given.nbeta, given.gamma, surface, exact.llc, exact.std_error, STEP["lm"] / pilot.lr)


def estimates(given: Target, name: str) -> list[tuple[float, float]]:
    """Estimate and standard error at each step, over the expectation."""
    make, unit = SAMPLERS[name]
    center = given.surface.flat.w_star
    steps = torch.tensor(SHARES).repeat_interleave(CHAINS)[:, None] * unit / given.steepest
    at_center = float(given.surface.losses(center[None], None))
    normals = gaussian(torch.Generator().manual_seed(0))

    def evaluate(w: Tensor) -> tuple[Tensor, Tensor]:
        losses, gradient = given.surface.loss_and_grad(w, None)
        return losses - at_center, gradient

    sampler = make(center, nbeta=given.nbeta, gamma=given.gamma, lr=steps)
    state = sampler.init(center.repeat(len(steps), 1), evaluate, *([] if "rmsprop" in name else [normals]))
    trace = []
    for step in range(BURNIN + DRAWS):
        found = sampler.step(state, evaluate, normals)
        state = found if "rmsprop" in name else found[0]
        if step >= BURNIN:
            trace.append(given.nbeta * state.loss)
    rows = torch.stack(trace, 1).unflatten(0, (len(SHARES), CHAINS)) / given.expectation
    return [(float(row.mean()), std_error(row)) for row in rows]


def main() -> None:
    """Print a table for every problem."""
    for which in PROBLEMS:
        given = target(which)
        llc = deep_linear((8, 8, 8, 8), 4)
        print(
            f"\n{which}: expectation {given.expectation:.3f} ± {given.std_error:.2f} at nbeta {given.nbeta:g} and "
            f"gamma {given.gamma:g}, lambda {llc.value:g} of multiplicity {llc.multiplicity}: over the expectation "
            f"{llc.value / given.expectation:.2f}\n"
        )
        print("| estimate over the expectation | " + " | ".join(f"step {share:g}" for share in SHARES) + " |")
        print("|---" * (1 + len(SHARES)) + "|")
        for name in SAMPLERS:
            cells = (f"{mean:.3f} ± {error:.3f}" for mean, error in estimates(given, name))
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    print(machine.description())
    main()
