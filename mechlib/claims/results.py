"""What came of a claim, as data that a notebook keeps and the ledger reads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from mechlib.claims.words import DECLARED, a_sentence, checked_id, kind

VERSION = 3
"""Of these data."""


@dataclass(frozen=True)
class Line:
    """What a rule says of one system in one setting."""

    outcome: str
    effect: float | None = None
    """Mean of what decides; none where the library warns and leaves no numbers."""
    interval: tuple[float, float] | None = None
    """Lower and upper end of its 95 % interval."""
    n: int = 0
    """Number of units; 0 where it is not known."""
    arm: str = ""
    """Which of several contrasts decides."""
    why: str = ""
    """What else is to be said: a warning of the library, or in how many runs it holds."""
    arms: tuple[str, ...] = ("",)
    """The names of all contrasts."""

    def __post_init__(self) -> None:
        kind(self.outcome)
        object.__setattr__(self, "arms", tuple(self.arms))
        if self.effect is None or self.interval is None:
            return
        object.__setattr__(self, "effect", float(self.effect))
        object.__setattr__(self, "interval", tuple(map(float, self.interval)))
        if len(self.interval) != 2 or not self.interval[0] <= self.effect <= self.interval[1]:
            raise ValueError(f"the effect {self.effect} does not lie in its interval {self.interval}")
        if not all(map(math.isfinite, self.interval)):
            raise ValueError(f"the interval {self.interval} is not finite")

    def __str__(self) -> str:
        if self.effect is None or self.interval is None:
            return "" if self.outcome == DECLARED else "no number"
        low, high = self.interval
        return f"{self.effect:+.3g} [{low:+.3g}, {high:+.3g}]"

    def size(self, unit: str) -> str:
        """The effect with its interval and unit, in words."""
        if self.effect is None or self.interval is None:
            return str(self)
        low, high = self.interval
        return f"{self.effect:+.3g} {unit}, 95 % interval {low:+.3g} to {high:+.3g}"


Lines = Mapping[str, Line]


@dataclass(frozen=True)
class Record:
    """What came of a claim. Fields of what it does not have are empty."""

    claim_id: str
    outcome: str
    """A word of ``SIGNS``, or ``"depends on ..."``."""
    source: str
    """Who said it, such as ``"nostalgebraist (S2)"``; or ``"our own"``."""
    tested: str
    """The sentence that was tested."""
    words: str = ""
    """The source's own words."""
    place: str = ""
    """Where they stand in it."""
    narrower: str = ""
    """How what was tested is narrower than what was said."""
    measure: str = ""
    """What the effect is."""
    unit: str = ""
    """Unit of the effect, such as ``"nats per token"``."""
    line: Line | None = None
    """What the rule says of the system; none where nothing was measured."""
    rule: str = ""
    """When the claim is supported, when refuted, in words."""
    supports: str = ""
    """Where the whole interval has to lie for support, in the unit of the effect, such as ``"above 0.5"``."""
    over: str = ""
    """What the interval is over, such as ``"files"``."""
    chosen: str = ""
    """What was chosen on what, and on what it was judged."""
    nulls: Lines | str = ""
    """Systems that make the claim false, or why there is none."""
    planted: Lines | str = ""
    """Systems in which it is true by construction, or why there is none."""
    knobs: Mapping[str, Lines] | str = ""
    """By knob and setting, what the rule says there; or why there is none."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """By knob, the setting at which the claim is judged."""
    also: Lines = field(default_factory=dict)
    """What the same rule says of other systems."""
    open: str = ""
    """What the verdict leaves open."""
    reason: str = ""
    """Why the outcome is what it is, where the numbers do not say so."""

    def __post_init__(self) -> None:
        checked_id(self.claim_id)
        kind(self.outcome)
        measured = ("measure", "unit") if self.line else ()
        for name in ("tested", "source", *measured):
            what = "tested claim" if name == "tested" else name
            a_sentence(getattr(self, name), f"the verdict on {self.claim_id} has no {what}")

    @property
    def effect(self) -> float | None:
        """Mean of what decides; none where nothing was measured."""
        return self.line.effect if self.line else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The effect's 95 % interval; none where nothing was measured."""
        return self.line.interval if self.line else None

    @property
    def data(self) -> dict[str, Any]:
        """All fields, with the version of their form, as a notebook keeps them."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """The record of which these are the ``data``.

        Raises:
            ValueError: if they are of another version.
        """
        given = dict(data)
        if (version := given.pop("version", 1)) != VERSION:
            raise ValueError(f"this verdict has the form {version}, not {VERSION}: execute its notebook again")
        return cls(**{one.name: _read(given[one.name]) for one in fields(cls)})


def _read(value: Any) -> Any:
    """A field as it was: a line is a mapping with an outcome."""
    if not isinstance(value, Mapping):
        return value
    return Line(**value) if "outcome" in value and "effect" in value else {k: _read(v) for k, v in value.items()}
