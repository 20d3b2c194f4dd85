"""Estimating the local learning coefficient of any model, with what is needed to judge the estimate."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Literal

import torch
from torch import Tensor, nn

from mechlib.llc.batches import Batches, checked_data, n_samples
from mechlib.llc.coins import own_coins
from mechlib.llc.diagnostics import Circumstances, find_warnings, mode_layers
from mechlib.llc.flat import FlatModel, Params
from mechlib.llc.pilot import auto_lr, curvature_met
from mechlib.llc.posterior import EvalLoss, Posterior, at_start
from mechlib.llc.result import LLCResult, Unreliable
from mechlib.llc.run import Settings, run_chains
from mechlib.llc.samplers import SAMPLERS, gaussian
from mechlib.llc.summary import summarise
from mechlib.llc.surface import Batch, LossFn, Surface, faster

__all__ = ["estimate_llc"]

STRATEGIES = ("auto", "vmap", "serial")


def estimate_llc(
    model: nn.Module,
    loss_fn: LossFn,
    data: Tensor | Sequence[Tensor] | None,
    *,
    nbeta: float | None = None,
    lr: float | Literal["auto"] = "auto",
    gamma: float = 1.0,
    chains: int = 8,
    draws: int = 1000,
    burnin: int = 500,
    batch_size: int | None = None,
    sampler: Literal["lm", "sgld", "mala"] = "lm",
    anchor: bool = True,
    params: Params = None,
    eval_data: Tensor | Sequence[Tensor] | None = None,
    strategy: Literal["auto", "vmap", "serial"] = "auto",
    device: torch.device | str = "auto",
    seed: int = 0,
    progress: bool = True,
) -> LLCResult:
    """The local learning coefficient at the model's weights w*: E[nbeta (L(w) - L(w*))] near w* (Lau et al. 2023).

    Chains start at w* and sample exp(-nbeta L(w) - gamma/2 |w - w*|^2), L being the mean loss over ``data``. The model
    runs in eval mode on a copy of its structure: its weights, buffers, gradients and mode are as before, and so is
    torch's random state. Ctrl-C while the chains run returns what was drawn so far. Every reason not to believe the
    result is in ``result.warnings`` and is a Python warning of category :class:`Unreliable`.

    Args:
        model: any module; its current weights are w*.
        loss_fn: ``loss_fn(f, batch)`` gives the loss of each sample, ``[sample, ...]``; ``f`` behaves like the model
            and ``batch`` has the structure of ``data``.
        data: a tensor or tuple of tensors with a leading sample axis; or None for a population loss, where
            ``loss_fn(f, None)`` gives one number.
        nbeta: the inverse temperature times the number of samples; n / log n for n samples.
        lr: the step eps: one step adds noise of variance eps. ``"auto"`` sets it from the curvature that a pilot run
            meets, and goes on adapting it while burning in (``mechlib.llc.pilot.STEP``).
        gamma: the strength with which the chains are held at w*.
        chains, draws, burnin: numbers of chains, of steps that count, and of steps before them, each at least 1 (0 for
            ``burnin``).
        batch_size: samples per step, the same for all chains; None for all.
        sampler: see :mod:`mechlib.llc.samplers`.
        anchor: with minibatches, one more point frozen at w* on the same batches is baseline and control variate
            (:mod:`mechlib.llc.posterior`). Without it the baseline is the loss of w* on the first batch.
        params: the weights that are free, by name, glob or mask (:class:`mechlib.llc.flat.FlatModel`): the
            weight-refined coefficient. None for all that require gradients.
        eval_data: the loss is read on these data instead: the data-refined coefficient.
        strategy: all chains through the model at once, one after another, or the faster of the two as measured.
        device: where to sample; ``"auto"`` is where the model lies.
        seed: of noise and batches. Strategies agree up to rounding.
        progress: show a progress bar.

    Raises:
        TypeError: if data or free weights are of a type that cannot be used.
        ValueError: if a number is out of range (it is named with its range), data are empty, the batch is larger than
            the data, ``params`` matches nothing, the loss is not one number per sample, or w* or its loss is not
            finite.
    """
    _check_numbers(nbeta, lr, gamma, chains, draws, burnin)
    _check_choices(sampler, strategy)
    flat = FlatModel(model, params, device)
    loss_data, other_data = checked_data(data, flat.device), checked_data(eval_data, flat.device, "eval_data")
    settings = Settings(
        sampler=sampler,
        nbeta=_default_nbeta(n_samples(loss_data)) if nbeta is None else float(nbeta),
        gamma=float(gamma),
        lr=lr,
        chains=chains,
        draws=draws,
        burnin=burnin,
        anchor=anchor,
        seed=seed,
        progress=progress,
    )
    with own_coins(seed, flat.device):
        result, circumstances = _sample(flat, loss_fn, loss_data, other_data, batch_size, strategy, settings)
    circumstances = replace(circumstances, mode_layers=mode_layers(model))
    result = replace(result, warnings=find_warnings(result, circumstances))
    for warning in result.warnings:
        warnings.warn(str(warning), Unreliable, stacklevel=2)
    return result


def _sample(
    flat: FlatModel,
    loss_fn: LossFn,
    data: Batch,
    other_data: Batch,
    batch_size: int | None,
    strategy: str,
    settings: Settings,
) -> tuple[LLCResult, Circumstances]:
    """Look at w*, choose strategy and step where that is wanted, run the chains, and sum up."""
    noise, pilot_noise, order, pilot_order, other_order = (
        torch.Generator(flat.device).manual_seed(5 * settings.seed + i) for i in range(5)
    )
    probes = gaussian(pilot_noise)
    batches, pilot_batches = Batches(data, batch_size, order), Batches(data, batch_size, pilot_order)
    if settings.sampler == "mala" and not batches.full:
        raise ValueError(f"mala needs the loss over all the data: batch_size=None, not {batch_size}")
    chunk = batches.size * (1 if batches.full else settings.chains)
    start = at_start(Surface(flat, loss_fn, "serial"), batches, chunk)
    rows = flat.w_star.repeat(settings.chains + (settings.anchor and not batches.full), 1)
    surface = Surface(flat, loss_fn, strategy)
    if strategy == "auto":
        surface = faster(flat, loss_fn, rows, next(pilot_batches))

    def near_w_star(stream: Batches) -> Posterior:
        return Posterior(surface, stream, start, chains=settings.chains, anchor=settings.anchor)

    other = None
    if other_data is not None:
        size = None if batch_size is None else min(batch_size, n_samples(other_data))
        other = EvalLoss(surface, Batches(other_data, size, other_order))
    lr = settings.lr
    if lr == "auto":
        lr = auto_lr(near_w_star(pilot_batches), settings.sampler, settings.nbeta, settings.gamma, probes)
    posterior = near_w_star(batches)
    drawn = run_chains(posterior, other, settings, lr, gaussian(noise), probes)
    curvature = math.nan
    if drawn.steps:
        curvature = curvature_met(posterior, drawn.w, settings.nbeta, settings.gamma, probes)
    return summarise(posterior, other, drawn, settings, curvature)


def _default_nbeta(samples: int) -> float:
    if samples < 2:
        raise ValueError(f"nbeta has the default n / log n only for n > 1 samples, and there is {samples}: pass nbeta")
    return samples / math.log(samples)


def _check_numbers(nbeta: float | None, lr: float | str, gamma: float, chains: int, draws: int, burnin: int) -> None:
    for name, value, least in (("chains", chains, 1), ("draws", draws, 1), ("burnin", burnin, 0)):
        if not isinstance(value, Integral) or value < least:
            raise ValueError(f"{name} is a whole number of at least {least}, not {value!r}")
    positive = {"nbeta": nbeta, "lr": None if lr == "auto" else lr}
    for name, value in positive.items():
        if value is not None and not (isinstance(value, Real) and 0 < value < math.inf):
            wanted = "a positive number or 'auto'" if name == "lr" else "a positive number"
            raise ValueError(f"{name} is {wanted}, not {value!r}")
    if not 0 <= gamma < math.inf:
        raise ValueError(f"gamma is a number of at least 0, not {gamma!r}")


def _check_choices(sampler: str, strategy: str) -> None:
    for name, value, choices in (("sampler", sampler, SAMPLERS), ("strategy", strategy, STRATEGIES)):
        if value not in choices:
            raise ValueError(f"{name} is one of {', '.join(choices)}, not {value!r}")
