"""Open task ch12.refute: a test that a report on a retreat should have made, of distances from a toolbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.icl import LinearRegression, dmmse, ridge
from mechlib.questions.drawing import integer
from mechlib.questions.verdicts import verdict_task

__all__ = ["AT_A_BOUND", "KINDS", "QUESTION", "TOOLS", "Kind"]

TOOLS = ("to_ridge", "to_own", "to_blunt", "to_other", "to_zero")
"""The arguments, in order: what the report looks at, and what may be set beside it."""

NOISE_VAR = 0.125
BLUNTER = (1.0, 3.0, 9.0, 27.0, 81.0)
"""Factors of the noise's variance that a blunt posterior assumes."""

AT_A_BOUND = ("aside", "around")

Distances = Float[Tensor, "look prompt"]


@dataclass(frozen=True)
class Kind:
    """Runs of one kind: the way that the predictions take."""

    about: str
    """To be read after "runs ..."."""
    way: str
    """One of ``retreats``, ``sharpens``, ``stays``, ``straight``, ``elsewhere``, ``nears``, and two at a bound:
    ``aside`` ends as far from the pool as it was at ridge, and ``around`` as far from ridge as it came near.
    """
    holds: bool
    """Whether the claim holds."""
    jitter: float = 0.4
    """Of a look, as a share of the predictions' root mean square."""
    depth: float = 1.0
    """How much of the way to the pool's posterior is gone."""
    turn: float = 0.4
    """Where the retreat begins, as a share of all looks."""

    def drawn(self, generator: torch.Generator) -> dict[str, Tensor]:
        """The distances of one run at 25 to 40 looks, on 30 to 50 prompts of 6 points, [look, prompt]."""
        looks, prompts, tasks = (integer(generator, *ends) for ends in ((25, 40), (30, 50), (6, 10)))
        own, other = torch.randn(2, tasks, 3, generator=generator)
        given = LinearRegression(3, noise=NOISE_VAR**0.5).sample(prompts, 6, generator=generator)
        x, y = given.x, given.y
        posterior = {t: dmmse(x, y, pool=own, noise_var=NOISE_VAR * t) for t in BLUNTER}
        best, foreign = ridge(x, y, lam=NOISE_VAR), dmmse(x, y, pool=other, noise_var=NOISE_VAR)
        size = best.square().mean().sqrt()
        s = torch.linspace(0, 1, looks)[:, None, None]
        there, after = (s / self.turn).clamp(max=1), ((s - self.turn) / (1 - self.turn)).clamp(min=0)
        if self.way in AT_A_BOUND:  # rests at both ends, where the looks are taken
            after = ((after - 0.25) / 0.3).clamp(0, 1)
        start = 0.3 * size * torch.randn(best.shape, generator=generator)
        to_pool = posterior[1.0] - best
        aside = torch.nn.functional.normalize(torch.randn(best.shape, generator=generator), dim=1)
        ends = {"retreats": to_pool, "elsewhere": foreign - best, "stays": 0 * best}
        ends["aside"] = to_pool + to_pool.norm(dim=1, keepdim=True) * aside
        if self.way == "sharpens":
            place = ((1 - s) * (len(BLUNTER) - 1)).clamp(max=len(BLUNTER) - 1 - 1e-4)
            low, share = place.long().flatten(), place - place.floor()
            rows = torch.stack(list(posterior.values()))
            path = (1 - share) * rows[low] + share * rows[low + 1]
        elif self.way == "straight":
            path = start + s * (posterior[1.0] - start)
        elif self.way == "nears":
            path = best + (1 - s).sqrt() * size * torch.randn(best.shape, generator=generator)
        elif self.way == "around":
            far = to_pool.norm(dim=1, keepdim=True)
            turned = (torch.pi / 2 * after).cos() * aside + (torch.pi / 2 * after).sin() * to_pool / far
            near = best + 0.35 * far * (1 - 0.01 * after + (torch.pi * after).sin()) * turned
            path = start + there * (near - start)
        else:
            path = start + there * (best - start) + self.depth * after * ends[self.way]
        lucky = 0.2 * torch.randn(looks, 1, 1, generator=generator)  # one look's jitter is small, another's large
        path = path + self.jitter * size * lucky.exp() * torch.randn(path.shape, generator=generator)

        def distance(answer: Tensor) -> Distances:
            return (path - answer).square().mean(2)

        blunt = torch.stack([distance(answer) for answer in posterior.values()])
        nearest = blunt.mean(2).argmin(0)  # at each look
        to_blunt = blunt[nearest, torch.arange(looks)]
        found = (distance(best), distance(posterior[1.0]), to_blunt, distance(foreign), distance(0 * best))
        return dict(zip(TOOLS, found, strict=True))


KINDS = (
    Kind("whose memory sharpens and that never come near ridge", "sharpens", holds=False, jitter=0.1),
    Kind("whose memory sharpens, with little jitter", "sharpens", holds=False, jitter=0.05),
    Kind("that go straight to their pool", "straight", holds=False, jitter=0.5),
    Kind("that stay at ridge and jitter", "stays", holds=False, jitter=0.6),
    Kind("that leave ridge for another pool", "elsewhere", holds=False),
    Kind("that come nearer to ridge all the time", "nears", holds=False, jitter=0.2),
    Kind("that end no nearer to their pool than ridge is", "aside", holds=False, jitter=0.04),
    Kind("that end no farther from ridge than they came near", "around", holds=False, jitter=0.05),
    Kind("that turn early and end no farther from ridge than before", "around", holds=False, jitter=0.03, turn=0.3),
    Kind("that go all the way back", "retreats", holds=True),
    Kind("that go a part of the way", "retreats", holds=True, depth=0.6),
    Kind("that jitter a lot", "retreats", holds=True, jitter=0.5),
    Kind("that hardly jitter", "retreats", holds=True, jitter=0.1, depth=0.7),
    Kind("that turn late", "retreats", holds=True, turn=0.6),
    Kind("that turn early", "retreats", holds=True, turn=0.25, depth=0.8),
    Kind("that turn early and jitter", "retreats", holds=True, turn=0.3, jitter=0.5),
    Kind("that go half of the way and hardly jitter", "retreats", holds=True, depth=0.5, jitter=0.05),
    Kind("that turn late and go a part of the way", "retreats", holds=True, turn=0.55, depth=0.7, jitter=0.2),
)
"""The first nine without what the claim says, the others with it."""


def report(to_ridge: Distances, *others: Distances) -> bool:
    mean = to_ridge.mean(1)
    return bool(mean[-1] > 1.1 * mean[:-1].min())


def advances(to_ridge: Distances, to_own: Distances, *others: Distances) -> bool:
    """The report's rise, and a smaller distance to the pool's posterior."""
    then = int(to_ridge[:-1].mean(1).argmin())
    return report(to_ridge) and bool(to_own[-1].mean() < to_own[then].mean())


NULLS: dict[str, Callable[..., bool]] = {
    "the report": report,
    "the report, and nearer to the pool": advances,
    "nearer to the pool than to ridge at the end": lambda *tools: bool(tools[1][-1].mean() < tools[0][-1].mean()),
}

QUESTION = verdict_task(
    "ch12.refute",
    kinds=KINDS,
    systems="runs",
    tools=TOOLS,
    each=20,
    nulls=NULLS,
    title="Refute: a rise after a dip is a retreat",
    hints=(
        "Three things have to be so: it was near ridge, it left, and it left for its own pool. Which tool can deny "
        "each of them? And what does one look say where every look jitters?",
        "Take means of five looks, around the lowest of such means of to_ridge and at the end. Then ridge must be "
        "nearer than to_blunt, later farther than then, and the pool nearer than then, by more than another pool is.",
        "With then = the five looks and end = the last five, averaged, one number a prompt: to_blunt - to_ridge then; "
        "to_ridge end - then; to_own then - end; and that less to_other then - end. The claim is supported where the "
        "95 % interval of every mean lies above 0.",
    ),
    steps=((1, 0.3), (2, 0.2), (3, 0.06)),
)
