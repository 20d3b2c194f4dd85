"""Open task ch03.refute: a test that a report on stored tokens should have made, of controls from a toolbox."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.questions.drawing import integer, normal
from mechlib.questions.verdicts import sure, verdict_task

__all__ = ["KINDS", "QUESTION", "TOOLS", "Kind"]

Shares = Float[Tensor, " file"]

TOOLS = ("own", "shuffled", "before", "guess", "untrained", "fitted")
"""The arguments, in order: what the report looks at, and what may be set beside it."""


@dataclass(frozen=True)
class Kind:
    """Systems of one kind: how large each share is on average, and how the files differ."""

    about: str
    """To be read after "systems ..."."""
    before: float = 0.2
    """What the text before tells of the token."""
    guess: float = 0.25
    """What the guess at the position tells of it."""
    kept: float = 0.0
    """What the position names beyond both; the claim holds where that is above 0."""
    shuffled: float = 0.03
    untrained: float = 0.1
    overfit: float = 0.05
    """By how much more the probe names on the rows of its fit."""
    between: float = 0.02
    """Standard deviation of what all shares of the model have in common in a file."""
    within: float = 0.012
    """Standard deviation of each share by itself."""

    @property
    def holds(self) -> bool:
        """Whether the claim does."""
        return self.kept > 0

    def drawn(self, generator: torch.Generator) -> dict[str, Shares]:
        """The shares of one system's files, 20 to 40 of them."""
        n = integer(generator, 20, 40)
        common = self.between * normal(generator, n)
        own = common + max(self.before, self.guess) + self.kept
        places = {
            "own": own,
            "shuffled": torch.full((n,), self.shuffled),
            "before": common + self.before,
            "guess": common + self.guess,
            "untrained": self.untrained + self.between * normal(generator, n),
            "fitted": own + self.overfit,
        }
        shares = {name: values + self.within * normal(generator, n) for name, values in places.items()}
        return {name: values.clamp(0, 1) for name, values in shares.items()}


KINDS = (
    Kind("whose text tells the token", before=0.6, guess=0.3),
    Kind("whose guess tells the token", before=0.2, guess=0.55),
    Kind("whose text and guess tell as much as the position", before=0.4, guess=0.4),
    Kind("whose probe knows its own rows by heart", before=0.25, guess=0.1, overfit=0.5),
    Kind("whose files differ a lot, and nothing else", before=0.3, guess=0.5, between=0.15),
    Kind("that keep the token in a predictable text", before=0.6, guess=0.3, kept=0.08),
    Kind("that keep the token and guess it as well", before=0.2, guess=0.6, kept=0.06),
    Kind(
        "whose files differ a lot, and that keep the token a little",
        before=0.4,
        guess=0.45,
        kept=0.04,
        between=0.15,
    ),
    Kind("that keep the token, less than before training", before=0.15, guess=0.1, kept=0.2, untrained=0.8),
    Kind(
        "whose shares are all small",
        before=0.02,
        guess=0.03,
        kept=0.02,
        shuffled=0.06,
        untrained=0.02,
        between=0.004,
        within=0.004,
    ),
)
"""The first five without what the claim says, the others with it."""

NULLS = {
    "the report": lambda own, shuffled, *others: bool(own.mean() > shuffled.mean()),
    "the report with its interval": lambda own, shuffled, *others: sure(own - shuffled),
    "more than before training": lambda own, shuffled, before, guess, untrained, fitted: sure(own - untrained),
    "more than half": lambda own, *others: bool(own.mean() > 0.5),
}

QUESTION = verdict_task(
    "ch03.refute",
    kinds=KINDS,
    systems="systems",
    tools=TOOLS,
    each=40,
    nulls=NULLS,
    title="Refute: the layers keep the token",
    hints=(
        "A token can be named without having been kept. From what else?",
        "Two things name it without holding it: the text before, and the guess that the position has made. Find the "
        "tool that shows each. The position has to beat both.",
        "Two differences for each file, own - before and own - guess, since the shares of a file rise and fall "
        "together. The claim is supported where the 95 % intervals of both means lie above 0.",
    ),
    steps=((1, 0.55), (2, 0.35), (3, 0.09)),
)
