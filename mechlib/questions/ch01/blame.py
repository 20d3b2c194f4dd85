"""Open task ch01.blame: which part of the damage that a cut cache does comes from where, by repairs from a toolbox."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.questions.drawing import integer, normal
from mechlib.questions.verdicts import sure, verdict_task

__all__ = ["KINDS", "QUESTION", "TOOLS", "Kind"]

Divergences = Float[Tensor, " text"]

TOOLS = ("cut", "untouched", "middle", "first_afresh", "rest_afresh", "all_afresh")
"""The arguments, in order: what the report measured, and what may be set beside it."""


@dataclass(frozen=True)
class Kind:
    """Systems of one kind: what each cause adds to a divergence on average, in nats, and how the texts differ."""

    about: str
    """To be read after "systems ..."."""
    first: float
    """For want of a first column."""
    stale: float
    """From all kept columns, which were computed with the dropped token in view. The claim is that this is more."""
    handling: float = 0.0
    """From any cache of which a column was dropped, as where positions are counted wrongly."""
    rounding: float = 0.001
    """From any cache."""
    between: float = 0.4
    """Standard deviation of the logarithm of what all divergences of a text have in common."""
    within: float = 0.1
    """The same of each divergence by itself."""

    @property
    def holds(self) -> bool:
        """Whether the claim does."""
        return self.stale > self.first

    def drawn(self, generator: torch.Generator) -> dict[str, Divergences]:
        """The divergences of one system's texts, 20 to 40 of them."""
        n = integer(generator, 20, 40)
        dropped = self.handling + self.rounding
        means = {
            "cut": dropped + self.first + self.stale,
            "untouched": self.rounding,
            "middle": dropped + self.stale / 2,
            "first_afresh": dropped + self.stale,
            "rest_afresh": dropped + self.first,
            "all_afresh": dropped,
        }
        common = self.between * normal(generator, n) - self.between**2 / 2
        return {name: mean * (common + self.within * normal(generator, n)).exp() for name, mean in means.items()}


KINDS = (
    Kind("that miss their first column and little else", 2.4, 0.09),
    Kind("where both causes do damage, the missing column more", 1.0, 0.6),
    Kind("whose positions are counted wrongly, where both causes do equal damage", 0.4, 0.4, handling=1.5),
    Kind("that round coarsely, where both causes do equal damage", 0.4, 0.4, rounding=0.8),
    Kind("whose texts differ a lot, where both causes do equal damage", 0.4, 0.4, between=0.8),
    Kind("that were measured roughly, where both causes do equal damage", 0.5, 0.5, within=0.5),
    Kind("whose columns are stale and nothing else", 0.0, 0.8),
    Kind("where both causes do damage, the stale columns more", 0.6, 1.0),
    Kind("that round coarsely, with stale columns that matter more", 0.1, 0.4, rounding=0.8),
    Kind("whose texts differ a lot, with stale columns that matter more", 0.3, 0.5, between=1.0),
    Kind("whose damage is small throughout", 0.004, 0.02, handling=0.003, rounding=0.002),
    Kind("where the stale columns matter a little more in every text", 0.5, 0.54, between=0.3, within=0.04),
)
"""The first six without what the claim says, the others with it."""


NULLS = {
    "the report": lambda cut, untouched, *others: sure(cut - untouched),
    "that they matter at all": lambda cut, untouched, middle, first, rest, afresh: sure(first - afresh),
}

QUESTION = verdict_task(
    "ch01.blame",
    kinds=KINDS,
    systems="systems",
    tools=TOOLS,
    each=34,
    nulls=NULLS,
    title="Refute: the cache that went stale",
    hints=(
        "Two things are wrong with the report's cache at once. Which tools repair one of them and leave the other?",
        "With the first column made afresh what is left comes from the stale ones; with the rest made afresh, from the "
        "first. Whatever else is wrong with a cut cache is in both.",
        "The divergence with `first_afresh` less that with `rest_afresh`, text by text: the claim is supported where "
        "the 95 % interval of the mean of these numbers lies above 0.",
    ),
    steps=((1, 0.5), (2, 0.3), (3, 0.06)),
)
