"""Open task ch10.refute: a test that a report on a probe should have made, of controls that are found or built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.questions.drawing import double_normals, integer
from mechlib.questions.verdicts import sure, verdict_task

__all__ = ["KINDS", "QUESTION", "TOOLS", "Kind", "missed"]

Weights = Float[Tensor, "prompt coordinate"]
Reading = tuple[float, float]
"""The penalty of the ridge regression that is read, infinite for the sum of y x alone, and how noisy it is."""

TOOLS = ("w", "x", "y", "probed", "untrained", "wide", "other", "below")
"""The arguments, in order: the truth, the examples, what the report read, and what may be set beside it."""

SUM = float("inf")
GOOD, POOR, NOTHING = (0.25, 0.1), (SUM, 0.8), (SUM, 1e3)


@dataclass(frozen=True)
class Kind:
    """Systems of one kind: what probes read of the weights in each network."""

    about: str
    """To be read after "systems ..."."""
    holds: bool
    """Whether the claim does."""
    probed: Reading = GOOD
    untrained: Reading = POOR
    wide: Reading = POOR
    other: Reading = NOTHING
    below: Reading = POOR
    common: float = 0.0
    """What all tasks of a system have in common."""
    between: float = 0.2
    """Standard deviation of the logarithm of a task's size."""
    few: bool = False
    """Whether there are fewer examples than coordinates."""

    def drawn(self, generator: torch.Generator) -> dict[str, Tensor]:
        """The readings of one system, on 100 to 200 prompts of 4 to 6 coordinates."""
        d, prompts = integer(generator, 4, 6), integer(generator, 100, 200)
        n = 2 if self.few else 2 * d
        normal = double_normals(generator)
        size = (self.between * normal(prompts, 1)).exp()
        mean, own = self.common * normal(d), size * normal(prompts, d)
        x, w = normal(prompts, n, d), mean + own
        S, eye = x.mT @ x / n, torch.eye(d, dtype=x.dtype)
        moment = (S @ own[..., None])[..., 0]

        def read(reading: Reading, shift: int = 0) -> Weights:
            """The mean of all tasks, and the best multiple of a noisy ridge regression of what a task has beside it."""
            penalty, noise = reading
            ridge = moment if penalty == SUM else torch.linalg.solve(S + penalty * eye, moment)
            found = (ridge + noise * size * normal(prompts, d)).roll(shift, 0)
            aim = own.roll(shift, 0)
            return mean + (found * aim).sum() / found.square().sum() * found

        networks = [read(getattr(self, name), -1 if name == "other" else 0) for name in TOOLS[3:]]
        values = (w, x, torch.einsum("pnd,pd->pn", x, w), *networks)
        return {name: value.float() for name, value in zip(TOOLS, values, strict=True)}


KINDS = (
    Kind("whose untrained networks hold as much", False, untrained=GOOD),
    Kind("whose wide untrained networks hold as much", False, wide=GOOD),
    Kind("that add up y x and do nothing else", False, (SUM, 0.15), untrained=NOTHING),
    Kind("whose probes remember their prompts", False, other=GOOD),
    Kind("that training made harder to read", False, (1.0, 0.6), untrained=(0.5, 0.2)),
    Kind("of which a mixture of y x is read", False, (SUM, 0.3), untrained=(SUM, 0.5), wide=(SUM, 0.5)),
    Kind("that have learnt the weights", True),
    Kind("that have learnt the weights a layer before", True, below=(0.1, 0.05)),
    Kind("whose tasks differ a lot in size, with a small and steady lead", True, (1.2, 0.05), between=0.5),
    Kind("that see few examples", True, (0.05, 0.03), few=True),
    Kind("whose tasks are alike", True, common=2.0),
    Kind("whose untrained networks hold a good deal", True, untrained=(SUM, 0.1), wide=(2.0, 0.1)),
)
"""The first six without what the claim says, the others with it. Of the first four, one control each explains it."""


def missed(w: Weights, read: Weights) -> Float[Tensor, " prompt"]:
    return (read - w).square().sum(-1)


def report(w: Tensor, x: Tensor, y: Tensor, probed: Tensor, *others: Tensor) -> bool:
    return bool(missed(w, probed).mean() < missed(w, w.mean(0)).mean())


def beside_other_prompts(w: Tensor, x: Tensor, y: Tensor, probed: Tensor, *others: Tensor) -> bool:
    return sure(missed(w.roll(-1, 0), others[2]) - missed(w, probed))


def beside_untrained(w: Tensor, x: Tensor, y: Tensor, probed: Tensor, *others: Tensor) -> bool:
    return sure(missed(w, others[0]) - missed(w, probed))


NULLS: dict[str, Callable[..., bool]] = {
    "the report": report,
    "the weights of other prompts alone": beside_other_prompts,
    "the untrained network alone": beside_untrained,
}

QUESTION = verdict_task(
    "ch10.refute",
    kinds=KINDS,
    systems="systems",
    tools=TOOLS,
    each=30,
    nulls=NULLS,
    title="Refute: a probe finds the weights, so the model computes them",
    hints=(
        "From what could a probe read so much of the weights if nothing had been learnt? Name as many places as you "
        "can; one of them is no network at all.",
        "A claim has to beat every control, prompt by prompt: both networks that never learnt, the same probe for the "
        "next prompt's weights, and the sum of y x, of which (1) in the chapter says the best multiple. What a trained "
        "network holds a layer before is learnt, too.",
        "moment = (x * y[..., None]).sum(1) / (x.shape[1] + x.shape[2] + 1). For every control take its squared error "
        "less the probe's, (control - w).square().sum(1) - (probed - w).square().sum(1); that of `other` is measured "
        "from w.roll(-1, 0). The claim is supported where the 95 % interval of every mean lies above 0.",
    ),
    steps=((1, 0.38), (2, 0.22), (3, 0.06)),
)
