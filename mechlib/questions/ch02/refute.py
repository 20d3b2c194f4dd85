"""Open task ch02.refute: a test that a report on wrong guesses should have made, of controls from a toolbox."""

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

Shares = Float[Tensor, " file"]

TOOLS = ("guess", "truth", "current", "other", "untrained", "untrained_other")
"""The arguments, in order: what the report looks at, and what may be set beside it."""

EACH = 40
"""Systems of a kind."""


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


@dataclass(frozen=True)
class Systems:
    """Systems of all kinds in random order."""

    kinds: tuple[int, ...]
    shares: tuple[Mapping[str, Shares], ...]


def draw(generator: torch.Generator) -> Systems:
    kinds = [kind for kind in range(len(KINDS)) for _ in range(EACH)]
    order = torch.randperm(len(kinds), generator=generator).tolist()
    kinds = [kinds[place] for place in order]
    return Systems(tuple(kinds), tuple(KINDS[kind].drawn(generator) for kind in kinds))


def cases(systems: Systems) -> tuple[Case, ...]:
    pairs = zip(systems.kinds, systems.shares, strict=True)
    return tuple(Case(f"systems {KINDS[kind].about}", shares) for kind, shares in pairs)


def outcome(systems: Systems, verdicts: list[Any]) -> Outcome:
    """The share of wrong verdicts."""
    wrong = dict.fromkeys(range(len(KINDS)), 0)
    for kind, verdict in zip(systems.kinds, verdicts, strict=True):
        if isinstance(verdict, Tensor) and verdict.numel() == 1:
            verdict = verdict.item()
        if not isinstance(verdict, (bool, int, float)) or verdict not in (0, 1):
            raise Unfit(f"the function returns True or False; on systems {KINDS[kind].about} it returned {verdict!r}.")
        wrong[kind] += bool(verdict) != (KINDS[kind].added > 0)
    worst = max(wrong, key=lambda kind: wrong[kind])
    said = "not supported" if KINDS[worst].added > 0 else "supported"
    remark = f"Most of the wrong verdicts are on systems {KINDS[worst].about}: {said}, you say."
    share = sum(wrong.values()) / len(systems.kinds)
    return Outcome(share, remark if share else "")


def nulls(generator: torch.Generator) -> dict[str, Callable[..., bool]]:
    coin = random.Random(int(torch.randint(2**31, (), generator=generator)))
    return {
        "always supported": lambda *shares: True,
        "never supported": lambda *shares: False,
        "a coin": lambda *shares: coin.random() < 0.5,
        "the report": lambda guess, truth, *others: bool((guess - truth).mean() > 0),
        "the report with its interval": lambda guess, truth, *others: bool(
            (guess - truth).mean() > 1.96 * (guess - truth).std() / len(guess) ** 0.5
        ),
    }


QUESTION = OpenTask(
    id="ch02.refute",
    points=3,
    title="Refute: the guess that every model shows",
    hints=(
        "Run the report's test on a model that cannot know anything. What does it say?",
        "Two things make a guess readable without any training: common tokens are readable everywhere, and the final "
        "guess is made from a later point of the same stream. Find the tool that shows each, and take both away.",
        "The guess's lead over another position's guess, less the same lead in the untrained model: one number for "
        "each file, since a file's shares rise and fall together. The claim is supported where the 95 % interval of "
        "the mean of these numbers lies above 0.",
    ),
    handed_in=f"Hand in a function of {', '.join(TOOLS)} that returns True where the claim is supported.",
    budget=f"It is called {EACH * len(KINDS)} times, and all calls together may take 20 seconds.",
    draw=draw,
    cases=cases,
    outcome=outcome,
    baseline=lambda systems: 0.5,
    steps=((1, 0.55), (2, 0.35), (3, 0.09)),
    words="Your verdict is wrong on {value:.1%} of the systems, that of a coin on {baseline:.0%}.",
    nulls=nulls,
)
