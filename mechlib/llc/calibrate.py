"""How strongly chains should be held at w*, and for how long they should run: found by trying.

Rows of one batch are chains at strengths gamma a decade apart, each with two steps. They run on, twice as long each
time, all before being burn-in, until the estimate is seen to stand still over gamma, or every gamma can be believed, or
the steps are used up. With the scheme of Leimkuhler and Matthews two steps differ on a quadratic in time alone, so that
a quarter of the step is a quarter of the time: chains that only time holds near w* agree over gamma, and not with it.
What the rules cannot see is a sampler that is biased and stable: of those that are here, ``lm`` alone is used.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import lt
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mechlib.llc.arguments import check_loss, explained, named_as_here, usual_nbeta, whole
from mechlib.llc.batches import n_samples
from mechlib.llc.coins import own_coins
from mechlib.llc.data import Data, take
from mechlib.llc.diagnostics import Circumstances, find_warnings, mode_layers
from mechlib.llc.flat import FlatModel, Params
from mechlib.llc.grid import SAMPLER, SHARES, Grid
from mechlib.llc.pilot import auto_lr
from mechlib.llc.plateau import Calibration, Cell
from mechlib.llc.posterior import Posterior
from mechlib.llc.precision import Precision
from mechlib.llc.preparation import Prepared
from mechlib.llc.result import LLCResult, LLCWarning, Unreliable
from mechlib.llc.run import Drawn, run_chains
from mechlib.llc.settings import Settings
from mechlib.llc.summary import Ending, summarise
from mechlib.llc.surface import LossFn

__all__ = ["calibrate"]

GAMMAS = (0.1, 1.0, 10.0, 100.0, 1000.0)
FIRST = 250
"""Draws of the first stage, and steps of burn-in before them."""


@named_as_here
def calibrate(
    model: nn.Module,
    loss_fn: LossFn,
    data: Data,
    *,
    gammas: Sequence[float] = GAMMAS,
    nbeta: float | None = None,
    steps: int = 8000,
    chains: int = 8,
    batch_size: int | None = None,
    anchor: bool = True,
    params: Params = None,
    strategy: str = "auto",
    device: torch.device | str = "auto",
    seed: int = 0,
    progress: bool = True,
) -> Calibration:
    """The estimate over gamma, whether it stands still anywhere, and the settings to use.

    An estimate can be believed, as the expectation at its own gamma, if it is positive and the same at a quarter of the
    step within 5 % or two standard errors, its virial ratio is within 0.1 and a standard error of 1, R-hat is at most
    1.05, and it drifts by no more than 10 % or two standard errors, with an error of at most 4 %. Where it stands
    still, changing by less than 10 % a decade with the error of the change added, gamma does not matter.
    Where it stands still nowhere there is no coefficient to be had of it: the result says so, and its settings are
    those of the smallest gamma that can be believed.

    Args:
        model, loss_fn, data, nbeta, chains, batch_size, anchor, params, strategy, device, seed, progress: as for
            :func:`mechlib.llc.estimate_llc`; chains are for each gamma and step, at least 4.
        gammas: two or more, ascending.
        steps: the most steps that a chain makes. Costs ``2 * len(gammas) * chains`` gradients for each at most, 24
            times as many for each look at the curvature (five while burning in, one after each stage), and 188 for each
            gamma and chain before.

    Raises:
        TypeError, ValueError: as ``estimate_llc`` does; if gammas are not positive and ascending, or steps below 500.
        KeyboardInterrupt: on Ctrl-C before the first draw; later it ends the run with what was drawn.
    """
    check_loss(loss_fn)
    found = _ascending(gammas)
    chains, steps = whole("chains", chains, 4), whole("steps", steps, 2 * FIRST)
    flat = FlatModel(model, params, device)
    samples = take(data, flat.device, flat.dtype)
    nbeta = usual_nbeta(n_samples(samples.parts)) if nbeta is None else nbeta
    settings = Settings(
        SAMPLER, nbeta, found[-1], "auto", len(found) * len(SHARES) * chains, FIRST, FIRST, anchor, seed, progress
    )
    with own_coins(settings.seed, flat.device), explained(model):
        ready = Prepared.of(
            flat, loss_fn, samples, batch_size=batch_size, strategy=strategy,
            chains=settings.chains, anchor=anchor, seed=settings.seed,
        )  # fmt: skip
        rows = _Rows.of(ready, settings, found, chains)
        stage = _run(rows, steps)
        asked = {"batch_size": batch_size, "anchor": anchor, "params": params, **rows.options(stage)}
        calibration = Calibration(rows.cells(stage), asked)
        reasons = rows.reasons(stage, calibration, mode_layers(model))
    for reason in reasons:
        warnings.warn(str(reason), Unreliable, stacklevel=3)
    return replace(calibration, warnings=reasons)


def _ascending(gammas: Sequence[float]) -> list[float]:
    found = np.ravel(gammas).tolist()
    if len(found) < 2 or not found[0] > 0 or not all(map(lt, found, found[1:])) or math.isinf(found[-1]):
        raise ValueError(f"gammas are two or more positive numbers, ascending, not {found}")
    return found


@dataclass(frozen=True)
class _Stage:
    """What the rows had read when as many steps as before had been made once more."""

    drawn: Drawn
    """Of the last half of the steps; the losses of all."""
    lr: Float[Tensor, " gamma"]
    """With which they were made."""
    curvature: Float[Tensor, " gamma"]
    """Where the chains are."""
    interrupted: bool = False
    """Whether Ctrl-C ended the stage that was to follow."""

    @property
    def draws(self) -> int:
        return len(self.drawn.losses) // 2


@dataclass(frozen=True)
class _Rows:
    """The chains of all gammas and steps."""

    ready: Prepared
    posterior: Posterior
    grid: Grid
    settings: Settings
    """Of all rows in the first stage."""
    gammas: list[float]
    chains: int
    """Of each gamma and step."""

    @classmethod
    def of(cls, ready: Prepared, settings: Settings, gammas: list[float], chains: int) -> _Rows:
        """At w*, with the steps that a pilot at each gamma finds."""
        nbeta, probes = settings.nbeta, ready.probes
        pilots = (ready.posterior(chains, pilot=True) for _ in gammas)
        lr = [auto_lr(pilot, SAMPLER, nbeta, gamma, probes) for pilot, gamma in zip(pilots, gammas, strict=True)]
        posterior = ready.posterior(settings.chains)
        return cls(ready, posterior, Grid(posterior, nbeta, gammas, chains, lr, probes), settings, gammas, chains)

    def after(self, before: _Stage | None) -> _Stage:
        """Draw as long as everything before took, or burn in and draw for the first time."""
        settings = self.settings if before is None else replace(self.settings, burnin=0, draws=2 * before.draws)
        self.grid.burnin = settings.burnin
        drawn = run_chains(self.posterior, None, settings, self.grid, self.ready.noise)
        lr = self.grid.lr
        self.grid.look(drawn.w)
        if before is not None:
            drawn = replace(drawn, losses=torch.cat([before.drawn.losses, drawn.losses]))
        return _Stage(drawn, lr, self.grid.curvature)

    def cells(self, stage: _Stage) -> tuple[Cell, ...]:
        """What the stage says of every gamma."""
        found = []
        for number in range(len(self.gammas)):
            (full, seen), (quarter, _) = (self._summary(stage, number, share) for share in range(len(SHARES)))
            found.append(Cell(full, quarter, seen.virial_error))
        return tuple(found)

    def reasons(self, stage: _Stage, calibration: Calibration, layers: Sequence[str]) -> tuple[LLCWarning, ...]:
        """Not to believe the estimate that is advised, or, where none is, that at the largest gamma."""
        gamma = calibration.gamma
        number = len(self.gammas) - 1 if gamma is None else self.gammas.index(gamma)
        seen = self.ready.precision(
            stage.drawn.of(self.grid.rows(number, 0)).w, float(stage.lr[number]), self.ready.batches
        )
        result, circumstances = self._summary(stage, number, 0, seen)
        found = find_warnings(result, replace(circumstances, mode_layers=layers))
        cut = LLCWarning(
            "interrupted", f"interrupted after {len(stage.drawn.losses)} of {2 * len(stage.drawn.losses)} steps"
        )
        return (*found, cut) if stage.interrupted else found

    def options(self, stage: _Stage) -> dict[str, Any]:
        """The settings of the chains of one gamma at the full step, but for gamma and the step."""
        length = {"draws": stage.draws, "burnin": stage.draws}
        return {"nbeta": self.settings.nbeta, "sampler": SAMPLER, "chains": self.chains, **length}

    def _summary(
        self, stage: _Stage, number: int, share: int, seen: Precision | None = None
    ) -> tuple[LLCResult, Circumstances]:
        gamma, curvature = self.gammas[number], float(stage.curvature[number])
        lr = SHARES[share] * float(stage.lr[number])
        own = replace(self.settings, gamma=gamma, chains=self.chains, draws=stage.draws, burnin=stage.draws, lr=lr)
        seen = Precision(self.posterior.w.dtype) if seen is None else seen
        end = Ending(lr, 1.0, curvature, own.nbeta * curvature + gamma, seen)
        return summarise(self.posterior, None, stage.drawn.of(self.grid.rows(number, share)), own, end)


def _run(rows: _Rows, steps: int) -> _Stage:
    """The first stage after which there is nothing more to find out, or no time."""
    stage = rows.after(None)
    if stage.drawn.interrupted:
        raise KeyboardInterrupt
    while 4 * stage.draws <= steps:
        found = Calibration(rows.cells(stage), {})
        if found.plateau or len(found.good) == len(rows.gammas):
            break
        following = rows.after(stage)
        if following.drawn.interrupted:
            return replace(stage, interrupted=True)
        stage = following
    return stage
