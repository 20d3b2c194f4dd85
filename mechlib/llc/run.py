"""The sampling loop: the steps of a sampler, what is read at each, and Ctrl-C.

Nothing in it waits for the device, but for a few looks at the curvature while burning in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from mechlib.llc.observe import Observed, Reader, Series, Watch, together
from mechlib.llc.posterior import EvalLoss, Posterior
from mechlib.llc.samplers import Info, Normals, Sampler, State
from mechlib.llc.settings import Settings

__all__ = ["Drawn", "Steps", "run_chains"]

EVERY = 10
"""Moments of the position are taken at every so many draws."""


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
    steps: int
    """Steps made."""
    interrupted: bool

    def of(self, rows: slice) -> Drawn:
        """What some of the chains read; of ``observed`` nothing."""
        read = ("losses", "pull", "spread", "loss_again", "accept")
        parts = {name: getattr(self, name)[:, rows] for name in read}
        return replace(self, **parts, observed=None, w=self.w[rows])


class Steps(Protocol):
    """What decides how the chains move: :class:`mechlib.llc.tuning.Tuning` and :class:`mechlib.llc.grid.Grid`."""

    def sampler(self) -> Sampler:
        """The sampler to go on with."""
        ...

    def after(self, step: int, state: State, info: Info) -> bool:
        """Whether that is another after a step, counted from the first of the burn-in."""
        ...


def run_chains(
    posterior: Posterior, other: EvalLoss | None, settings: Settings, tuning: Steps, normals: Normals
) -> Drawn:
    """Burn in and draw from where the posterior's points are; or as much as there was time for before Ctrl-C."""
    series = _series(posterior, other, settings)
    sampler, w, steps, interrupted = tuning.sampler(), posterior.w, 0, False
    try:
        state = sampler.init(w, posterior.evaluate, normals)
        for step in _bar(settings.steps, settings.progress):
            state, info = sampler.step(state, posterior.evaluate, normals, out=state)
            for each in series:
                each.note(step, state, info)
            w, steps = state.w, step + 1
            if tuning.after(step, state, info):
                sampler = tuning.sampler()
    except KeyboardInterrupt:
        interrupted = True
    read, *watched, moments = (each.after(steps) for each in series)
    observed = together(watched[0]) if watched else None
    return Drawn(**read, **moments, observed=observed, w=w, steps=steps, interrupted=interrupted)


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
