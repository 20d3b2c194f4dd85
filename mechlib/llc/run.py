"""The sampling loop: the steps of a sampler, what is read at each, and Ctrl-C.

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

from mechlib.llc.arguments import at_least_0, positive, seed_number, whole
from mechlib.llc.observe import Observed, OnDraw, Reader, Series, Watch, together
from mechlib.llc.pilot import STEP, curvature_met
from mechlib.llc.posterior import EvalLoss, Posterior
from mechlib.llc.samplers import SAMPLERS, Info, Normals, Sampler, State, adapt

__all__ = ["Drawn", "Settings", "run_chains"]

EVERY = 10
"""Moments of the position are taken at every so many draws."""

LOOKS = 5
"""How often the curvature is looked for while burning in."""


@dataclass(frozen=True)
class Settings:
    """How to sample: the arguments of :func:`mechlib.llc.estimate.estimate_llc` that concern the chains.

    Raises:
        TypeError, ValueError: if one of them is out of its range.
    """

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
    on_draw: OnDraw | None = None

    def __post_init__(self) -> None:
        checked = {
            "nbeta": positive("nbeta", self.nbeta),
            "gamma": at_least_0("gamma", self.gamma),
            "lr": self.lr if self.adaptive else positive("lr", self.lr, "a positive number or 'auto'"),
            "chains": whole("chains", self.chains, 1),
            "draws": whole("draws", self.draws, 1),
            "burnin": whole("burnin", self.burnin, 0),
            "seed": seed_number(self.seed),
        }
        if not callable(self.on_draw) and self.on_draw is not None:
            raise TypeError(f"on_draw is a function of a mechlib.llc.Draw, not {self.on_draw!r}")
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def adaptive(self) -> bool:
        """Whether the step is ``"auto"``."""
        return isinstance(self.lr, str) and self.lr == "auto"

    @property
    def steps(self) -> int:
        """Of each chain, burn-in and draws."""
        return self.burnin + self.draws


@dataclass(frozen=True)
class Drawn:
    """What the chains read, step by step; of a run cut short, until then."""

    losses: Float[Tensor, "step chain"]
    """The loss above w*, burn-in first."""
    pull: Float[Tensor, "moment chain"]
    """(w - w*) . grad L at every ``EVERY``-th draw."""
    spread: Float[Tensor, "moment chain"]
    """|w - w*|^2 at the same draws."""
    loss_again: Float[Tensor, "moment chain"]
    """The loss above w* there, read once more on a batch of its own: its noise is not that of ``pull``."""
    accept: Float[Tensor, "step chain"]
    """The acceptance probabilities of ``mala``, NaN for other samplers."""
    observed: Observed
    """What ``on_draw`` returned."""
    w: Float[Tensor, "chain param"]
    """Where the chains are."""
    lr: float | Float[Tensor, "1 1"]
    """The step at the end."""
    steps: int
    """Steps made."""
    interrupted: bool


def run_chains(
    posterior: Posterior, other: EvalLoss | None, settings: Settings, lr: float, normals: Normals, probes: Normals
) -> Drawn:
    """Burn in and draw from where the posterior's points are; or as much as there was time for before Ctrl-C.

    With ``lr="auto"`` the step goes on adapting while burning in: of ``mala`` to its acceptance, of the others down to
    the curvature met on the way, which ``probes`` look for.
    """
    series = _series(posterior, other, settings)
    adapts = settings.burnin if settings.adaptive else 0
    length = posterior.w.new_full((1, 1), lr) if settings.sampler == "mala" else lr
    sampler, w, steps, interrupted = _sampler(posterior, settings, length), posterior.w, 0, False
    try:
        state = sampler.init(w, posterior.evaluate, normals)
        for step in _bar(settings.steps, settings.progress):
            state, info = sampler.step(state, posterior.evaluate, normals, out=state)
            for each in series:
                each.note(step, state, info)
            w, steps = state.w, step + 1
            if step < adapts:
                length = _adapted(length, step, state, info, posterior, settings, probes)
                sampler = _sampler(posterior, settings, length)
    except KeyboardInterrupt:
        interrupted = True
    read, *watched, moments = (each.after(steps) for each in series)
    observed = together(watched[0]) if watched else None
    return Drawn(**read, **moments, observed=observed, w=w, lr=length, steps=steps, interrupted=interrupted)


def _adapted(
    lr: float | Tensor,
    step: int,
    state: State,
    info: Info,
    posterior: Posterior,
    settings: Settings,
    probes: Normals,
) -> float | Tensor:
    """The step length after a step of the burn-in."""
    if isinstance(lr, Tensor):
        return adapt(lr, info, rate=0.3 if step < 0.7 * settings.burnin else 0.05)
    if (step + 1) % math.ceil(settings.burnin / LOOKS):
        return lr
    met = curvature_met(posterior, state.w, settings.nbeta, settings.gamma, probes)
    return min(lr, STEP[settings.sampler] / (settings.nbeta * met + settings.gamma))


def _sampler(posterior: Posterior, settings: Settings, lr: float | Tensor) -> Sampler:
    return SAMPLERS[settings.sampler](posterior.center, nbeta=settings.nbeta, gamma=settings.gamma, lr=lr)


def _series(posterior: Posterior, other: EvalLoss | None, settings: Settings) -> list[Series]:
    """What is read at every step; at every draw, if it is watched; and at every ``EVERY``-th draw, on another batch."""
    moments = math.ceil(settings.draws / EVERY)

    def empty(*names: str, rows: int) -> dict[str, Tensor]:
        return {name: posterior.w.new_full((rows, settings.chains), math.nan) for name in names}

    burnin, steps = settings.burnin, settings.steps
    watched = [] if settings.on_draw is None else [Series(Watch(settings.on_draw, posterior), burnin, 1, steps)]
    return [
        Series(_every_step(other), 0, 1, steps, empty("losses", "accept", rows=steps)),
        *watched,
        Series(_moments(posterior), burnin, EVERY, steps, empty("pull", "spread", "loss_again", rows=moments)),
    ]


def _every_step(other: EvalLoss | None) -> Reader:
    def read(row: int, state: State, info: Info) -> dict[str, Tensor]:
        losses = {"losses": state.loss if other is None else other.read(state.w)}
        return losses if info.accept is None else losses | {"accept": info.accept}

    return read


def _moments(posterior: Posterior) -> Reader:
    def read(row: int, state: State, info: Info) -> dict[str, Tensor]:
        moved = state.w - posterior.center
        return {
            "pull": torch.linalg.vecdot(moved, state.grad),
            "spread": torch.linalg.vecdot(moved, moved),
            "loss_again": state.loss if posterior.batches.full else posterior.fresh_loss(state.w),
        }

    return read


def _bar(steps: int, progress: bool) -> Iterator[int]:
    """The numbers of the steps, with a bar that moves a hundred times at most."""
    stride = max(1, steps // 100)
    with tqdm(total=steps, disable=not progress, desc="draws", leave=False) as bar:
        for step in range(steps):
            yield step
            if (step + 1) % stride == 0:
                bar.update(stride)
