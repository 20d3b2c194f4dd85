"""The sampling loop: steps, what is read at each, and Ctrl-C.

Nothing in it waits for the device, but for a few looks at the curvature while burning in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from mechlib.llc.pilot import STEP, curvature_met
from mechlib.llc.posterior import EvalLoss, Posterior
from mechlib.llc.samplers import SAMPLERS, Normals, Sampler, State, adapt

__all__ = ["Drawn", "Settings", "run_chains"]

EVERY = 10
"""Moments of the position are taken at every so many draws."""

LOOKS = 5
"""How often the curvature is looked for while burning in."""


@dataclass(frozen=True)
class Settings:
    """How to sample: the arguments of :func:`mechlib.llc.estimate.estimate_llc` that concern the chains."""

    sampler: str
    nbeta: float
    gamma: float
    lr: float | Literal["auto"]
    chains: int
    draws: int
    burnin: int
    anchor: bool
    seed: int
    progress: bool


@dataclass
class Drawn:
    """What the chains read, step by step."""

    losses: Float[Tensor, "step chain"]
    """The loss above w*, burn-in first; NaN for steps that were not made."""
    pull: Float[Tensor, "moment chain"]
    """(w - w*) . grad L at every ``EVERY``-th draw."""
    spread: Float[Tensor, "moment chain"]
    """|w - w*|^2 at the same draws."""
    loss_again: Float[Tensor, "moment chain"]
    """The loss above w* there, read once more on a batch of its own: its noise is not that of ``pull``."""
    accept: Float[Tensor, "step chain"]
    """The acceptance probabilities of ``mala``, NaN for other samplers."""
    w: Float[Tensor, "chain param"]
    """Where the chains are."""
    burnin: int
    lr: float | Float[Tensor, "1 1"] = math.nan
    """The step at the end."""
    steps: int = 0
    """Steps made."""
    interrupted: bool = False

    def note(self, step: int, state: State, loss: Tensor, posterior: Posterior) -> None:
        """Write down the state after a step."""
        self.losses[step] = loss
        if state.accept is not None:
            self.accept[step] = state.accept
        if step >= self.burnin and (step - self.burnin) % EVERY == 0:
            moved = state.w - posterior.center
            moment = (step - self.burnin) // EVERY
            self.pull[moment] = torch.linalg.vecdot(moved, state.grad)
            self.spread[moment] = torch.linalg.vecdot(moved, moved)
            self.loss_again[moment] = state.loss if posterior.batches.full else posterior.fresh_loss(state.w)
        self.w, self.steps = state.w, step + 1


def run_chains(
    posterior: Posterior, other: EvalLoss | None, settings: Settings, lr: float, normals: Normals, probes: Normals
) -> Drawn:
    """Burn in and draw from where the posterior's points are; or as much as there was time for before Ctrl-C.

    With ``lr="auto"`` the step goes on adapting while burning in: of ``mala`` to its acceptance, of the others down to
    the curvature met on the way, which ``probes`` look for.
    """
    drawn = _nothing_yet(posterior, settings)
    drawn.lr = posterior.w.new_full((1, 1), lr) if settings.sampler == "mala" else lr
    steps = _sampler(posterior, settings, drawn.lr)
    adapts = settings.burnin if settings.lr == "auto" else 0
    try:
        state = steps.init(posterior.w, posterior.evaluate, normals)
        for step in _bar(settings.burnin + settings.draws, settings.progress):
            state = steps.step(state, posterior.evaluate, normals)
            drawn.note(step, state, state.loss if other is None else other.read(state.w), posterior)
            if step < adapts and settings.sampler == "mala":
                adapt(drawn.lr, state, rate=0.3 if step < 0.7 * adapts else 0.05)
            elif step < adapts and (step + 1) % math.ceil(adapts / LOOKS) == 0:
                met = curvature_met(posterior, state.w, settings.nbeta, settings.gamma, probes)
                drawn.lr = min(drawn.lr, STEP[settings.sampler] / (settings.nbeta * met + settings.gamma))
                steps = _sampler(posterior, settings, drawn.lr)
    except KeyboardInterrupt:
        drawn.interrupted = True
    return drawn


def _sampler(posterior: Posterior, settings: Settings, lr: float | Tensor) -> Sampler:
    return SAMPLERS[settings.sampler](posterior.center, nbeta=settings.nbeta, gamma=settings.gamma, lr=lr)


def _nothing_yet(posterior: Posterior, settings: Settings) -> Drawn:
    def empty(rows: int) -> Tensor:
        return posterior.w.new_full((rows, settings.chains), math.nan)

    steps, moments = settings.burnin + settings.draws, math.ceil(settings.draws / EVERY)
    return Drawn(
        losses=empty(steps),
        pull=empty(moments),
        spread=empty(moments),
        loss_again=empty(moments),
        accept=empty(steps),
        w=posterior.w,
        burnin=settings.burnin,
    )


def _bar(steps: int, progress: bool) -> Iterator[int]:
    """The numbers of the steps, with a bar that moves a hundred times at most."""
    stride = max(1, steps // 100)
    with tqdm(total=steps, disable=not progress, desc="draws", leave=False) as bar:
        for step in range(steps):
            yield step
            if (step + 1) % stride == 0:
                bar.update(stride)
