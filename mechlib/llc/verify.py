"""The decisive check of an estimate: does it stay where it is when the step is halved?

The error of a sampler's step shows in no statistic of its own chains: they agree with each other on a wrong answer. It
shrinks with the step, so a second run at half of it, of as many draws and twice the burn-in, either agrees or tells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from mechlib.llc.arguments import named_as_here
from mechlib.llc.data import Data
from mechlib.llc.estimate import estimate_llc
from mechlib.llc.result import LLCResult
from mechlib.llc.surface import LossFn

__all__ = ["Verification", "verify"]

Z_LIMIT = 3.0
"""Differences above so many standard errors are disagreement."""

SHARED = {"precision", "wrong_gradient", "coupled_samples"}
"""Codes of faults that do not shrink with the step, so that two estimates may agree on a wrong value."""

ERROR_LIMIT = 0.1
"""Agreement within a larger relative standard error says nothing."""


@dataclass(frozen=True)
class Verification:
    """Two estimates of the same coefficient, the second at half the step."""

    first: LLCResult
    """The estimate that is put to the test."""
    half: LLCResult
    """That at half its step."""
    difference: float
    """``half.llc - first.llc``."""
    std_error: float
    """Of the difference, the runs being independent."""
    z: float
    """The difference in standard errors."""
    verdict: Literal["agree", "disagree", "inconclusive"]
    """``"disagree"``: more than 3 standard errors apart, or a value is not finite; ``"inconclusive"``: no more than
    that apart, but with a standard error above a tenth of the estimate, or with one of :attr:`doubts`."""

    @property
    def doubts(self) -> tuple[str, ...]:
        """The codes among the warnings of either estimate that no step, however short, could put right."""
        return tuple(sorted(SHARED & (self.first.codes() | self.half.codes())))

    def __str__(self) -> str:
        doubts = f", both may be wrong: {', '.join(self.doubts)}" if self.doubts else ""
        return (
            f"{self.verdict}: {self.first.llc:.4g} ± {self.first.std_error:.2g} at lr {self.first.lr:.3g}, "
            f"{self.half.llc:.4g} ± {self.half.std_error:.2g} at half of it (z = {self.z:.1f}){doubts}"
        )


@named_as_here
def verify(
    model: nn.Module,
    loss_fn: LossFn,
    data: Data,
    *,
    result: LLCResult | None = None,
    seed: int = 0,
    **options: Any,
) -> Verification:
    """Estimate, and estimate again at half the step with the same number of draws, twice the burn-in and another seed.

    Args:
        result: the first estimate, if it has been made; ``options`` are then to be those it was made with.
        seed: of the first run; the second takes the next one.
        options: those of :func:`mechlib.llc.estimate.estimate_llc`.

    Raises:
        TypeError, ValueError: as ``estimate_llc`` does.
        ValueError: if the first estimate was interrupted before its first draw.
    """
    first = estimate_llc(model, loss_fn, data, seed=seed, **options) if result is None else result
    if not first.trace.numel():
        raise ValueError("there is nothing to verify: the first estimate was interrupted before its first draw")
    burnin = 2 * options.pop("burnin", first.burnin_trace.shape[1])
    again = options | {
        "lr": first.lr / 2,
        "nbeta": first.nbeta,
        "gamma": first.gamma,
        "sampler": first.sampler,
        "precondition": first.precondition,
        "chains": first.trace.shape[0],
        "draws": first.trace.shape[1],
        "burnin": burnin,
    }
    half = estimate_llc(model, loss_fn, data, seed=seed + 1, **again)
    difference, error = half.llc - first.llc, math.hypot(first.std_error, half.std_error)
    z = difference / error if error > 0 else math.copysign(math.inf, difference) if difference else 0.0
    return Verification(first, half, difference, error, z, _verdict(first, half, z, error))


def _verdict(first: LLCResult, half: LLCResult, z: float, error: float) -> Literal["agree", "disagree", "inconclusive"]:
    if not abs(z) <= Z_LIMIT:
        return "disagree"
    sound = not SHARED & (first.codes() | half.codes())
    return "agree" if sound and error <= ERROR_LIMIT * abs(half.llc) else "inconclusive"
