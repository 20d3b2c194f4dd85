"""Open tasks that hand in a test: a function that says of many systems, from measurements, whether a claim holds.

For half of the kinds the claim holds and for half it does not. The outcome is the share of wrong verdicts, the
baseline that of a coin.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.open_task import OpenTask, Outcome, Unfit
from mechlib.checks.question import Case

__all__ = ["Kind", "Systems", "sure", "verdict_task"]


class Kind(Protocol):
    """Systems of one kind."""

    @property
    def about(self) -> str:
        """To be read after the plural of a system."""

    @property
    def holds(self) -> bool:
        """Whether the claim does."""

    def drawn(self, generator: torch.Generator) -> Mapping[str, Any]:
        """The measurements on one system, by the names of the function's arguments and in their order."""


@dataclass(frozen=True)
class Systems:
    """Systems of all kinds in random order."""

    kinds: tuple[int, ...]
    """The numbers of their kinds."""
    measured: tuple[Mapping[str, Any], ...]


def sure(difference: Float[Tensor, " unit"]) -> bool:
    """Whether the 95 % interval of the mean, by its standard error, lies above 0."""
    return bool(difference.mean() > 1.96 * difference.std() / len(difference) ** 0.5)


def verdict_task(
    id: str,
    *,
    kinds: Sequence[Kind],
    systems: str,
    tools: Sequence[str],
    each: int,
    nulls: Mapping[str, Callable[..., bool]],
    title: str,
    hints: tuple[str, str, str],
    steps: tuple[tuple[float, float], ...],
) -> OpenTask:
    """The task of three points that ``kinds`` make.

    Args:
        systems: what a system is called, in the plural: ``"models"``.
        tools: the function's arguments, in order.
        each: systems of a kind.
        nulls: hand-ins that took no thought, besides the two constant verdicts and a coin.
    """
    many = len(kinds) * each

    def draw(generator: torch.Generator) -> Systems:
        numbers = [kind for kind in range(len(kinds)) for _ in range(each)]
        numbers = [numbers[place] for place in torch.randperm(many, generator=generator).tolist()]
        return Systems(tuple(numbers), tuple(kinds[kind].drawn(generator) for kind in numbers))

    def cases(drawn: Systems) -> tuple[Case, ...]:
        pairs = zip(drawn.kinds, drawn.measured, strict=True)
        return tuple(Case(f"{systems} {kinds[kind].about}", measured) for kind, measured in pairs)

    def outcome(drawn: Systems, verdicts: list[Any]) -> Outcome:
        wrong = dict.fromkeys(range(len(kinds)), 0)
        for kind, verdict in zip(drawn.kinds, verdicts, strict=True):
            if isinstance(verdict, Tensor) and verdict.numel() == 1:
                verdict = verdict.item()
            if not isinstance(verdict, (bool, int, float)) or verdict not in (0, 1):
                on = f"{systems} {kinds[kind].about}"
                raise Unfit(f"the function returns True or False; on {on} it returned {verdict!r}.")
            wrong[kind] += bool(verdict) != kinds[kind].holds
        worst = max(wrong, key=lambda kind: wrong[kind])
        said = "not supported" if kinds[worst].holds else "supported"
        remark = f"Most of the wrong verdicts are on {systems} {kinds[worst].about}: {said}, you say."
        share = sum(wrong.values()) / many
        return Outcome(share, remark if share else "")

    def thoughtless(generator: torch.Generator) -> dict[str, Callable[..., bool]]:
        coin = random.Random(int(torch.randint(2**31, (), generator=generator)))
        return {
            "always supported": lambda *tools: True,
            "never supported": lambda *tools: False,
            "a coin": lambda *tools: coin.random() < 0.5,
            **nulls,
        }

    return OpenTask(
        id=id,
        points=3,
        title=title,
        hints=hints,
        handed_in=f"Hand in a function of {', '.join(tools)} that returns True where the claim is supported.",
        budget=f"It is called {many} times, and all calls together may take 20 seconds.",
        draw=draw,
        cases=cases,
        outcome=outcome,
        baseline=lambda drawn: 0.5,
        steps=steps,
        words=f"Your verdict is wrong on {{value:.1%}} of the {systems}, that of a coin on {{baseline:.0%}}.",
        nulls=thoughtless,
    )
