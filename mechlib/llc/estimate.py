"""Estimating the local learning coefficient of any model, with what is needed to judge the estimate."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Literal

import torch
from torch import nn

from mechlib.llc.arguments import check_loss, explained, named_as_here, usual_nbeta
from mechlib.llc.batches import Batches, n_samples
from mechlib.llc.coins import own_coins
from mechlib.llc.data import Data, Samples, take
from mechlib.llc.diagnostics import Circumstances, find_warnings, mode_layers
from mechlib.llc.flat import FlatModel, Params
from mechlib.llc.observe import OnDraw
from mechlib.llc.pilot import auto_lr, curvature_met
from mechlib.llc.posterior import EvalLoss
from mechlib.llc.precision import Precision
from mechlib.llc.preparation import STRATEGIES, Prepared
from mechlib.llc.result import LLCResult, Unreliable
from mechlib.llc.run import run_chains
from mechlib.llc.samplers import SAMPLERS
from mechlib.llc.settings import Settings
from mechlib.llc.summary import Ending, summarise
from mechlib.llc.surface import LossFn
from mechlib.llc.tuning import Tuning

__all__ = ["estimate_llc"]


@named_as_here
def estimate_llc(
    model: nn.Module,
    loss_fn: LossFn,
    data: Data,
    *,
    nbeta: float | None = None,
    lr: float | Literal["auto"] = "auto",
    gamma: float = 1.0,
    chains: int = 8,
    draws: int = 1000,
    burnin: int = 500,
    batch_size: int | None = None,
    sampler: Literal["lm", "sgld", "mala"] = "lm",
    precondition: Literal["jacobi"] | None = None,
    anchor: bool = True,
    params: Params = None,
    eval_data: Data = None,
    on_draw: OnDraw | None = None,
    strategy: Literal["auto", "vmap", "serial"] = "auto",
    device: torch.device | str = "auto",
    seed: int = 0,
    progress: bool = True,
) -> LLCResult:
    """The local learning coefficient at the model's weights w*: E[nbeta (L(w) - L(w*))] near w* (Lau et al. 2023).

    Chains start at w* and sample ``exp(-nbeta L(w) - gamma/2 |w - w*|^2)``, L being the mean loss over ``data``. The
    model runs in eval mode on a copy of its structure: its weights, buffers, gradients and mode are as before, and so
    is torch's random state. Ctrl-C while the chains run returns what was drawn so far. Every reason not to believe the
    result is in ``result.warnings`` and is a Python warning of category :class:`Unreliable`.

    Args:
        model: any module; its current weights are w*.
        loss_fn: ``loss_fn(f, batch)`` gives the loss of each sample, ``[sample, ...]``; ``f`` behaves like the model
            and ``batch`` has the structure of ``data``.
        data: a tensor or array of NumPy with a leading sample axis; a tuple or dict of them; a dataset with a length,
            whose samples are put together as by a ``DataLoader``, or a ``DataLoader`` itself, of which the samples, the
            batch size and the way of reading are taken and the order is not: batches are drawn by ``seed``. Samples of
            a dataset are made when they are wanted. Or None for a population loss, where ``loss_fn(f, None)`` gives one
            number.
        nbeta: the inverse temperature times the number of samples; n / log n for n samples. A loader that drops its
            last batch and does not shuffle has so many samples less.
        lr: the step eps: one step adds noise of variance eps. ``"auto"`` sets it from the curvature that a pilot run
            meets, and goes on adapting it while burning in (``mechlib.llc.pilot.STEP``).
        gamma: the strength with which the chains are held at w*.
        chains, draws, burnin: numbers of chains, of steps that count, and of steps before them, each at least 1 (0 for
            ``burnin``).
        batch_size: samples per step, the same for all chains; None for that of a loader, and for all of other data.
        sampler: see :mod:`mechlib.llc.samplers`.
        precondition: ``"jacobi"``, for ``lm``: a step for each weight, learned from the chains while burning in and the
            same for all of them from then on (:mod:`mechlib.llc.preconditioner`). Worth its time where curvatures
            differ from weight to weight, as in layers of unequal scale; ``result.spread`` says by how much they do. The
            burn-in is of 80 steps at least, and ``lr`` multiplies it: 1 is a step for the mean of all directions.
        anchor: with minibatches, one more point frozen at w* on the same batches is baseline and control variate
            (:mod:`mechlib.llc.posterior`). Without it the baseline is the loss of w* on the first batch.
        params: the weights that are free, by name, glob or mask (:class:`mechlib.llc.flat.FlatModel`): the
            weight-refined coefficient. None for all that require gradients.
        eval_data: the loss is read on these data instead: the data-refined coefficient. Of the structure of ``data``.
        on_draw: called for each chain at each draw with a :class:`mechlib.llc.observe.Draw`: chain, draw, weights by
            name, the model at them, loss, samples. The tensors, numbers, or dicts of them that it returns are collected
            in ``result.observed``. It may not write to the weights, and whatever chance it needs is its own.
        strategy: all chains through the model at once, one after another, or the faster of the two as measured.
        device: where to sample; ``"auto"`` is where the model lies.
        seed: of noise and batches. Strategies agree up to rounding.
        progress: show a progress bar.

    Raises:
        TypeError: if data, loss, seed or free weights are of a type that cannot be used, or an argument has another
            name here.
        ValueError: if a number is out of range (it is named with its range), data are empty, the batch is larger than
            the data, all the samples of a dataset at once are too large for memory, ``params`` matches nothing, the
            loss is not one number per sample, w* or its loss is not finite, or the loss does not move with the free
            weights, or its gradient does not (it is said where that is lost); if ``on_draw`` writes to the weights, or
            returns other names, shapes or types than at the draw before.
    """
    check_loss(loss_fn)
    _check_choices(sampler, strategy)
    flat = FlatModel(model, params, device)
    samples = take(data, flat.device, flat.dtype)
    others = take(eval_data, flat.device, flat.dtype, "eval_data")
    nbeta = usual_nbeta(n_samples(samples.parts)) if nbeta is None else nbeta
    settings = Settings(sampler, nbeta, gamma, lr, chains, draws, burnin, anchor, seed, progress, precondition, on_draw)
    with own_coins(settings.seed, flat.device), explained(model):
        result, circumstances = _sample(flat, loss_fn, samples, others, batch_size, strategy, settings)
    circumstances = replace(circumstances, mode_layers=mode_layers(model))
    result = replace(result, warnings=find_warnings(result, circumstances))
    for warning in result.warnings:
        warnings.warn(str(warning), Unreliable, stacklevel=3)
    return result


def _sample(
    flat: FlatModel,
    loss_fn: LossFn,
    data: Samples,
    other_data: Samples,
    batch_size: int | None,
    strategy: str,
    settings: Settings,
) -> tuple[LLCResult, Circumstances]:
    """Look at w*, choose strategy and step where that is wanted, run the chains, and sum up."""
    ready = Prepared.of(
        flat, loss_fn, data, batch_size=batch_size, strategy=strategy,
        chains=settings.chains, anchor=settings.anchor, seed=settings.seed,
    )  # fmt: skip
    if settings.sampler == "mala" and not ready.batches.full:
        raise ValueError(f"mala needs the loss over all the data: batch_size=None, not {ready.size}")
    other, lr = _eval_loss(ready, data, other_data), settings.lr
    if lr == "auto" or settings.precondition is not None:
        pilot = ready.posterior(settings.chains, pilot=True)
        lr = auto_lr(pilot, settings.sampler, settings.nbeta, settings.gamma, ready.probes)
    posterior = ready.posterior(settings.chains)
    tuning = Tuning(posterior, settings, lr, ready.probes)
    drawn = run_chains(posterior, other, settings, tuning, ready.noise)
    curvature, steepest, seen = math.nan, math.nan, Precision(flat.dtype)
    if drawn.steps:
        curvature = curvature_met(posterior, drawn.w, settings.nbeta, settings.gamma, ready.probes)
        steepest = settings.nbeta * curvature + settings.gamma
        seen = ready.precision(drawn.w, tuning.step, ready.batches if other is None else other.batches)
    if drawn.steps and tuning.scale is not None:
        steepest = tuning.steepness(drawn.w)
    return summarise(posterior, other, drawn, settings, Ending(tuning.lr, tuning.spread, curvature, steepest, seen))


def _eval_loss(ready: Prepared, data: Samples, others: Samples) -> EvalLoss | None:
    """The loss on ``eval_data``, in batches of their own size or of the chains'; None where there are none."""
    if others.parts is None:
        return None
    data.refuse_other_structure(others)
    size = others.size(ready.size)
    size = None if size is None else min(size, n_samples(others.parts))
    return EvalLoss(ready.surface, Batches(others.parts, size, ready.others))


def _check_choices(sampler: str, strategy: str) -> None:
    for name, value, choices in (("sampler", sampler, SAMPLERS), ("strategy", strategy, STRATEGIES)):
        if value not in choices:
            raise ValueError(f"{name} is one of {', '.join(choices)}, not {value!r}")
