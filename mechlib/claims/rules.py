"""Rules: when a claim is supported, when refuted, and the words that say so.

Evidence has one or several arms, and a rule makes *contrasts* of them: the arms as they are, or one of them less each
other. A contrast has one number for each unit, and the rule asks where the interval of its mean lies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Num

from mechlib import stats

LEVEL = 0.95
"""Coverage of the intervals, two-sided: at its bound a rule errs in 2.5 of 100 cases."""


@dataclass(frozen=True)
class Rule:
    """A rule of one of four forms, made by ``above``, ``below``, ``within`` or ``exceeds``."""

    unit: str
    """Of the numbers that it compares, such as ``"nats per token"``."""
    supported: tuple[float, float]
    """The claim is supported if the whole interval lies between these two, ends excluded."""
    refuted: tuple[float, float]
    """The claim is refuted if the whole interval lies below the first or above the second."""
    some: bool = False
    """Whether one contrast that lies there is enough; otherwise it takes all of them."""
    first: str = ""
    """The arm that must exceed the others; empty where every arm is a contrast."""
    others: tuple[str, ...] = ()
    """The arms to be exceeded; all others where it is empty."""
    times: float = 1.0
    """By how much the others are multiplied first."""

    def __post_init__(self) -> None:
        (low, high), (under, over) = self.supported, self.refuted
        if not self.unit.strip():
            raise ValueError("a rule names the unit of its bound, such as 'nats per token'")
        if not low < high or not any(map(math.isfinite, self.supported)):
            raise ValueError(f"a rule needs a bound, and a band a width, got {low:g} to {high:g}")
        if under > low or over < high:
            raise ValueError(
                f"what refutes must not lie where the claim is supported, got supported between {low:g} and {high:g}, "
                f"refuted below {under:g} or above {over:g}"
            )

    @property
    def bound(self) -> float | tuple[float, float]:
        """The bound, or both ends of a band."""
        ends = [end for end in self.supported if math.isfinite(end)]
        return ends[0] if len(ends) == 1 else self.supported

    @property
    def supports(self) -> str:
        """Where the whole interval has to lie for support, such as ``"above 0.5"``; without the unit."""
        return _between(*self.supported)

    def at(self, bound: float | tuple[float, float]) -> Rule:
        """The same rule with another bound, or another band. What refutes moves along.

        Raises:
            ValueError: if a band is given for a bound, or a bound for a band.
        """
        if isinstance(bound, tuple) != isinstance(self.bound, tuple):
            raise ValueError(f"the rule has the bound {self.bound}, and another is one like it, not {bound!r}")
        (low, high), (under, over) = self.supported, self.refuted
        if isinstance(bound, tuple):
            new_low, new_high = bound
        else:
            new_low, new_high = (bound if math.isfinite(end) else end for end in self.supported)
        under += new_low - low if math.isfinite(low) else 0
        over += new_high - high if math.isfinite(high) else 0
        return replace(self, supported=(new_low, new_high), refuted=(under, over))

    @property
    def named(self) -> tuple[str, ...]:
        """The names of the contrasts as far as the rule has them, before there is evidence."""
        others = self.others or ("every other arm",)
        return tuple(f"{self.first} − {self._multiple(name)}" for name in others) if self.first else ("",)

    def contrasts(self, arms: Mapping[str, Num[np.ndarray, "*sets unit"]]) -> dict[str, Num[np.ndarray, "*sets unit"]]:
        """What the rule looks at, by name.

        Raises:
            ValueError: if the evidence lacks an arm that the rule names.
        """
        if not self.first:
            return dict(arms)
        others = self.others or tuple(name for name in arms if name != self.first)
        if not others or not {self.first, *others} <= set(arms):
            wanted = [self.first, *(self.others or ["another"])]
            raise ValueError(f"the rule compares the arms {wanted}, the measure gives {list(arms)}")
        mine = arms[self.first].astype(float)
        return {f"{self.first} − {self._multiple(name)}": mine - self.times * arms[name] for name in others}

    def read(self, arms: Mapping[str, Num[np.ndarray, "*sets unit"]]) -> Reading:
        """What the rule says of evidence, or at once of many sets of evidence along leading axes.

        With ``k`` contrasts the intervals that may err in one of several places, those that refute where all are asked
        and those that support where one is enough, have the level ``1 - 0.05 / k`` (Bonferroni).

        A true mean at the bound is found, or refuted, in at most 2.5 of 100 sets of 20 or more values, normal or as
        skewed as an exponential; and of five if they are normal. Of five that are as skewed it is 7, and 13 where one
        of three contrasts is enough.
        """
        contrasts = self.contrasts(arms)
        values = np.stack(list(contrasts.values()))
        plain, strict = _interval(values, LEVEL), _interval(values, 1 - (1 - LEVEL) / len(values))
        (low, high), (lower, higher) = (strict, plain) if self.some else (plain, strict)
        holds = (low > self.supported[0]) & (high < self.supported[1])
        fails = (higher < self.refuted[0]) | (lower > self.refuted[1])
        most, least = (np.any, np.all) if self.some else (np.all, np.any)
        words = np.select([most(holds, axis=0), least(fails, axis=0)], ["supported", "refuted"], "undecided")
        room = np.minimum(low - self.supported[0], self.supported[1] - high)
        deciding = (room.argmax if self.some else room.argmin)(axis=0)[None]
        effect, low, high = (np.take_along_axis(a, deciding, 0)[0] for a in (values.mean(-1), *plain))
        return Reading(words, effect, low, high, deciding[0], tuple(contrasts))

    def sentence(self, contrasts: Sequence[str] = ("",)) -> str:
        """The rule with all its outcomes in words.

        Args:
            contrasts: their names, as the evidence gives them.
        """
        k = len(contrasts)
        which = "paired difference" if self.first else "arm"
        of, one = "", "it"
        if k == 1 and self.first:
            of = f" of the {which} {contrasts[0]}"
        elif k > 1:
            of = f" of {'at least one' if self.some else 'every'} {which} ({', '.join(contrasts)})"
            one = "every one of them" if self.some else "that of any one"
        level = (
            ""
            if k == 1
            else f" Where one of the {k} is enough, its interval is one of {100 * (1 - (1 - LEVEL) / k):.4g} %."
        )
        return (
            f"Supported if the 95 % interval{of} lies {self.supports} {self.unit}; "
            f"refuted if {one} lies {_beyond(*self.refuted)}; undecided otherwise.{level}"
        )

    def _multiple(self, name: str) -> str:
        return name if self.times == 1 else f"{self.times:g} × {name}"


@dataclass(frozen=True)
class Reading:
    """What a rule says of evidence; arrays over the sets of evidence, without axes where there is one."""

    word: Any
    """``"supported"``, ``"refuted"`` or ``"undecided"``."""
    effect: Any
    """Mean of the contrast that decides: that nearest to failing, or where one is enough that farthest from it."""
    low: Any
    """Lower end of its 95 % interval."""
    high: Any
    """Upper end of its 95 % interval."""
    deciding: Any
    """Number of that contrast."""
    contrasts: tuple[str, ...]
    """Names of all."""


def above(bound: float, unit: str, *, refuted_below: float | None = None, some: bool = False) -> Rule:
    """The rule that every arm lies above a bound.

    Args:
        bound: the claim is supported if the whole interval lies above it.
        unit: of the bound, such as ``"nats per token"``.
        refuted_below: refuted if the whole interval lies below this; by default the bound itself.
        some: whether one arm that lies there is enough.

    Raises:
        ValueError: if the unit is empty, or ``refuted_below`` lies above the bound.
    """
    under = bound if refuted_below is None else refuted_below
    return Rule(unit, (bound, math.inf), (under, math.inf), some)


def below(bound: float, unit: str, *, refuted_above: float | None = None, some: bool = False) -> Rule:
    """The rule that every arm lies below a bound: ``above`` the other way about.

    "The largest of four lies below the bound" is this rule with four arms; nothing is selected.
    """
    over = bound if refuted_above is None else refuted_above
    return Rule(unit, (-math.inf, bound), (-math.inf, over), some)


def within(
    low: float, high: float, unit: str, *, refuted_beyond: tuple[float, float] | None = None, some: bool = False
) -> Rule:
    """The rule that every arm lies within a band, as ``above``: refuted beyond its ends, or beyond wider ones."""
    return Rule(unit, (low, high), (low, high) if refuted_beyond is None else refuted_beyond, some)


def exceeds(
    first: str, *others: str, by: float = 0.0, unit: str, times: float = 1.0, refuted_below: float | None = None
) -> Rule:
    """The rule that one arm lies above each of the others by a margin, unit by unit.

    Args:
        first: the arm's name in the evidence.
        others: those of the arms it is compared with; by default all the others.
        by: the margin: supported if the whole interval of the difference lies above it.
        unit: of the margin.
        times: by how much the others are multiplied first: 2 asks for twice as much.
        refuted_below: refuted if the whole interval lies below this; by default the margin itself.

    Raises:
        ValueError: if a name is empty or named twice, or as ``above``.
    """
    names = (first, *others)
    if not all(name.strip() for name in names) or len(set(names)) < len(names):
        raise ValueError(f"exceeds compares arms of different names, got {list(names)}")
    under = by if refuted_below is None else refuted_below
    return Rule(unit, (by, math.inf), (under, math.inf), first=first, others=others, times=times)


def _interval(
    values: Num[np.ndarray, "*sets unit"], level: float
) -> tuple[Float[np.ndarray, "*sets"], Float[np.ndarray, "*sets"]]:
    """Ends of the intervals for the means: of shares for booleans, of values that may be skewed for numbers."""
    if values.dtype != bool:
        return stats.skewed_interval(values, level=level)
    found, n = values.sum(-1), values.shape[-1]
    shares = {int(count): stats.share(int(count), n, level=level) for count in np.unique(found)}
    low, high = np.vectorize(lambda count: (shares[count].low, shares[count].high), otypes=[float, float])(found)
    return low, high


def _between(low: float, high: float) -> str:
    if math.isinf(high):
        return f"above {low:g}"
    return f"below {high:g}" if math.isinf(low) else f"between {low:g} and {high:g}"


def _beyond(low: float, high: float) -> str:
    return " or ".join([f"below {low:g}"] * math.isfinite(low) + [f"above {high:g}"] * math.isfinite(high))
