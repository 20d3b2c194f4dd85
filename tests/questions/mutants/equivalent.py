"""Mutants that are no mistakes, for they are the reference on all inputs that the question allows; with the reasons.

Two ways to declare one: ``RANGES`` says between what bounds a quantity lies, so that a change which only acts outside
of them is none; ``EQUAL`` names a single mutant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["EQUAL", "RANGES", "Range", "reason"]


@dataclass(frozen=True)
class Range:
    """Between what bounds a quantity lies by its definition."""

    low: float
    high: float
    why: str


COUNT = Range(0, math.inf, "a count")
INDEX = Range(0, math.inf, "an index")
SHARE = Range(0, 1, "a share")
COSINE = Range(-1, 1, "a cosine")
PROBABILITY = Range(0, 1, "a probability")
DIVERGENCE = Range(0, math.inf, "a divergence is not negative")
SQUARES = Range(0, math.inf, "made of squares")
LOSS = Range(0, math.inf, "losses of the book are not negative")
POSITIVE = Range(0, math.inf, "positive by its definition")

RANGES: dict[str, dict[str, Range]] = {
    "ch01.work": {"recomputed": COUNT, "cached": COUNT},
    "ch01.prompts": {"divergence": DIVERGENCE, "information": DIVERGENCE, "offset": DIVERGENCE},
    "ch02.target_rank": {"rank": COUNT},
    "ch02.kl_to_final": {"kl": DIVERGENCE},
    "ch02.readable": {"current": SHARE, "guess": SHARE},
    "ch03.nearest": {"token": INDEX},
    "ch03.by_place": {"share": SHARE},
    "ch05.lead": {"rival": INDEX},
    "ch05.reach": {"weights": Range(0, 1, "weights of a mean")},
    "ch05.stretch": {"factor": Range(0, math.inf, "the origin lies inside")},
    "ch06.induction_score": {"pattern": PROBABILITY, "score": PROBABILITY},
    "ch06.composition_score": {"score": Range(-1, 1, "a ratio of at most 1, less one of at most 1")},
    "ch06.copying_score": {"score": Range(-1, 1, "a sum over the sum of the sizes")},
    "ch06.refute_period": {
        "pattern": PROBABILITY,
        "claimed": PROBABILITY,
        "fresh": PROBABILITY,
        "shortcut": PROBABILITY,
    },
    "ch08.paths": {"coefficient": POSITIVE, "multiplicity": COUNT},
    "ch08.weigh": {"curvature": POSITIVE, "volume": POSITIVE, "place": SQUARES},
    "ch09.read_off": {"unexplained": SHARE},
    "ch09.best_rates": {"var": SQUARES, "fourth": SQUARES, "rates": SQUARES, "loss": SQUARES, "common": SQUARES},
    "ch10.acting": {"curved": SHARE},
    "ch10.matched": {"chosen": INDEX, "cosine": COSINE, "nearest": INDEX},
    "ch10.bayes": {"error": SQUARES},
    "ch11.curve": {"error": SQUARES},
    "ch11.sparse": {"inclusion": PROBABILITY},
    "ch12.projection": {"left": SHARE},
    "ch12.crossing": {
        "errors": SQUARES,
        "coefficients": POSITIVE,
        "gap": Range(0, math.inf, "the accurate solution has the lower loss"),
        "n": COUNT,
    },
    "ch14.coefficient": {"coefficient": POSITIVE, "multiplicity": COUNT},
    "ch14.exponents": {
        "threshold": POSITIVE,
        "share": SHARE,
        "exponent": Range(0, math.inf, "a volume shrinks with its threshold"),
    },
    "ch14.free_energy": {"n": COUNT, "weight": POSITIVE},
    "ch14.posterior": {"loss": LOSS, "coefficient": POSITIVE, "n": COUNT, "weight": PROBABILITY},
    "ch15.bias": {"curvature": POSITIVE, "lr": POSITIVE, "estimate": POSITIVE},
    "ch15.lm_chain": {"curvature": POSITIVE},
    "ch15.anchored": {"loss": LOSS},
    "ch15.estimate": {"loss": LOSS, "error": POSITIVE},
    "ch15.diagnose": {"fault": INDEX},
    "ch15.refute": {"lr": POSITIVE},
}
"""For every question, its inputs and results that are bounded."""

TIE = "differs only where two real numbers are equal to the last digit"
ORDER = "only sums over this axis are used"
OUTER = "a norm does not depend on the order of the outer axis"

EQUAL: dict[str, dict[str, str]] = {
    "ch03.by_place": {
        "share: squeezed": "there are always four shares",
        **{f"NOTHING: -2 -> {other}": "no word has this number" for other in (-1, -3)},
    },
    "ch03.erase": {
        f"explained: 1e-10 -> {other}": "a singular value is rounding or far larger" for other in ("9e-11", "1.1e-10")
    },
    "ch06.composition_score": {
        f"{name}: one too {way} along d_model": OUTER for name in ("W_V", "W_Q") for way in ("early", "late")
    },
    "ch07.faithfulness": {
        **{
            f"{name}: one too {way} along prompt": ORDER
            for name in ("kept", "whole", "nothing")
            for way in ("early", "late")
        },
        **{f"{name}: its mean": "the mean over prompts is all that is used" for name in ("whole", "nothing")},
    },
    "ch07.rivals": {"behind_last: same.int().argmax(1) -> abs(same.int()).argmax(1)": "0 or 1"},
    "ch08.direct": {
        f"stream: {what}": "only the mean of its squares is used"
        for what in ("absolute value", "one too early along d_model", "one too late along d_model")
    },
    "ch08.weigh": {"along: absolute value": "only its square counts"},
    "ch09.read_off": {
        f"symmetric: 2 -> {other}": "both functions that are compared are scaled alike" for other in ("1.8", "2.2")
    },
    "ch11.neighbours": {
        "nearest: far.topk(min(k, far.shape[-1]), largest=False) "
        "-> abs(far).topk(min(k, far.shape[-1]), largest=False)": "distances are not negative"
    },
    "ch11.curve": {"all: 32-bit integers": "nothing in it is larger than its arguments"},
    "ch12.crossing": {"solved: more / gap > math.e -> more / gap >= math.e": TIE},
    "ch14.coefficient": {
        "rates: k > 0 -> k >= 0": "dividing by 0 gives the same infinity",
        "most_ties: (found == smallest).sum(1).max() -> abs((found == smallest).sum(1)).max()": COUNT.why,
    },
    "ch15.bias": {"variance: room > 0 -> room >= 0": "dividing by 0 gives the same infinity"},
    "ch15.estimate": {"per_chain: squeezed": "the error needs two chains at least"},
    "ch15.lm_chain": {"walk: 1 -> 1 + 1": "broadcasting gives every chain the start"},
    "ch15.anchored": {
        f"full_loss: {what}": "the input that is not needed"
        for what in ("0", "1", "a constant", "times .9", "times 1.1")
    },
    "ch15.diagnose": {
        **{
            f"{name}: one too {way} along {axis}": ORDER
            for name in ("trace", "half", "doubled")
            for way in ("early", "late")
            for axis in ("chain", "draw")
        },
        "findings: (llc - llc_half).abs() > allowed -> (llc - llc_half).abs() >= allowed": TIE,
        "findings: doubled.mean((1, 2)) < 0.75 * llc -> doubled.mean((1, 2)) <= 0.75 * llc": TIE,
        "findings: llc < -2 * off -> llc <= -2 * off": TIE,
        "findings: off > 0.1 * llc.abs() -> off >= 0.1 * llc.abs()": TIE,
        "findings: star.amax(1) - star.amin(1) > 1e-06 -> star.amax(1) - star.amin(1) >= 1e-06": TIE,
        "findings: star.mean(1).abs() > off -> star.mean(1).abs() >= off": TIE,
        "findings: star.mean(1) -> _median(star, 1)": "readings that differ by more than 1e-6 are coins before that",
    },
}
"""For every question, mutants that are the reference, and why."""

ACTS_OUTSIDE = {
    "absolute value": (0, math.inf),
    "cut at 0": (0, math.inf),
    "clamped to [0, 1]": (0, 1),
    "clamped to [-1, 1]": (-1, 1),
}
"""The bounds between which a change changes nothing."""


def reason(question_id: str, mutant: str) -> str:
    """Why a mutant is no mistake; empty if nothing says so."""
    quantity, _, change = mutant.partition(": ")
    declared = RANGES.get(question_id, {}).get(quantity)
    if declared and change in ACTS_OUTSIDE:
        low, high = ACTS_OUTSIDE[change]
        if low <= declared.low and declared.high <= high:
            return declared.why
    return EQUAL.get(question_id, {}).get(mutant, "")
