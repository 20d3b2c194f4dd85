"""A recipe: all that decides a model of the zoo, whatever its kind."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """All that determines a model or a population, up to the rounding of the machine that trains it."""

    name: str
    about: str
    shape: Any
    """The sizes, as its card keeps them: those that its kind builds."""
    data: Any
    """What a batch is made of, in the terms of its kind."""
    training: Any
    """How the updates are made, in the terms of its kind; ``steps`` of it says how many there are."""
    checkpoints: tuple[int, ...] = ()
    """Steps whose weights ship beside those of the last, ascending."""
    looked_at: tuple[int, ...] = ()
    """Further steps at which it is measured."""
    look_every: int = 0
    """Steps from one measurement to the next; 0 for none but at checkpoints and ``looked_at``."""
    stores_outputs: bool = False
    """Whether what it predicts at every look ships."""
    seed: int = 0
    """Decides the initial weights."""
    remarks: tuple[str, ...] = ()
    """What its training showed, for the notes of its card."""

    def __post_init__(self) -> None:
        if list(self.shipped) != sorted({*self.shipped}) or self.shipped[0] < 1:
            raise ValueError(
                f"checkpoints of {self.name} ascend from 1 to below its {self.steps} steps, got {self.checkpoints}"
            )

    @property
    def steps(self) -> int:
        """How many updates there are."""
        return self.training.steps

    @property
    def shipped(self) -> tuple[int, ...]:
        """Steps whose weights ship, ascending."""
        return (*self.checkpoints, self.steps)

    @property
    def looks(self) -> tuple[int, ...]:
        """Steps at which it is measured while it trains, ascending from 0."""
        regular = range(0, self.steps, self.look_every) if self.look_every else ()
        return tuple(sorted({0, *regular, *self.shipped, *self.looked_at}))

    @property
    def deciding(self) -> dict[str, Any]:
        """What a run is determined by: everything but words about it."""
        return {name: value for name, value in vars(self).items() if name not in ("name", "about", "remarks")}


def unknown_model(name: str, known: Iterable[str]) -> str:
    """The sentence for a model that is not there, nearest names first."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"the book ships no model {name!r}; {hint}embedded models: {', '.join(known)}"
