"""Open task ch07.refute: a test that a report on a faithful circuit should have made, of controls from a toolbox."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.questions.drawing import integer, normal
from mechlib.questions.verdicts import verdict_task

__all__ = ["KINDS", "QUESTION", "TOOLS", "Kind"]

TOOLS = ("searched", "new", "whole", "nothing", "random", "smaller")
"""The arguments, in order: what the report looks at, and what may be set beside it."""

CIRCUITS = 40
"""Random circuits of each size."""


@dataclass(frozen=True)
class Kind:
    """Systems of one kind: what the circuit keeps, and what random ones do; all in logits of a model with 4 of them."""

    about: str
    """To be read after "circuits ..."."""
    kept: float = 3.6
    searched: float = 0.0
    """By how much more it keeps on the prompts on which it was found."""
    random: float = 0.3
    spread: float = 0.25
    """Standard deviation of random circuits of its size."""
    good: float = 0.0
    """Share of the random circuits that keep as much as the circuit, give or take a little."""
    nothing: float = 0.0
    prompts: float = 0.8
    """Standard deviation of what all share on a prompt."""
    noise: float = 0.2
    """Standard deviation of what each has on a prompt for itself."""
    holds: bool = False

    def drawn(self, generator: torch.Generator) -> dict[str, Float[Tensor, "*circuit prompt"]]:
        """Logit differences of one system's prompts, 20 to 40 of them."""
        n = integer(generator, 20, 40)
        common, old = (self.prompts * normal(generator, n) for _ in range(2))
        means = self.random + self.spread * normal(generator, CIRCUITS)
        also = torch.rand(CIRCUITS, generator=generator) < self.good
        as_good = self.kept + 0.15 * (2 * torch.rand(CIRCUITS, generator=generator) - 0.6)
        means = torch.where(also, as_good, means)

        def measured(level: float | Tensor, shared: Tensor) -> Tensor:
            many = torch.as_tensor(level)
            return many[..., None] + shared + self.noise * normal(generator, *many.shape, n)

        return {
            "searched": measured(self.kept + self.searched, old),
            "new": measured(self.kept, common),
            "whole": measured(max(4.0, self.kept), common),
            "nothing": measured(self.nothing, common),
            "random": measured(means, common),
            "smaller": measured(self.nothing + 0.3 * (means.clamp(max=self.random + 1) - self.nothing), common),
        }


KINDS = (
    Kind("of many edges, where any as many do", random=3.6, spread=0.15),
    Kind("beside which every fifth random one is as good", good=0.2),
    Kind("that were searched on few prompts and keep nothing on others", kept=0.3, searched=3.3),
    Kind("whose model needs hardly an edge", nothing=3.6, random=3.6, spread=0.1),
    Kind("where random ones vary a lot and some are as good", kept=1.6, random=0.9, spread=0.7, good=0.05),
    Kind("that keep nearly all, and random ones nothing", holds=True),
    Kind("that keep nearly all, beside good random ones", random=2.6, spread=0.15, noise=0.5, holds=True),
    Kind("that keep half", kept=2.0, random=0.2, holds=True),
    Kind("that keep less than on the prompts of the search", kept=2.4, searched=1.4, random=0.4, holds=True),
    Kind("on prompts that differ a lot", kept=2.8, random=0.6, spread=0.3, prompts=3.0, noise=0.9, holds=True),
)
"""The first five without what the claim says, the others with it."""

NULLS = {
    "the report": lambda searched, new, whole, *others: bool(searched.mean() > 0.75 * whole.mean()),
    "the report on new prompts": lambda searched, new, whole, *others: bool(new.mean() > 0.75 * whole.mean()),
    "more than nothing": lambda searched, new, whole, nothing, *others: bool(new.mean() > nothing.mean() + 0.5),
    "more than the mean of smaller ones": lambda searched, new, whole, nothing, random, smaller: bool(
        new.mean() > smaller.mean() + 1
    ),
}

QUESTION = verdict_task(
    "ch07.refute",
    kinds=KINDS,
    systems="circuits",
    tools=TOOLS,
    each=30,
    nulls=NULLS,
    title="Refute: the circuit is what does it",
    hints=(
        "A circuit can keep what a model does without being special: because many do, or because it was picked for "
        "these very prompts.",
        "Use the prompts on which it was not found, and random circuits of the same size on the same prompts. What "
        "matters is not the mean of the random ones but how many of them are as good.",
        "(random.mean(-1) >= new.mean()).float().mean() is a p-value: the claim is supported where it is at most "
        "0.025, which is one of the 40.",
    ),
    steps=((1, 0.45), (2, 0.3), (3, 0.12)),
)
