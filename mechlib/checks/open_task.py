"""Open tasks: what is asked for is a finding, not a function from a formula, and points go by what comes of it.

What is handed in is small: names, numbers, a tensor, or a function that needs no model. It is judged on an instance
that nobody has seen, drawn by a seed: other texts, systems or runs than those on which it was found. The outcome is a
number, the less the better, and is measured against that of a baseline which takes no thought.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from mechlib.checks.question import Case, Task

__all__ = ["OpenTask", "Outcome", "Unfit"]


class Unfit(ValueError):
    """What was handed in cannot be judged; the message is a sentence that says what would be right."""


@dataclass(frozen=True)
class Outcome:
    """What comes of a hand-in on one instance."""

    value: float
    """The less the better; never below 0."""
    remark: str = ""
    """A sentence on what went worst. It is shown for hidden instances as well: no number, and nothing that is right."""


@dataclass(frozen=True)
class OpenTask(Task):
    """An open task with all that is needed to ask it and to judge what is handed in."""

    handed_in: str
    """What is handed in, as a sentence."""
    budget: str
    """The computing that it should take, as a sentence."""
    draw: Callable[[torch.Generator], Any]
    """The instance of a seed. The same seed gives the same."""
    outcome: Callable[[Any, Any], Outcome]
    """Of an instance and a hand-in: plain data (``mechlib.checks.plain``), or a list of what the function returned on
    each of ``cases``. Raises ``Unfit`` for what cannot be judged."""
    baseline: Callable[[Any], float]
    """The value of an instance's outcome that takes no thought."""
    steps: tuple[tuple[float, float], ...]
    """Points, and the share of the baseline that the value may be at most for them; the points ascend to all."""
    words: str
    """The sentence on an outcome, with ``{value}`` and ``{baseline}``."""
    nulls: Callable[[torch.Generator], Mapping[str, Any]]
    """Hand-ins that took no thought, by name: drawn at random, the baseline's own, what the text shows. None of them
    earns a point."""
    cases: Callable[[Any], tuple[Case, ...]] | None = None
    """Where a function is handed in: what it is called with on an instance."""
    model: str = ""
    """The name of a model that judging needs and that may have to be fetched. Nothing is judged without it."""
    instances: int = 0
    """Hidden instances that a class shares, where one costs much to draw; 0 where everybody has their own. Not for
    functions: those that are handed in learn what they are called with."""

    def __post_init__(self) -> None:
        if self.instances and self.cases is not None:
            raise ValueError(f"{self.id} shares {self.instances} instances: what a function is called with is its own")

    def earned(self, value: float, baseline: float) -> float:
        """The points of an outcome; none for one that is no number."""
        return max((points for points, share in self.steps if value <= share * baseline), default=0.0)

    def next_step(self, earned: float) -> tuple[float, float] | None:
        """The next step's points and share; ``None`` where all is earned."""
        return next((step for step in self.steps if step[0] > earned), None)
