"""From what the chains read to what the estimate says."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.llc.chains import diverged, effective_draws, rhat, std_error
from mechlib.llc.diagnostics import Circumstances
from mechlib.llc.posterior import EvalLoss, Posterior
from mechlib.llc.precision import Precision
from mechlib.llc.result import LLCResult
from mechlib.llc.run import Drawn
from mechlib.llc.settings import Settings

__all__ = ["Ending", "summarise"]


@dataclass(frozen=True)
class Ending:
    """The step at the end of a run, and how steep it is where the chains are."""

    lr: float
    """The step, which a preconditioner multiplies."""
    spread: float
    """The largest entry of the preconditioner over the smallest; 1 without one."""
    curvature: float
    """The largest eigenvalue of the Hessian of L."""
    steepest: float
    """The largest eigenvalue of the Hessian of U, in the coordinates of the preconditioner."""
    precision: Precision
    """What rounding does there."""


def summarise(
    posterior: Posterior, other: EvalLoss | None, drawn: Drawn, settings: Settings, end: Ending
) -> tuple[LLCResult, Circumstances]:
    """The result without its warnings, and what the rules of the warnings need besides."""
    loss, pull, spread = _moments(drawn, settings)
    virial = (pull + spread).mean(1) / posterior.w.shape[1]
    sensitivity, sensitivity_error = _sensitivity(loss, pull) if other is None else (math.nan, math.nan)
    batches = posterior.batches
    circumstances = Circumstances(
        start=posterior.start,
        batch_size=batches.size,
        samples=batches.samples,
        anchored=posterior.anchored,
        full_batch=batches.full,
        virial_error=float(virial.std() / len(virial) ** 0.5) if len(virial) > 1 else 0.0,
        sensitivity_error=sensitivity_error,
        precision=end.precision,
    )
    result = _result(posterior, other, drawn, settings, end, float(virial.mean()), sensitivity)
    return result, circumstances


def _result(
    posterior: Posterior,
    other: EvalLoss | None,
    drawn: Drawn,
    settings: Settings,
    end: Ending,
    virial: float,
    sensitivity: float,
) -> LLCResult:
    losses = settings.nbeta * drawn.losses.T
    burnin_trace, trace = losses[:, : settings.burnin], losses[:, settings.burnin :]
    return LLCResult(
        llc=float(trace.double().mean()),
        std_error=std_error(trace),
        per_chain=trace.double().mean(1).to(trace.dtype),
        trace=trace,
        burnin_trace=burnin_trace,
        init_loss=posterior.baseline() if other is None else other.loss,
        nbeta=settings.nbeta,
        lr=end.lr,
        gamma=settings.gamma,
        rhat=rhat(trace),
        ess=effective_draws(trace),
        virial=virial,
        n_diverged=int(diverged(losses, posterior.w.shape[1]).sum()),
        curvature=end.curvature,
        steepness=end.lr * end.steepest,
        gamma_sensitivity=sensitivity,
        grad_norm=posterior.start.grad_norm,
        acceptance=float(drawn.accept[settings.burnin :].mean()),
        n_params=posterior.w.shape[1],
        sampler=settings.sampler,
        precondition=settings.precondition,
        spread=end.spread,
        strategy=posterior.surface.strategy,
        interrupted=drawn.interrupted,
        observed=drawn.observed,
    )


def _moments(drawn: Drawn, settings: Settings) -> list[Float[Tensor, "chain moment"]]:
    """nbeta L, nbeta (w - w*) . grad L and gamma |w - w*|^2."""
    loss, pull = settings.nbeta * drawn.loss_again, settings.nbeta * drawn.pull
    return [t.T.double() for t in (loss, pull, settings.gamma * drawn.spread)]


def _sensitivity(loss: Float[Tensor, "chain moment"], pull: Float[Tensor, "chain moment"]) -> tuple[float, float]:
    """d log llc / d log gamma, and its standard error over halves of chains.

    With f = nbeta L and u = w - w*, gamma d E[f] / d gamma = -gamma Cov(f, |u|^2) / 2, and by parts
    gamma Cov(f, |u|^2) = E[p] - Cov(f, p) with the pull p = u . grad f: flat directions, mere noise in |u|^2, take no
    part in that. Loss and pull are to come from different minibatches, or their common noise enters the covariance.
    """
    half = loss.shape[1] // 2
    if half < 2:
        return math.nan, math.nan
    f, p = (torch.cat([t[:, :half], t[:, half : 2 * half]]) for t in (loss, pull))
    covariance = ((f - f.mean(1, keepdim=True)) * p).sum(1) / (half - 1)
    each = (covariance - p.mean(1)) / (2 * loss.mean())
    return float(each.mean()), float(each.std() / len(each) ** 0.5)
