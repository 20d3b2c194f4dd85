"""Open task ch05.refute: which reports on a token prove that no vector puts it first, by tests from a toolbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from mechlib.questions.drawing import integer
from mechlib.questions.verdicts import verdict_task

__all__ = ["KINDS", "QUESTION", "TOOLS", "Kind"]

TOOLS = ("best", "rows", "token", "weights", "radius")
"""The arguments, in order: the leads that the report's search found, and what may be looked at besides."""

Flaw = Literal["", "negative", "sizes", "itself", "short", "misses", "nearly", "another"]


@dataclass(frozen=True)
class Kind:
    """Reports of one kind: the weights that they give for a token, and what is wrong with them."""

    about: str
    """To be read after "reports ..."."""
    flaw: Flaw = ""
    rivals: int = 5
    nearest: float = 2.0
    """How far the search stays behind, at best, in logits."""
    uneven: float = 0.0
    """In how many powers of ten the weights differ."""
    scale: float = 1.0
    """Of all rows."""

    @property
    def holds(self) -> bool:
        """Whether the weights prove that the token is unspeakable."""
        return not self.flaw

    def drawn(self, generator: torch.Generator) -> dict[str, Any]:
        """The rows of a model, a token, leads of a search that failed from every start, and weights."""
        n, d, starts = integer(generator, 14, 20), integer(generator, 3, 5), integer(generator, 6, 9)
        rows = torch.randn(n, d, generator=generator, dtype=torch.float64)
        token = integer(generator, 0, n - 1)
        among = [v for v in torch.randperm(n, generator=generator).tolist() if v != token][: self.rivals]
        weights = torch.zeros(n, dtype=torch.float64)
        weights[among] = 0.1 + torch.rand(len(among), generator=generator, dtype=torch.float64)
        weights[among] *= 10.0 ** -torch.linspace(0, self.uneven, len(among), dtype=torch.float64)
        weights /= weights.sum()
        if self.flaw in ("negative", "sizes"):
            weights[among[0]] *= -1
        if self.flaw == "negative":
            weights /= weights.sum()
        rows[token] = weights @ rows if self.flaw != "itself" else 3 * rows[token]
        if self.flaw == "itself":
            weights = (torch.arange(n) == token).double()
        elif self.flaw == "short":
            weights, rows[token] = 0.8 * weights, 0.8 * rows[token]
        elif self.flaw == "misses":
            rows[token] += 0.15 * torch.randn(d, generator=generator, dtype=torch.float64)
        elif self.flaw == "nearly":
            rows[token, integer(generator, 0, d - 1)] += 1e-3
        elif self.flaw == "another":
            weights = weights.roll(1) if token != 0 else weights.roll(-1)
            weights[token] = 0
            weights /= weights.sum()
        rows *= self.scale
        best = -self.nearest * (1 + torch.rand(starts, generator=generator, dtype=torch.float64))
        return dict(zip(TOOLS, (best, rows, token, weights, 5.0 + d), strict=True))


KINDS = (
    Kind("with a weight below zero", "negative"),
    Kind("with a weight below zero, sizes of sum 1", "sizes"),
    Kind("that give all weight to the token itself", "itself"),
    Kind("whose weights sum to less than 1", "short"),
    Kind("whose weights miss the row", "misses", nearest=8.0),
    Kind("whose weights miss the row in one entry, by a thousandth", "nearly"),
    Kind("with the weights of another token", "another"),
    Kind("with weights that meet the row"),
    Kind("with two rivals", rivals=2),
    Kind("with weights on nearly all tokens", rivals=12),
    Kind("whose search came near", nearest=1e-6),
    Kind("with a twin", rivals=1, nearest=1e-9),
    Kind("with weights from 1 to a hundred-thousandth", uneven=5.0),
    Kind("of long rows", scale=10.0),
)
"""The first seven prove nothing, the others do."""


def report(best: Tensor, rows: Tensor, token: int, weights: Tensor, radius: float) -> bool:
    return bool((best < 0).all())


def far_behind(best: Tensor, rows: Tensor, token: int, weights: Tensor, radius: float) -> bool:
    return bool(best.max() < -1)


def sums(best: Tensor, rows: Tensor, token: int, weights: Tensor, radius: float) -> bool:
    return bool(abs(weights.sum() - 1) < 1e-9)


NULLS = {"the report": report, "a search that stays far behind": far_behind, "a sum of 1": sums}

QUESTION = verdict_task(
    "ch05.refute",
    kinds=KINDS,
    systems="reports",
    tools=TOOLS,
    each=20,
    nulls=NULLS,
    title="Refute: it is unspeakable, for a search failed",
    hints=(
        "A search that failed from every start proves nothing, however far behind it stayed. What would?",
        "The weights prove it if they are a convex combination of other rows that is the token's own. What has to be "
        "true of the weights, and what of the mean?",
        "Four tests: no weight below 0, the weight of the token itself 0, a sum of 1, and the length of "
        "weights @ rows - rows[token] no more than rounding (1e-9).",
    ),
    steps=((1, 0.7), (2, 0.45), (3, 0.05)),
)
