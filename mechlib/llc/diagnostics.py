"""When not to believe an estimate: the rules that turn the statistics of its chains into warnings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from scipy.stats import t as student_t
from torch import nn

from mechlib.llc.chains import diverged, drift
from mechlib.llc.posterior import Start
from mechlib.llc.precision import Precision
from mechlib.llc.result import LLCResult, LLCWarning
from mechlib.llc.soundness import SLOPE_LIMIT

__all__ = [
    "CODES",
    "RHAT_LIMIT",
    "Circumstances",
    "Found",
    "about_minimum",
    "about_model",
    "about_precision",
    "find_warnings",
    "mode_layers",
]

CODES = {
    "step_too_large": "the step is too large for the curvature, or the gradient noise for the step",
    "diverged": "a chain left the scale of the problem",
    "few_draws": "too few independent draws",
    "drifting": "the mean still moves: the burn-in is too short",
    "not_equilibrated": "the chains have not yet spread as far as the posterior does",
    "chains_disagree": "the chains disagree with each other",
    "one_chain": "there is only one chain",
    "low_acceptance": "hardly any proposal of mala is accepted",
    "not_a_minimum": "w* is visibly not a minimum",
    "negative": "the estimate is negative",
    "noisy_baseline": "the baseline is one minibatch, shared by all chains",
    "gamma_dominates": "the estimate is set by gamma and not by the loss",
    "precision": "rounding moves the estimate by as much as its error",
    "wrong_gradient": "autograd's gradient is not that of the loss",
    "coupled_samples": "a sample's loss depends on the other samples of its batch",
    "random_loss": "the loss throws coins",
    "eval_mode": "the model was in training mode and ran in eval mode",
    "interrupted": "the run was interrupted",
    "observed_nan": "what on_draw returned is NaN somewhere",
}
"""What each warning means."""

STEP_LIMIT = {"lm": 2.0, "sgld": 0.4, "mala": math.inf}
"""Largest step times curvature that is not warned of. ``sgld`` is off by 11 % there in the stiffest direction; ``lm``
is right on quadratics up to 4, but few losses are quadratic so far out."""

RHAT_LIMIT = 1.05
"""The largest R-hat that is not warned of."""

GAMMA_LIMIT = 0.5
"""Largest fall of log llc per unit of log gamma that is not warned of: what a quadratic shows where the prior is as
steep as the loss."""

DRIFT_CHANCE = 1e-4
"""How often chance alone, among steady chains, makes first and last draws as different as is warned of."""

ROUNDING_LIMIT, SWALLOWED_LIMIT = 0.5, 0.02
"""The most that rounding may do: move the estimate, in standard errors, and add to the noise of a step."""


@dataclass(frozen=True)
class Circumstances:
    """What the rules need besides the result."""

    start: Start
    batch_size: int
    samples: int
    anchored: bool
    full_batch: bool
    virial_error: float
    """The standard error of ``virial``."""
    sensitivity_error: float
    """The standard error of ``gamma_sensitivity``."""
    precision: Precision
    mode_layers: Sequence[str] = ()
    """Modules that act otherwise in training mode, where the model was in it."""


Found = Iterator[tuple[str, str]]
"""Codes and messages."""


def mode_layers(model: nn.Module) -> list[str]:
    """The modules in training mode that act otherwise in it: with dropout, or normalising over the batch."""
    found = []
    for name, module in model.named_modules():
        rate = getattr(module, "p" if isinstance(module, nn.modules.dropout._DropoutNd) else "dropout", 0.0)
        dropout = isinstance(rate, float) and rate > 0
        if module.training and (dropout or getattr(module, "running_mean", None) is not None):
            found.append(f"{type(module).__name__} {name!r}")
    return found


def find_warnings(result: LLCResult, seen: Circumstances) -> tuple[LLCWarning, ...]:
    """Every reason not to believe the result."""
    rules = (_chains, _step, _draws, _minimum, _setting, _precision, _model, _observed)
    return tuple(LLCWarning(code, message) for rule in rules for code, message in rule(result, seen))


def _chains(result: LLCResult, seen: Circumstances) -> Found:
    chains = len(result.per_chain)
    if result.interrupted:
        yield "interrupted", f"interrupted after {result.trace.shape[1]} draws"
    if result.n_diverged:
        which = diverged(torch.cat([result.burnin_trace, result.trace], 1), result.n_params)
        rest = float(result.per_chain[~which].mean())
        yield (
            "diverged",
            f"{result.n_diverged} of {chains} chains diverged (kept in llc; the mean of the others is {rest:.4g}); "
            f"lr is {result.lr:.3g}: try a tenth of it",
        )
    if chains == 1:
        yield "one_chain", "with one chain there is no R-hat, and the error is that of the chain alone"


def _step(result: LLCResult, seen: Circumstances) -> Found:
    steepness, limit = result.steepness, STEP_LIMIT[result.sampler]
    if steepness > limit or result.virial - 3 * seen.virial_error > 1.1:
        yield (
            "step_too_large",
            f"lr x largest curvature of U is {steepness:.2g} (limit for {result.sampler}: {limit:g}); the virial ratio "
            f"is {result.virial:.3g} where 1 is right; try lr = {result.lr / max(4 * steepness / limit, 4):.2g}"
            + ("" if seen.full_batch else " or larger batches"),
        )
    if result.virial + 3 * seen.virial_error < 0.9:
        known = result.gamma > 0 and result.precondition is None
        relaxed = f"; flat directions take some {4 / (result.lr * result.gamma):.0f} steps" if known else ""
        yield (
            "not_equilibrated",
            f"the virial ratio is {result.virial:.3g} where 1 is right: the chains have not spread as far as the "
            f"posterior{relaxed}: raise burnin or gamma",
        )
    if result.acceptance < 0.2:
        yield "low_acceptance", f"mala accepts {result.acceptance:.1%} of its proposals; try lr = {result.lr / 10:.2g}"


def _draws(result: LLCResult, seen: Circumstances) -> Found:
    if result.n_diverged:
        return
    size = max(abs(result.llc), 1e-12)
    if not result.ess >= 100 or result.std_error > 0.1 * size:
        yield (
            "few_draws",
            f"{result.trace.numel()} draws are worth {result.ess:.0f} independent ones, and the standard error is "
            f"{result.std_error / size:.0%} of the estimate; 100 and 10 % are the least",
        )
    if result.rhat > RHAT_LIMIT:
        yield (
            "chains_disagree",
            f"R-hat is {result.rhat:.3f}, above {RHAT_LIMIT}: more burn-in, or chains stuck in places",
        )
    early, late, error = drift(result.trace)
    chains = len(result.trace)
    limit = student_t.isf(DRIFT_CHANCE / 2, chains - 1) if chains >= 4 else 5.0
    if abs(late - early) > max(limit * error, 0.05 * size):
        yield (
            "drifting",
            f"the first third of the draws has mean {early:.4g}, the last {late:.4g}: burnin of "
            f"{result.burnin_trace.shape[1]} is too short (all chains start at w*)",
        )


def _minimum(result: LLCResult, seen: Circumstances) -> Found:
    yield from about_minimum(seen.start, result.nbeta, result.llc)
    if result.llc < -2 * result.std_error:
        yield "negative", f"llc is {result.llc:.3g}: the chains found places with less loss than w*"


def _setting(result: LLCResult, seen: Circumstances) -> Found:
    if not seen.anchored and not seen.full_batch:
        rest = 1 - seen.batch_size / seen.samples
        noise = result.nbeta * seen.start.loss_sd * math.sqrt(rest / seen.batch_size)
        if noise > 0.05 * abs(result.llc):
            yield (
                "noisy_baseline",
                f"nbeta L(w*) was read on one minibatch of {seen.batch_size}, with standard error {noise:.3g} that "
                "all chains share and neither std_error nor R-hat shows: use anchor=True",
            )
    if -result.gamma_sensitivity - 3 * seen.sensitivity_error > GAMMA_LIMIT:
        yield (
            "gamma_dominates",
            f"doubling gamma = {result.gamma:.3g} would change llc by about {2**result.gamma_sensitivity - 1:.0%}: "
            "the prior holds the chains as much as the loss does; try a tenth of it",
        )


def _precision(result: LLCResult, seen: Circumstances) -> Found:
    yield from about_precision(seen.precision, result.nbeta, result.llc, result.std_error)


def _model(result: LLCResult, seen: Circumstances) -> Found:
    yield from about_model(seen.start, seen.mode_layers)


def _observed(result: LLCResult, seen: Circumstances) -> Found:
    named = result.observed if isinstance(result.observed, dict) else {"": result.observed}
    for name, values in named.items():
        lost = torch.zeros(0) if values is None else values.isnan().reshape(*values.shape[:2], -1).any(2)
        if lost.any():
            draw, chain = lost.T.nonzero()[0].tolist()
            yield (
                "observed_nan",
                f"{f'{name!r} of ' if name != '' else ''}on_draw is NaN at {int(lost.sum())} of {lost.numel()} draws, "
                f"the first of them draw {draw} of chain {chain}",
            )


def about_minimum(start: Start, nbeta: float, llc: float) -> Found:
    """``not_a_minimum``, where one step of steepest descent from w* gains a tenth of what is estimated."""
    gain = nbeta * start.gain()
    if gain > 0.1 * max(abs(llc), 1.0) and start.grad_norm > 0:
        yield (
            "not_a_minimum",
            f"the gradient at w* has norm {start.grad_norm:.3g}: one step along it takes {gain:.3g} off nbeta L; "
            "train on until that is small beside llc",
        )


def about_precision(seen: Precision, nbeta: float, llc: float, std_error: float, at: str = "") -> Found:
    """``precision``, where rounding may move an estimate by half its standard error and a thousandth of itself.

    Args:
        at: which estimate, if there are several.
    """
    kind = str(seen.dtype).removeprefix("torch.")
    double = "use a model and data in double precision (model.double()), " if kind != "float64" else ""
    moved, error = nbeta * seen.rounding, std_error if std_error > 0 else 0.0
    if moved > max(ROUNDING_LIMIT * error, 1e-3 * abs(llc)):
        yield (
            "precision",
            f"rounding in {kind} may move llc by {moved:.2g}{at}, beside a standard error of {error:.2g} that does not "
            f"show it: {double}take off the loss what is constant in it, or bring targets and outputs to a scale of 1",
        )
    elif seen.swallowed > SWALLOWED_LIMIT:
        yield (
            "precision",
            f"the steps are so short{at} that rounding the weights to {kind} adds {seen.swallowed:.0%} to their noise: "
            f"{double}or take a smaller nbeta or a larger lr",
        )


def about_model(start: Start, layers: Sequence[str]) -> Found:
    """What is wrong with the loss, and ``eval_mode`` for the layers that :func:`mode_layers` found."""
    if start.sound.slope_error > SLOPE_LIMIT:
        along = ", ".join(map(repr, start.sound.wrong[:3])) + (" ..." if len(start.sound.wrong) > 3 else "")
        yield (
            "wrong_gradient",
            f"near w*, slopes of the loss differ by {start.sound.slope_error:.0%} from those that autograd claims"
            f"{f', along {along}' if along else ''}: a part of the loss is computed without gradients (.detach(), "
            "torch.no_grad(), a straight-through estimator)",
        )
    if start.sound.coupled:
        norms = ", ".join(start.sound.batch_norms[:3]) or "something that is computed over the batch"
        yield (
            "coupled_samples",
            f"the mean loss of a batch is not that of its samples one by one ({norms}): in minibatches it is another "
            "loss, and on all the data one of just these samples; use batch norm with running statistics "
            "(track_running_stats=True) or another norm",
        )
    if start.random:
        yield (
            "random_loss",
            f"two evaluations at w* on the same samples differ by up to {start.gap:.3g}: is a functional dropout "
            "on? The noise is averaged, not removed",
        )
    if layers:
        shown = ", ".join(layers[:3]) + (" ..." if len(layers) > 3 else "")
        yield (
            "eval_mode",
            f"the model was in training mode and ran in eval mode, with dropout off and batch norm on its running "
            f"statistics ({shown})",
        )
