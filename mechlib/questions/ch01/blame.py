"""Open task ch01.blame: which part of the damage that a cut cache does comes from where, by repairs from a toolbox."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.open_task import OpenTask, Outcome, Unfit
from mechlib.checks.question import Case
from mechlib.questions.drawing import integer, normal

__all__ = ["KINDS", "QUESTION", "TOOLS", "Kind"]

Divergences = Float[Tensor, " text"]

TOOLS = ("cut", "untouched", "middle", "first_afresh", "rest_afresh", "all_afresh")
"""The arguments, in order: what the report measured, and what may be set beside it."""

EACH = 40
"""Systems of a kind."""


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
    Kind("whose positions are counted wrongly besides", 0.6, 0.2, handling=1.5),
    Kind("that round coarsely, where both causes do equal damage", 0.4, 0.4, rounding=0.8),
    Kind("whose texts differ a lot, where both causes do equal damage", 0.4, 0.4, between=0.8),
    Kind("whose columns are stale and nothing else", 0.0, 0.8),
    Kind("where both causes do damage, the stale columns more", 0.6, 1.0),
    Kind("that round coarsely, with stale columns that matter more", 0.1, 0.4, rounding=0.8),
    Kind("whose texts differ a lot, with stale columns that matter more", 0.3, 0.5, between=1.0),
    Kind("whose damage is small throughout", 0.004, 0.02, handling=0.003, rounding=0.002),
)
"""The first five without what the claim says, the others with it."""


@dataclass(frozen=True)
class Systems:
    """Systems of all kinds in random order."""

    kinds: tuple[int, ...]
    divergences: tuple[Mapping[str, Divergences], ...]


def draw(generator: torch.Generator) -> Systems:
    kinds = [kind for kind in range(len(KINDS)) for _ in range(EACH)]
    order = torch.randperm(len(kinds), generator=generator).tolist()
    kinds = [kinds[place] for place in order]
    return Systems(tuple(kinds), tuple(KINDS[kind].drawn(generator) for kind in kinds))


def cases(systems: Systems) -> tuple[Case, ...]:
    pairs = zip(systems.kinds, systems.divergences, strict=True)
    return tuple(Case(f"systems {KINDS[kind].about}", divergences) for kind, divergences in pairs)


def outcome(systems: Systems, verdicts: list[Any]) -> Outcome:
    """The share of wrong verdicts."""
    wrong = dict.fromkeys(range(len(KINDS)), 0)
    for kind, verdict in zip(systems.kinds, verdicts, strict=True):
        if isinstance(verdict, Tensor) and verdict.numel() == 1:
            verdict = verdict.item()
        if not isinstance(verdict, (bool, int, float)) or verdict not in (0, 1):
            raise Unfit(f"the function returns True or False; on systems {KINDS[kind].about} it returned {verdict!r}.")
        wrong[kind] += bool(verdict) != KINDS[kind].holds
    worst = max(wrong, key=lambda kind: wrong[kind])
    said = "not supported" if KINDS[worst].holds else "supported"
    remark = f"Most of the wrong verdicts are on systems {KINDS[worst].about}: {said}, you say."
    share = sum(wrong.values()) / len(systems.kinds)
    return Outcome(share, remark if share else "")


def _sure(difference: Divergences) -> bool:
    """Whether the 95 % interval of the mean lies above 0."""
    return bool(difference.mean() > 1.96 * difference.std() / len(difference) ** 0.5)


def nulls(generator: torch.Generator) -> dict[str, Callable[..., bool]]:
    coin = random.Random(int(torch.randint(2**31, (), generator=generator)))
    return {
        "always supported": lambda *values: True,
        "never supported": lambda *values: False,
        "a coin": lambda *values: coin.random() < 0.5,
        "the report": lambda cut, untouched, *others: _sure(cut - untouched),
        "that they matter at all": lambda cut, untouched, middle, first, rest, afresh: _sure(first - afresh),
    }


QUESTION = OpenTask(
    id="ch01.blame",
    points=3,
    title="Refute: the cache that went stale",
    hints=(
        "Two things are wrong with the report's cache at once. Which tools repair one of them and leave the other?",
        "With the first column made afresh what is left comes from the stale ones; with the rest made afresh, from the "
        "first. Whatever else is wrong with a cut cache is in both.",
        "The divergence with `first_afresh` less that with `rest_afresh`, text by text: the claim is supported where "
        "the 95 % interval of the mean of these numbers lies above 0.",
    ),
    handed_in=f"Hand in a function of {', '.join(TOOLS)} that returns True where the claim is supported.",
    budget=f"It is called {EACH * len(KINDS)} times, and all calls together may take 20 seconds.",
    draw=draw,
    cases=cases,
    outcome=outcome,
    baseline=lambda systems: 0.5,
    steps=((1, 0.5), (2, 0.3), (3, 0.06)),
    words="Your verdict is wrong on {value:.1%} of the systems, that of a coin on {baseline:.0%}.",
    nulls=nulls,
)
