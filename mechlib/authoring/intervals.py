"""An interval as a small picture in a table: where it lies, and where it would have to lie for support.

Every picture has its own scale, which holds zero, the bound and the interval. It has no colour of its own, and its
words stand beside it, so that it is read in grey and in the dark, and can be done without.
"""

from __future__ import annotations

import html
import math
import re
from dataclasses import dataclass

__all__ = ["Interval"]

NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
EFFECT = re.compile(rf": (?P<effect>{NUMBER}) \[(?P<low>{NUMBER}), (?P<high>{NUMBER})\]")
SUPPORTED = re.compile(rf"supported (?P<side>above|below|between) (?P<first>{NUMBER})(?: and (?P<second>{NUMBER}))?$")
WIDTH, HEIGHT, EDGE, MIDDLE = 180, 34, 14, 12
"""In units of the picture: its size, the room at its sides, and the height of the interval."""


@dataclass(frozen=True)
class Interval:
    """An effect with the ends of its interval, and between which numbers it would be supported."""

    effect: float
    low: float
    high: float
    supported: tuple[float, float] | None = None
    """Without an end on one side infinite; none where it is not known."""

    @classmethod
    def told(cls, text: str) -> Interval | None:
        """The interval that a cell of the ledger tells, ``measure: +1.5 [+1, +2] nats; supported above 0.5``."""
        found, rule = EFFECT.search(text), SUPPORTED.search(text)
        if found is None:
            return None
        ends = None
        if rule:
            first = float(rule["first"])
            ends = {
                "above": (first, math.inf),
                "below": (-math.inf, first),
                "between": (first, float(rule["second"] or "nan")),
            }[rule["side"]]
        return cls(float(found["effect"]), float(found["low"]), float(found["high"]), ends)

    @property
    def svg(self) -> str:
        """The picture; empty where everything lies at one place."""
        bounds = [end for end in self.supported or () if math.isfinite(end)]
        marks = [0.0, *bounds, self.low, self.high]
        left, right = min(marks), max(marks)
        if not left < right:
            return ""

        def at(value: float) -> float:
            share = (min(max(value, left), right) - left) / (right - left)
            return round(EDGE + share * (WIDTH - 2 * EDGE), 1)

        parts = [f'<path d="M0 {MIDDLE}H{WIDTH}" class="axis"/>']
        if self.supported:
            start, end = self.supported
            begin = at(start) if math.isfinite(start) else 0
            width = (at(end) if math.isfinite(end) else WIDTH) - begin
            parts.insert(0, f'<rect x="{begin}" y="2" width="{width:g}" height="{2 * MIDDLE - 4}" class="there"/>')
        for value in dict.fromkeys((0.0, *bounds)):
            name = "bound" if value in bounds else "zero"
            parts.append(f'<path d="M{at(value)} 2V{2 * MIDDLE - 2}" class="{name}"/>')
            parts.append(f'<text x="{at(value)}" y="{HEIGHT - 1}" class="{name}">{value:g}</text>')
        if len(bounds) and 0.0 not in bounds and min(abs(at(0.0) - at(end)) for end in bounds) < 2 * EDGE:
            parts = [part for part in parts if not part.endswith('class="zero">0</text>')]
        parts.append(f'<path d="M{at(self.low)} {MIDDLE}H{at(self.high)}" class="interval"/>')
        parts.append(f'<circle cx="{at(self.effect)}" cy="{MIDDLE}" r="4"/>')
        size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        told = f'role="img" aria-label="{html.escape(self.words)}"'
        return f'<svg class="mechlib-interval" {size} {told}>{"".join(parts)}</svg>'

    @property
    def words(self) -> str:
        """What the picture shows."""
        said = f"{self.effect:g}, interval {self.low:g} to {self.high:g}"
        if not self.supported:
            return said
        low, high = self.supported
        if math.isinf(high):
            return f"{said}; supported above {low:g}"
        return f"{said}; supported {f'between {low:g} and' if math.isfinite(low) else 'below'} {high:g}"
