"""Open task ch08.refute: in which reports the repaired network has the lower coefficient, not only an estimate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.questions.drawing import near
from mechlib.questions.verdicts import verdict_task

__all__ = ["KINDS", "NBETA", "QUESTION", "TOOLS", "Kind", "expected"]

TOOLS = ("nbeta", "repaired", "single")
"""The arguments, in order: the inverse temperatures, and at each the expectation for either network."""

NBETA = 10.0 ** torch.arange(2, 13, 2, dtype=torch.float64)
ERROR = 1e-3
"""Of an expectation, relative to itself."""


@cache
def expected(coefficient: float, multiplicity: int, steepness: float = 1.0) -> Float[Tensor, " temperature"]:
    """``E[nbeta L]`` at the inverse temperatures, by a sum over log t, if the prior's mass at losses t from 0 to the
    steepness grows as near a minimum: its density is ``t^(coefficient - 1) (-log t)^(multiplicity - 1)`` for the loss
    over its steepness."""
    log_t = torch.linspace(-200, -1e-3, 40_000, dtype=torch.float64)
    scaled = steepness * NBETA[:, None] * log_t.exp()
    log_mass = coefficient * log_t + (multiplicity - 1) * (-log_t).log() - scaled
    return (log_mass.softmax(1) * scaled).sum(1)


@dataclass(frozen=True)
class Kind:
    """Reports of one kind: of both networks the coefficient and its multiplicity."""

    about: str
    """To be read after "reports ..."."""
    repaired: tuple[float, int]
    single: tuple[float, int]
    steepness: tuple[float, float] = (1.0, 1.0)
    """By how much the losses of either are stretched. A steeper loss has the same coefficient and is read as a colder
    one."""

    @property
    def holds(self) -> bool:
        """Whether the repaired network has the lower coefficient."""
        return self.repaired[0] < self.single[0]

    def drawn(self, generator: torch.Generator) -> dict[str, Any]:
        """Expectations with a thousandth of error, both networks' stretched alike, so that no value can be known."""
        stretch = near(generator, 1.0)
        read = [
            stretch * expected(*truth, steep) * (1 + ERROR * torch.randn(len(NBETA), generator=generator).double())
            for truth, steep in zip((self.repaired, self.single), self.steepness, strict=True)
        ]
        return dict(zip(TOOLS, (NBETA.clone(), *read), strict=True))


KINDS = (
    Kind("of equal coefficients, with a second path", (0.5, 2), (0.5, 1)),
    Kind("of equal coefficients, with two paths more", (0.5, 3), (0.5, 1)),
    Kind("of equal coefficients, with a path beside two", (1.0, 3), (1.0, 2)),
    Kind("of equal coefficients, the repaired loss flat", (0.5, 2), (0.5, 1), (1e-2, 1.0)),
    Kind("of one coefficient and one multiplicity", (0.75, 1), (0.75, 1)),
    Kind("of a repaired network that is higher and long reads lower", (0.6, 3), (0.5, 1)),
    Kind("of a repaired network that is higher", (1.2, 1), (1.0, 1)),
    Kind("of a repaired network that is lower", (0.4, 1), (0.5, 1)),
    Kind("of a repaired network that is much lower", (0.5, 1), (1.5, 1)),
    Kind("of a lower one, both with two paths", (0.4, 2), (0.5, 2)),
    Kind("of a lower one that long reads higher", (0.5, 1), (0.6, 3)),
    Kind("of a lower one with a path more", (0.4, 2), (0.5, 1)),
    Kind("of a lower one whose loss is steep", (0.4, 2), (0.5, 1), (1e3, 1.0)),
    Kind("of a lower one with a path less", (0.9, 1), (1.0, 2)),
)
"""In the first seven the repaired network's coefficient is not lower."""


def coldest(nbeta: Tensor, repaired: Tensor, single: Tensor) -> bool:
    return bool(repaired[-1] < single[-1])


def everywhere(nbeta: Tensor, repaired: Tensor, single: Tensor) -> bool:
    return bool((repaired < single).all())


def report(nbeta: Tensor, repaired: Tensor, single: Tensor) -> bool:
    return bool(repaired[1] < single[1])


NULLS = {"the report": report, "lower at the coldest": coldest, "lower everywhere": everywhere}

QUESTION = verdict_task(
    "ch08.refute",
    kinds=KINDS,
    systems="reports",
    tools=TOOLS,
    each=20,
    nulls=NULLS,
    title="Refute: the estimate is lower, so the coefficient is",
    hints=(
        "A coefficient is what the expectation tends to as nbeta grows. What does a multiplicity above 1 do on the "
        "way, and how fast does that go away?",
        "A multiplicity m lowers the expectation by about (m - 1) / log(nbeta). So the difference of two networks is "
        "about a + b / log(nbeta), and a is what you want.",
        "Fit the difference at the coldest temperatures as a + b x with x = 1 / log(nbeta), by least squares "
        "(numpy.polyfit), and say True where a lies below a twentieth of single[-1], with a minus sign.",
    ),
    steps=((1, 0.5), (2, 0.25), (3, 0.05)),
)
