"""Open task ch02.refute: a test that a report on wrong guesses should have made, of controls from a toolbox."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.questions.drawing import integer, normal
from mechlib.questions.verdicts import sure, verdict_task

__all__ = ["KINDS", "QUESTION", "TOOLS", "Kind"]

Shares = Float[Tensor, " file"]

TOOLS = ("guess", "truth", "current", "other", "untrained", "untrained_other")
"""The arguments, in order: what the report looks at, and what may be set beside it."""


@dataclass(frozen=True)
class Kind:
    """Systems of one kind: how large each share is on average, and how the files differ."""

    about: str
    """To be read after "systems ..."."""
    added: float
    """What training adds to the guess beyond both known causes; the claim holds where that is above 0."""
    common: float = 0.03
    """How readable any other position's guess is, and that much of the guess with it."""
    built_in: float = 0.15
    """What the guess has beyond that in any model, trained or not."""
    untrained_common: float = 0.03
    truth: float = 0.02
    between: float = 0.02
    """Standard deviation of what all shares of one model have in common in a file."""
    within: float = 0.012
    """Standard deviation of each share by itself."""

    @property
    def holds(self) -> bool:
        """Whether the claim does."""
        return self.added > 0

    def drawn(self, generator: torch.Generator) -> dict[str, Shares]:
        """The shares of one system's files, 20 to 40 of them."""
        n = integer(generator, 20, 40)
        trained, untrained = (self.between * normal(generator, n) for _ in range(2))
        places = {
            "guess": trained + self.common + self.built_in + self.added,
            "truth": trained + self.truth,
            "current": trained + 0.5 * torch.rand((), generator=generator),
            "other": trained + self.common,
            "untrained": untrained + self.untrained_common + self.built_in,
            "untrained_other": untrained + self.untrained_common,
        }
        shares = {name: values + self.within * normal(generator, n) for name, values in places.items()}
        return {name: values.clamp(0, 1) for name, values in shares.items()}


KINDS = (
    Kind("that are untrained themselves", 0.0),
    Kind("whose guesses are common tokens", 0.0, common=0.35, built_in=0.05),
    Kind("with both causes at once", 0.0, common=0.25, built_in=0.25, untrained_common=0.08),
    Kind("whose files differ a lot, and nothing else", 0.0, common=0.4, untrained_common=0.4, between=0.12),
    Kind("of which training makes the guess less readable", -0.1, built_in=0.3),
    Kind("of which training adds to what is built in", 0.15, built_in=0.3),
    Kind("of which the true token is more readable than the guess", 0.1, truth=0.6),
    Kind(
        "whose files differ a lot, with a small and steady addition",
        0.04,
        common=0.4,
        untrained_common=0.4,
        between=0.12,
    ),
    Kind("whose guesses are rarer tokens than those of the untrained model", 0.15, untrained_common=0.3),
    Kind(
        "whose shares are all small",
        0.03,
        common=0.01,
        built_in=0.01,
        untrained_common=0.01,
        between=0.002,
        within=0.003,
    ),
)
"""The first five without what the claim says, the others with it."""


NULLS = {
    "the report": lambda guess, truth, *others: bool((guess - truth).mean() > 0),
    "the report with its interval": lambda guess, truth, *others: sure(guess - truth),
}

QUESTION = verdict_task(
    "ch02.refute",
    kinds=KINDS,
    systems="systems",
    tools=TOOLS,
    each=40,
    nulls=NULLS,
    title="Refute: the guess that every model shows",
    hints=(
        "Run the report's test on a model that cannot know anything. What does it say?",
        "Two things make a guess readable without any training: common tokens are readable everywhere, and the final "
        "guess is made from a later point of the same stream. Find the tool that shows each, and take both away.",
        "The guess's lead over another position's guess, less the same lead in the untrained model: one number for "
        "each file, since a file's shares rise and fall together. The claim is supported where the 95 % interval of "
        "the mean of these numbers lies above 0.",
    ),
    steps=((1, 0.55), (2, 0.35), (3, 0.09)),
)
