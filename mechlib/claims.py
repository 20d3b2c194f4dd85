"""Verdicts on claims, and numbers that the prose quotes.

A chapter ends every claim with one call of ``verdict``. What it shows is a card; what it leaves in the notebook is
data, from which the ledger of all chapters is made.
"""

from __future__ import annotations

import html
import inspect
import math
import os
import platform
import re
import sys
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any

from mechlib.stats import Estimate

METADATA = "mechlib_verdict"
"""Under this name the metadata of an output holds the fields of its ``Verdict``, unseen by the reader."""

WORDS = {"supported": "✓", "refuted": "✗", "undecided": "?"}
"""The three verdicts, each with the sign that stands before it."""

WRITTEN_FOR = (3, 11)
"""The version of Python with which the numbers in the prose were measured."""

CLAIM_ID = re.compile(r"\d\d[a-z]")


@dataclass(frozen=True)
class Verdict:
    """What an experiment says about a claim."""

    claim_id: str
    """Chapter and letter, such as ``"02a"``."""
    verdict: str
    """One of ``WORDS``."""
    claim: str
    """The claim in one sentence."""
    source: str
    """Who argued it, such as ``"nostalgebraist 2020 (S2)"``."""
    measure: str
    """What the effect is, such as ``"KL to the final layer, embedding minus layer 2"``."""
    effect: float
    interval: tuple[float, float]
    """Lower and upper end of the 95 % interval."""
    unit: str
    """Unit of the effect, such as ``"nats per token"``."""
    note: str = ""
    """What the verdict leaves open."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "effect", float(self.effect))
        object.__setattr__(self, "interval", tuple(map(float, self.interval)))
        if not CLAIM_ID.fullmatch(self.claim_id):
            raise ValueError(f"a claim id is two digits and a letter, such as '02a', not {self.claim_id!r}")
        if self.verdict not in WORDS:
            raise ValueError(f"a verdict is one of {', '.join(WORDS)}, not {self.verdict!r}")
        for field in ("claim", "source", "measure", "unit"):
            if not getattr(self, field).strip():
                raise ValueError(f"the verdict on {self.claim_id} has no {field}")
        if len(self.interval) != 2 or not self.interval[0] <= self.effect <= self.interval[1]:
            raise ValueError(f"the effect {self.effect} does not lie in its interval {self.interval}")
        if not all(map(math.isfinite, self.interval)):
            raise ValueError(f"the interval {self.interval} is not finite")

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Verdict:
        """The verdict whose fields an executed notebook holds under ``METADATA``."""
        return cls(**data)

    @property
    def size(self) -> str:
        """The effect with its interval and unit, in words."""
        low, high = self.interval
        return f"{self.effect:+.3g} {self.unit}, 95 % interval {low:+.3g} to {high:+.3g}"

    def __str__(self) -> str:
        lines = [
            f"Claim {self.claim_id}: {self.claim} ({self.source})",
            f"{WORDS[self.verdict]} {self.verdict}",
            f"{self.measure}: {self.size}",
            self.note,
        ]
        return "\n".join(filter(None, lines))

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, Any]]:
        return {"text/html": self._card(), "text/plain": str(self)}, {METADATA: asdict(self)}

    def _card(self) -> str:
        text = {name: html.escape(str(value)) for name, value in asdict(self).items()}
        note = f'<p style="margin:.4em 0 0">{text["note"]}</p>' if self.note else ""
        claim = f"<strong>Claim {self.claim_id}</strong>: {text['claim']} <em>({text['source']})</em>"
        frame = "border:1px solid;border-left-width:.5em;padding:.6em 1em"
        return (
            f'<div class="mechlib-verdict {self.verdict}" style="{frame}"><p style="margin:0">{claim}</p>'
            f'<p style="margin:.4em 0;font-size:1.25em"><strong>{WORDS[self.verdict]} {self.verdict}</strong></p>'
            f'<p style="margin:0">{text["measure"]}: <strong>{html.escape(self.size)}</strong></p>{note}</div>'
        )


def outcome(*, supported: bool, refuted: bool | None = None, control: bool = True) -> str:
    """The verdict that a rule comes to: one of ``WORDS``.

    Args:
        supported, refuted: what the rule asks for either, such as ``gap.below(0.1)`` and ``gap.above(0.1)``. Where
            neither holds, nothing is decided. By default what does not support the claim refutes it.
        control: whether the controls came out as they must; where they did not, nothing is decided either.

    Raises:
        ValueError: if both hold: then the rule is wrong, not the claim.
    """
    refuted = not supported if refuted is None else refuted
    if supported and refuted:
        raise ValueError("this rule both supports and refutes the claim: its two conditions must exclude each other")
    if not control or not (supported or refuted):
        return "undecided"
    return "supported" if supported else "refuted"


def verdict(
    claim_id: str,
    verdict: str,
    *,
    claim: str,
    source: str,
    measure: str,
    effect: float | Estimate,
    interval: tuple[float, float] | None = None,
    unit: str,
    note: str = "",
) -> Verdict:
    """The verdict on a claim, as the last expression of a cell: shown as a card, and read by the ledger.

    The arguments are the fields of ``Verdict``; an ``Estimate`` as the effect brings its own interval.

    Raises:
        TypeError: unless the interval comes with the effect, or beside it.
        ValueError: for a malformed claim id, another verdict word than those of ``WORDS``, an empty field, or an
            interval that is not finite or does not hold the effect.
    """
    if isinstance(effect, Estimate) and interval is None:
        mean, ends = effect.mean, (effect.low, effect.high)
    elif isinstance(effect, Estimate) or interval is None:
        raise TypeError(f"an effect comes as an Estimate or beside its interval, got {effect!r} and {interval!r}")
    else:
        mean, ends = effect, interval
    return Verdict(claim_id, verdict, claim, source, measure, mean, ends, unit, note)


class ProseWarning(UserWarning):
    """What the prose says is not what this run gives."""


def quoted(measured: float, in_text: float, *, within: float) -> None:
    """Compare a number quoted in the prose with what the notebook measures.

    Args:
        measured: the number just computed (a float, or a tensor of one element).
        in_text: the number as the prose prints it.
        within: the largest difference that leaves the prose true.

    Where they differ by more, or the measured number is NaN, it warns (``ProseWarning``) with both numbers and both
    versions of Python, and the notebook goes on.

    Raises:
        AssertionError: instead of the warning, in the tests of the book (where ``MECHLIB_STRICT`` is set) on the Python
            that it was written for.
    """
    gap = abs(float(measured) - in_text)
    if not gap <= within:
        differ(f"the text says {in_text:g} (within {within:g}), this run gives {float(measured):.6g}")


def stated(holds: bool) -> None:
    """See that something said in the prose is still so: the argument of the call, as ``stated(gap.max() < 0.01)``.

    Warns or raises like ``quoted``, with the text of the call.
    """
    if not holds:
        differ(f"the text rests on {_call(sys._getframe(1))}, and in this run that is not so")


def at_home() -> bool:
    """Whether this is the Python on whose standard library, which is the text that the models read, the book was
    measured: ``WRITTEN_FOR``."""
    return sys.version_info[:2] == WRITTEN_FOR


def differ(sentence: str) -> None:
    """Say that the prose is not what this run gives; ``quoted`` and ``stated`` do, and warn or raise alike.

    Args:
        sentence: what the text says and what was found, without a full stop.

    Raises:
        AssertionError: instead of the warning, where ``quoted`` does.
    """
    if at_home() and os.environ.get("MECHLIB_STRICT"):
        raise AssertionError(sentence)
    written = ".".join(map(str, WRITTEN_FOR))
    here = f"the book was measured with Python {written}, this is Python {platform.python_version()}"
    warnings.warn(f"{sentence}; {here}", ProseWarning, stacklevel=3)


def _call(frame: FrameType) -> str:
    """The source of the call that a frame is in, on one line."""
    lines, first = inspect.getsourcelines(frame)
    at = inspect.getframeinfo(frame).positions
    first, end = max(first, 1), (at and at.end_lineno) or frame.f_lineno  # none if Python keeps no ranges of code
    text = " ".join(line.strip() for line in lines[frame.f_lineno - first : end - first + 1])
    return text.removeprefix("stated")
