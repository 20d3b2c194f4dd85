"""What is asked, what it came to, and the sentences that say so: as text, and as HTML that reads well by itself."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Answer", "Guess", "Said"]

Said = float | str
"""A guess that was made: a number, or one of the options."""

GUESS_ID = re.compile(r"\d\d[a-zA-Z0-9-]+")
CODE = re.compile(r"`([^`]+)`")
SIDES = {"below": "less", "above": "more"}
"""The two ways in which a number is off, and what somebody who is says."""


@dataclass(frozen=True)
class Guess:
    """A question about a result that is still to come: a number, or a choice where there are options."""

    guess_id: str
    """The chapter's two digits and more, such as ``"02a"``."""
    question: str
    """In plain words; code stands in backticks."""
    unit: str = ""
    """Of the number, such as ``"nats per token"``."""
    between: tuple[float, float] | None = None
    """The smallest and the largest number that can be the answer."""
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not GUESS_ID.fullmatch(self.guess_id):
            raise ValueError(f"a guess is named by its chapter's two digits and more, '02a', not {self.guess_id!r}")
        if not self.question.strip():
            raise ValueError(f"guess {self.guess_id} has no question")
        if self.options and (len(set(self.options)) != len(self.options) or len(self.options) < 2):
            raise ValueError(f"guess {self.guess_id} needs two different options or more, got {list(self.options)}")
        if self.options and (self.unit or self.between):
            raise ValueError(f"guess {self.guess_id} has options, so it has no unit and no range")
        if self.between and not self.between[0] < self.between[1]:
            raise ValueError(f"guess {self.guess_id} lies between a smaller and a larger number, not {self.between}")

    def accepted(self, said: Said) -> Said:
        """What somebody said, if it can be a guess.

        Raises:
            ValueError: for what is none of the options, no number, or outside of the range; the message says which.
        """
        if self.options:
            if said not in self.options:
                raise ValueError(f"guess {self.guess_id} is one of {list(self.options)}, not {said!r}")
            return said
        if isinstance(said, str) or not math.isfinite(said):
            raise ValueError(f"guess {self.guess_id} is a number, not {said!r}")
        low, high = self.between or (-math.inf, math.inf)
        if not low <= said <= high:
            raise ValueError(f"guess {self.guess_id} lies between {low:g} and {high:g}, which {said:g} does not")
        return float(said)

    def in_words(self, said: Said) -> str:
        """What somebody said, with its unit."""
        if isinstance(said, str):
            return f"“{said}”"
        return self.measured(str(int(said)) if said == int(said) else f"{said:.4g}")

    def measured(self, number: str) -> str:
        """A number that is written out, with the unit."""
        return f"{number} {self.unit}".rstrip()

    @property
    def wanted(self) -> str:
        """What is asked for, such as ``"nats per token, between 0 and 8"``."""
        if self.options:
            return "one of " + ", ".join(map(self.in_words, self.options))
        span = f"between {self.between[0]:g} and {self.between[1]:g}" if self.between else ""
        return ", ".join(filter(None, [self.unit, span]))

    def __str__(self) -> str:
        wanted = f" ({self.wanted})" if self.wanted else ""
        return f"{self.guess_id}: {self.question}{wanted}"

    @property
    def data(self) -> dict[str, Any]:
        """What a script has to know of it."""
        return {
            "id": self.guess_id,
            "question": self.question,
            "unit": self.unit,
            "between": self.between,
            "options": self.options,
        }

    def page(self) -> str:
        """HTML that a script makes a form of; without one it asks to write the guess down."""
        options = "".join(f"<li>{_marked(option)}</li>" for option in self.options)
        wanted = f" ({html.escape(self.wanted)})" if self.wanted and not self.options else ""
        return (
            f'<div class="mechlib-guess" data-mechlib="{_attribute(self.data)}">'
            f'<p class="ml-title">Guess first</p><p class="ml-question">{_marked(self.question)}</p>'
            + (f"<ul>{options}</ul>" if options else "")
            + f'<p class="ml-by-hand">Write your guess{wanted} down before you read on.</p></div>'
        )


@dataclass(frozen=True)
class Answer:
    """What a question came to, with what somebody who was off probably thought."""

    guess: Guess
    value: Said
    """The number, or the option, that came out."""
    shown: str
    """The number as it is written, with its unit, or the option in quotes."""
    within: float
    """How far from the number a guess may be and count as right."""
    thought: Mapping[str, str]
    """What follows "you probably thought", for each way of being off: ``"below"`` and ``"above"``, or other options."""
    interval: str = ""
    """Of the number, in words."""

    def judged(self, said: Said) -> str:
        """``"right"``, or the way in which the guess is off: one of the keys of ``thought``."""
        if isinstance(self.value, str) or isinstance(said, str):
            return "right" if said == self.value else str(said)
        if abs(said - self.value) <= self.within:
            return "right"
        return "below" if said < self.value else "above"

    def told(self, said: Said | None = None) -> str:
        """The answer in words, beside what was said if something was."""
        answer = f"{self.guess.guess_id}: {self.shown}{f' ({self.interval})' if self.interval else ''}."
        if said is None:
            return "\n".join([answer, *(f"  {self._line(way)}" for way in self.thought)])
        way = self.judged(said)
        near = "right" if self.guess.options else "near enough"
        verdict = near if way == "right" else f"you probably thought {self.thought[way]}"
        return f"{answer} You said {self.guess.in_words(said)}: {verdict}."

    def _line(self, way: str) -> str:
        said = SIDES.get(way) if not self.guess.options else self.guess.in_words(way)
        return f"If you said {said}, you probably thought {self.thought[way]}."

    def page(self) -> str:
        """HTML in which a script sets what was said beside the answer; without one it has a line for every case."""
        interval = f" ({self.interval})" if self.interval else ""
        data = {"guess": self.guess.data, "value": self.value, "within": self.within}
        lines = "".join(f'<li data-off="{html.escape(way)}">{_marked(self._line(way))}</li>' for way in self.thought)
        return (
            f'<div class="mechlib-answer" data-mechlib="{_attribute(data)}">'
            f'<p class="ml-title">The answer</p><p class="ml-question">{_marked(self.guess.question)}</p>'
            f'<p class="ml-result">It is <strong>{_marked(self.shown)}</strong>{interval}.</p><ul>{lines}</ul></div>'
        )


def _attribute(data: Mapping[str, Any]) -> str:
    return html.escape(json.dumps(data))


def _marked(text: str) -> str:
    """HTML of a text with code in backticks."""
    return CODE.sub(r"<code>\1</code>", html.escape(text))
