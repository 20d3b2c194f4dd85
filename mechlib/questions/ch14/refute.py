"""Open task ch14.refute: a test that a report on two basins should have made, of measurements from a toolbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor
from torch.nn.functional import softplus

from mechlib.questions.drawing import integer
from mechlib.questions.verdicts import verdict_task

__all__ = ["KINDS", "QUESTION", "TOOLS", "Kind"]

TOOLS = ("volume_a", "volume_b", "threshold", "m_a", "m_b", "twin_a", "twin_b", "rise_a", "rise_b")
"""The arguments, in order: what the report looks at one level of, and what may be set beside it."""

DEEPEST = 22.0
"""Minus the logarithm of the smallest threshold, about."""

Law = tuple[float, int, float]
"""λ, m and the logarithm of the constant."""


@dataclass(frozen=True)
class Kind:
    """Pairs of solutions of one kind: the laws of their volumes, and how the runs differ."""

    about: str
    """To be read after "pairs ..."."""
    a: Law
    b: Law
    twins: tuple[float, float] = (1.0, 1.0)
    """Exponents of the two quadratic twins: half the ranks of the Hessians."""
    rises: tuple[float, float] = (0.02, 0.02)
    """Mean rises of the loss."""
    noise: float = 0.08
    """Standard deviation of what a level adds to a run's error."""

    @property
    def holds(self) -> bool:
        """Whether A has the lower coefficient."""
        return self.a[0] < self.b[0]

    def drawn(self, generator: torch.Generator) -> dict[str, Any]:
        """What nested levels give for one pair, in 8 to 16 runs."""
        runs, levels = integer(generator, 8, 16), integer(generator, 18, 26)
        steps = 0.7 + 0.6 * torch.rand(levels, generator=generator, dtype=torch.float64)
        x = -0.4 - DEEPEST * steps.cumsum(0) / levels

        def measured(law: Law) -> Float64[Tensor, "run level"]:
            value, m, constant = law
            volume = value * x + (m - 1) * (-x).log() + constant
            walk = torch.randn(runs, levels, generator=generator, dtype=torch.float64).cumsum(1)
            return -softplus(-volume) + self.noise * walk

        def risen(mean: float) -> Float64[Tensor, " run"]:
            return mean * (1 + 0.05 * torch.randn(runs, generator=generator, dtype=torch.float64))

        values = [measured(self.a), measured(self.b), x.exp(), self.a[1], self.b[1]]
        values += [measured((rate, 1, 1.0)) for rate in self.twins] + [risen(mean) for mean in self.rises]
        return dict(zip(TOOLS, values, strict=True))


KINDS = (
    Kind("of equal coefficients, with A's basin the larger", (1.5, 1, 2.0), (1.5, 1, -1.0)),
    Kind(
        "of which A has the larger basin and the larger coefficient", (2.5, 1, 3.0), (0.5, 1, -1.0), rises=(0.01, 0.05)
    ),
    Kind("of equal coefficients, with another multiplicity", (1.0, 3, -2.0), (1.0, 1, 0.0)),
    Kind("whose A fills the widest thresholds, of equal coefficients", (1.0, 1, 6.0), (1.0, 1, -1.0)),
    Kind("of which A's curvature alone has the lower exponent", (2.0, 1, 1.0), (1.8, 1, 0.0), twins=(0.5, 1.5)),
    Kind("of equal coefficients whose runs differ a lot", (1.2, 1, 0.0), (1.2, 1, 0.0), noise=0.7),
    Kind(
        "of which A has the smaller basin and the lower coefficient", (0.5, 1, -3.0), (1.5, 1, 1.0), rises=(0.05, 0.01)
    ),
    Kind("of which A's coefficient is a little lower", (1.0, 1, 0.0), (1.15, 1, 0.0)),
    Kind("with equal curvature", (2.5, 1, 0.0), (3.5, 2, 1.0), twins=(2.5, 2.5)),
    Kind("of which A has the lower coefficient and the lower multiplicity", (1.0, 1, 0.0), (1.2, 3, -1.0)),
    Kind("whose B fills the widest thresholds", (1.0, 1, -1.0), (1.25, 1, 6.0), twins=(1.5, 0.5)),
    Kind("of which A's coefficient is lower by very little, in every run", (1.0, 1, 0.0), (1.03, 1, 0.0), noise=0.06),
)
"""The first six without what the claim says, the others with it."""


def report(volume_a: Tensor, volume_b: Tensor, *others: Any) -> bool:
    return bool((volume_a[:, 0] > volume_b[:, 0]).all())


def by_curvature(
    volume_a: Tensor,
    volume_b: Tensor,
    threshold: Tensor,
    m_a: int,
    m_b: int,
    twin_a: Tensor,
    twin_b: Tensor,
    *rises: Any,
) -> bool:
    return bool(twin_a[:, -1].mean() > twin_b[:, -1].mean())


NULLS = {
    "the report": report,
    "the curvature": by_curvature,
    "the mean rise": lambda *tools: bool(tools[-2].mean() < tools[-1].mean()),
}

QUESTION = verdict_task(
    "ch14.refute",
    kinds=KINDS,
    systems="pairs",
    tools=TOOLS,
    each=34,
    nulls=NULLS,
    title="Refute: the larger basin is the simpler one",
    hints=(
        "A volume at one threshold is a constant times a power, and it is the power that the claim is about. Which of "
        "the tools tell the two apart?",
        "The slope of log V against log ε tells the power. Two things bend the line: a multiplicity above 1, "
        "everywhere, and a basin that fills the widest thresholds, there.",
        "In every run take log V - (m - 1) log(-log ε) for A less the same for B and fit its slope against log ε over "
        "the smaller half of the thresholds. The claim is supported where the 95 % interval of the mean of these "
        "slopes, over the runs, lies below 0.",
    ),
    steps=((1, 0.56), (2, 0.33), (3, 0.08)),
)
