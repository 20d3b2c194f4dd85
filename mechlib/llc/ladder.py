"""Estimates over inverse temperatures at once, by chains that change places, and what they say about λ and m.

The chains are those of :mod:`mechlib.llc.exchange`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from operator import lt
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from sklearn.covariance import ledoit_wolf
from torch import Tensor, nn

from mechlib.llc.arguments import at_least_0, check_loss, explained, named_as_here, seed_number, whole
from mechlib.llc.batches import Batches, n_samples
from mechlib.llc.chains import rhat
from mechlib.llc.coins import own_coins
from mechlib.llc.data import Data, take
from mechlib.llc.diagnostics import CODES, Found, about_minimum, about_model, about_precision, mode_layers
from mechlib.llc.exchange import LEAST_DRAWS, Climb, climbed
from mechlib.llc.extrapolation import Extrapolation, extrapolate
from mechlib.llc.flat import FlatModel, Params
from mechlib.llc.posterior import Start, at_start
from mechlib.llc.precision import Precision, precision
from mechlib.llc.result import LLCWarning, Unreliable
from mechlib.llc.samplers import Normals, gaussian
from mechlib.llc.surface import Batch, LossFn, Surface, faster, rises

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LADDER_CODES", "LadderResult", "ladder"]

CODES_SHARED = (
    "not_a_minimum", "precision", "wrong_gradient", "coupled_samples", "random_loss", "eval_mode", "interrupted",
)  # fmt: skip
"""Warnings that mean what they mean of :func:`mechlib.llc.estimate_llc`."""

LADDER_CODES = {
    "rungs_apart": "chains hardly change places between two rungs",
    "chains_disagree": "the replicas disagree with each other",
    "few_draws": "the estimate at a rung is too noisy",
    "multiplicity_uncertain": "several multiplicities fit the ladder",
} | {code: CODES[code] for code in CODES_SHARED}
"""What each warning of a ladder means."""


@dataclass(frozen=True)
class LadderResult:
    """``E[nbeta (L(w) - L(w*))]`` at every rung, and the learning coefficient that it approaches."""

    llc: float
    """λ, extrapolated to infinite nbeta."""
    std_error: float
    """Of λ: from sampling, and from not knowing the law of the approach."""
    multiplicity: int
    """The multiplicity m that fits best."""
    multiplicity_weights: dict[int, float]
    """How well each multiplicity fits; they sum to 1."""
    nbetas: Float[Tensor, " rung"]
    """Inverse temperatures times the number of samples, ascending."""
    estimates: Float[Tensor, " rung"]
    """The estimate at each rung, without bias at this nbeta."""
    std_errors: Float[Tensor, " rung"]
    """Their standard errors, from the spread of the replicas."""
    trace: Float[Tensor, "rung replica draw"]
    """``nbeta (L(w_t) - L(w*))``."""
    rhat: Float[Tensor, " rung"]
    """Rank-normalised split R-hat of each rung, the replicas as chains."""
    acceptance: Float[Tensor, " rung"]
    """Mean acceptance probability of the steps."""
    swaps: Float[Tensor, " gap"]
    """Share of attempts to exchange that succeeded, between each rung and the next."""
    extrapolation: Extrapolation
    """The fitted laws."""
    init_loss: float
    """The loss at w* over all the data, the baseline of ``trace``."""
    gamma: float
    """The precision of the Gaussian prior around w*, at every rung."""
    warnings: tuple[LLCWarning, ...] = ()
    """Reasons not to believe it; empty for a healthy run."""

    def __str__(self) -> str:
        weights = ", ".join(f"m = {m}: {weight:.2f}" for m, weight in self.multiplicity_weights.items())
        rungs = f"{len(self.nbetas)} rungs, nbeta {self.nbetas[0]:.3g} to {self.nbetas[-1]:.3g}"
        head = f"llc {self.llc:.4g} ± {self.std_error:.2g}, multiplicity {self.multiplicity} ({weights}; {rungs})"
        return "\n".join([head, *(f"  {warning}" for warning in self.warnings)])

    def plot(self, ax: Axes | None = None) -> Axes:
        """The estimates with two standard errors, the law that fits best, and λ."""
        import matplotlib.pyplot as plt

        ax = plt.subplots()[1] if ax is None else ax
        ax.errorbar(self.nbetas, self.estimates, 2 * self.std_errors, fmt="o", color="0.1", markersize=4)
        best = self.extrapolation.fits[0]
        ax.plot(self.nbetas[best.first :], best.curve, color="0.4", linewidth=1.0, label=best.law)
        ax.axhspan(self.llc - 2 * self.std_error, self.llc + 2 * self.std_error, color="0.1", alpha=0.2, linewidth=0)
        ax.axhline(self.llc, color="0.1", linestyle="--", linewidth=1.0, label="extrapolated")
        ax.set(xscale="log", xlabel=r"$n\beta$", ylabel=r"$E[n\beta\,(L(w) - L(w^*))]$")
        ax.legend()
        return ax


@named_as_here
def ladder(
    model: nn.Module,
    loss_fn: LossFn,
    data: Data,
    *,
    nbetas: Sequence[float],
    gamma: float = 1.0,
    replicas: int = 64,
    draws: int = 2000,
    burnin: int = 1000,
    params: Params = None,
    device: torch.device | str = "auto",
    seed: int = 0,
    progress: bool = True,
) -> LadderResult:
    """Estimates at several inverse temperatures by replica exchange, and λ and m from their approach to the limit.

    The loss is that of all the data at every step, also of a loader. Costs
    ``replicas * len(nbetas) * (burnin + draws)`` gradients. The model runs in eval mode and is left as it was, and so
    is torch's random state. Ctrl-C after ten draws returns what was drawn so far. Every reason not to believe the
    result is in ``warnings`` and is a Python warning of category :class:`Unreliable`.

    Args:
        model, loss_fn, data, params, gamma: as for :func:`mechlib.llc.estimate_llc`.
        nbetas: at least four, above 1, ascending; neighbours a factor 2 to 4 apart exchange well, less for large λ.
            Where rounding may move the estimate at one of them by half its error, the warning ``precision`` says so:
            use a model in double precision there.
        replicas: independent ladders, at least 8: their spread is the error.
        draws, burnin: steps that count, and steps before them in which each rung's step length is adapted.

    Raises:
        ValueError: if a number is out of range, or the loss is the same at every draw of a rung; and as
            :func:`mechlib.llc.estimate_llc` for model, loss, data and params.
        KeyboardInterrupt: on Ctrl-C before the tenth draw.
    """
    check_loss(loss_fn)
    nbetas, gamma, seed = _ascending(nbetas), at_least_0("gamma", gamma), seed_number(seed)
    replicas, burnin = whole("replicas", replicas, 8), whole("burnin", burnin, 0)
    draws = whole("draws", draws, LEAST_DRAWS)
    flat = FlatModel(model, params, device)
    samples = take(data, flat.device, flat.dtype)
    loss_fn, batch = samples.loss(loss_fn), samples.whole()
    generator = torch.Generator(flat.device).manual_seed(seed)
    rungs = torch.tensor(nbetas, dtype=flat.dtype, device=flat.device)
    with own_coins(seed, flat.device), explained(model):
        serial = Surface(flat, loss_fn, "serial")
        start = at_start(serial, Batches(batch, None, generator), n_samples(batch))
        climb = _climb(flat, loss_fn, batch, rungs, gamma, replicas, gaussian(generator))
        trace = climbed(climb, burnin, draws, progress)
        seen = [] if start.random else [precision(serial, *rung, batch, n_samples(batch)) for rung in climb.rungs()]
    above, virial = trace.double().cpu()
    result = _summary(rungs, above, virial, climb, start.loss, gamma)
    found = _reasons(result, start, seen, mode_layers(model), draws)
    result = replace(result, warnings=tuple(LLCWarning(*reason) for reason in found))
    for warning in result.warnings:
        warnings.warn(str(warning), Unreliable, stacklevel=3)
    return result


def _climb(
    flat: FlatModel,
    loss_fn: LossFn,
    batch: Batch,
    nbetas: Float[Tensor, " rung"],
    gamma: float,
    replicas: int,
    normals: Normals,
) -> Climb:
    """The chains, all at w*."""
    chains = replicas * len(nbetas)
    surface = faster(flat, loss_fn, flat.w_star.repeat(chains, 1), batch)
    at_center = surface.entries(flat.w_star.expand(chains, -1), batch)[0].clone()

    def evaluate(points: Tensor) -> tuple[Tensor, Tensor]:
        entries, grad = surface.entries_and_grad(points, batch)
        return rises(entries, at_center), grad

    return Climb(flat.w_star, nbetas, gamma, replicas, evaluate, normals)


def _ascending(nbetas: Sequence[float]) -> list[float]:
    found = np.ravel(nbetas).tolist()
    if len(found) < 4 or not found[0] > 1 or not all(map(lt, found, found[1:])) or math.isinf(found[-1]):
        raise ValueError(f"nbetas are at least four numbers above 1, ascending, not {found}")
    return found


def _summary(
    nbetas: Tensor,
    trace: Float[Tensor, "rung replica draw"],
    virial: Float[Tensor, "rung replica draw"],
    climb: Climb,
    init_loss: float,
    gamma: float,
) -> LadderResult:
    means = _controlled(trace.mean(2), virial.mean(2))
    spread = means.std(1)
    if not bool((trace.mean(2).std(1) > 0).all()):
        still = nbetas[trace.mean(2).std(1) == 0].tolist()
        raise ValueError(f"the loss never moved at nbeta = {still}: it is flat, or rounding hides what it does")
    correlation, _ = ledoit_wolf(((means - means.mean(1, keepdim=True)) / spread[:, None]).T.numpy())
    errors = spread / means.shape[1] ** 0.5
    covariance = errors[:, None].numpy() * correlation * errors.numpy()
    found = extrapolate(nbetas.cpu().numpy(), means.mean(1).numpy(), covariance, n_params=len(climb.center))
    return LadderResult(
        llc=found.llc,
        std_error=found.std_error,
        multiplicity=found.multiplicity,
        multiplicity_weights=found.multiplicity_weights,
        nbetas=nbetas.cpu(),
        estimates=means.mean(1),
        std_errors=errors,
        trace=trace,
        rhat=torch.tensor([rhat(rung) for rung in trace]),
        acceptance=(climb.accepted / climb.steps).cpu(),
        swaps=(climb.swapped / climb.tried).cpu(),
        extrapolation=found,
        init_loss=init_loss,
        gamma=gamma,
    )


def _controlled(
    means: Float[Tensor, "rung replica"], controls: Float[Tensor, "rung replica"]
) -> Float[Tensor, "rung replica"]:
    """The replicas' means less what they share with a control of expectation 0, by least squares over the replicas."""
    centred = controls - controls.mean(1, keepdim=True)
    slope = (centred * means).sum(1, keepdim=True) / centred.square().sum(1, keepdim=True)
    return means - slope * controls


def _reasons(result: LadderResult, start: Start, seen: Sequence[Precision], layers: Sequence[str], draws: int) -> Found:
    """Every reason not to believe the result, as codes and messages."""
    drawn = result.trace.shape[2]
    if drawn < draws:
        yield "interrupted", f"interrupted after {drawn} of {draws} draws"
    swaps, rung = result.swaps.min(0)
    if swaps < 0.1:
        yield "rungs_apart", f"{swaps:.1%} of exchanges succeed above {_at(result, rung)}: more rungs there"
    worst, rung = result.rhat.max(0)
    if worst > 1.05:
        yield (
            "chains_disagree",
            f"R-hat is {worst:.3f} at {_at(result, rung)}, above 1.05: more draws, more burn-in, or rungs closer "
            "together",
        )
    noise, rung = (result.std_errors / result.estimates.abs().clamp_min(1e-12)).max(0)
    if noise > 0.05:
        yield (
            "few_draws",
            f"the standard error is {noise:.0%} of the estimate at {_at(result, rung)}, above 5 %: more draws or "
            "replicas",
        )
    weights = result.multiplicity_weights
    if weights[result.multiplicity] < 0.8:
        shown = ", ".join(f"m = {m}: {weight:.2f}" for m, weight in weights.items())
        yield "multiplicity_uncertain", f"several multiplicities fit ({shown}): a longer ladder or more draws"
    yield from about_minimum(start, float(result.nbetas[-1]), result.llc)
    yield from islice(_about_precision(result, seen), 1)
    yield from about_model(start, layers)


def _about_precision(result: LadderResult, seen: Sequence[Precision]) -> Found:
    """From the coldest rung on."""
    for rung in reversed(range(len(seen))):
        nbeta, llc, error = (float(x[rung]) for x in (result.nbetas, result.estimates, result.std_errors))
        yield from about_precision(seen[rung], nbeta, llc, error, f" at nbeta = {nbeta:.3g}")


def _at(result: LadderResult, rung: Tensor) -> str:
    return f"nbeta = {float(result.nbetas[rung]):.3g}"
