"""Open task ch09.refute: a test that a report on gradient descent should have made, of controls from a toolbox."""

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
from mechlib.questions.drawing import integer

__all__ = ["KINDS", "QUESTION", "TOOLS", "Kind"]

Weights = Float[Tensor, "prompt coordinate"]

TOOLS = ("model", "step", "next_step", "two_steps", "ridge", "truth", "untrained")
"""The arguments, in order: what the report looks at, and what may be set beside it."""

EACH = 30
"""Systems of a kind."""

PENALTIES = (0.1, 0.3, 1.0)
"""Of ridge regression in the toolbox, per example."""


@dataclass(frozen=True)
class Kind:
    """Systems of one kind: what the models act on."""

    about: str
    """To be read after "models ..."."""
    does: str
    """One of ``step``, ``two_steps``, ``ridge``, ``truth``, ``between``, ``nothing``, ``against``."""
    one_step: bool
    """Whether the claim holds."""
    common: float = 0.0
    """What all tasks of a system have in common."""
    noise: float = 0.1
    """Of the model's weights, as a share of their root mean square."""
    length: float = 1.0

    def drawn(self, generator: torch.Generator) -> dict[str, Tensor]:
        """The weights of one system, on 100 to 200 prompts of 3 to 6 coordinates."""
        d, prompts = integer(generator, 3, 6), integer(generator, 100, 200)
        n = 2 * d

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        x, w = normal(prompts, n, d), normal(prompts, d) + self.common * normal(d)
        S = x.mT @ x / n
        moment = (S @ w[..., None])[..., 0]
        best = n / (n + d + 1)
        once = best * moment
        eye = torch.eye(d, dtype=x.dtype)
        ridge = torch.stack([torch.linalg.solve(S + lam * eye, moment) for lam in PENALTIES])
        between = torch.linalg.solve(S + 0.55 * eye, moment)
        twice = once + best * (moment - (S @ once[..., None])[..., 0])
        does = {
            "step": once,
            "two_steps": twice,
            "ridge": ridge[1],
            "between": between,
            "truth": w,
            "nothing": normal(prompts, d),
            "against": -w.mean(0).expand(prompts, d),
        }[self.does]
        model = self.length * (does + self.noise * does.square().mean().sqrt() * normal(prompts, d))
        tools = (model, once, once.roll(-1, 0), twice, ridge, w, 0.1 * normal(prompts, d))
        return {name: tool.float() for name, tool in zip(TOOLS, tools, strict=True)}


KINDS = (
    Kind("that do ridge regression", "ridge", one_step=False),
    Kind("that do ridge regression with another penalty", "between", one_step=False, length=2.0),
    Kind("that take two steps", "two_steps", one_step=False, noise=0.05),
    Kind("that act on the true weights", "truth", one_step=False, noise=0.4),
    Kind("that are untrained", "nothing", one_step=False),
    Kind("that act on the same weights in all prompts", "against", one_step=False, common=2.0),
    Kind("that take the step", "step", one_step=True),
    Kind("that take the step at another rate", "step", one_step=True, length=3.0),
    Kind("that take the step, with a lot of noise", "step", one_step=True, noise=0.25),
    Kind("that take the step, on tasks that are much alike", "step", one_step=True, common=2.0),
    Kind("that take a short step, on tasks that are alike", "step", one_step=True, common=1.0, length=0.3),
    Kind("that take exactly the step", "step", one_step=True, noise=0.01, length=0.7),
)
"""The first six without what the claim says, the others with it."""


@dataclass(frozen=True)
class Systems:
    """Systems of all kinds in random order."""

    kinds: tuple[int, ...]
    weights: tuple[Mapping[str, Tensor], ...]


def draw(generator: torch.Generator) -> Systems:
    kinds = [kind for kind in range(len(KINDS)) for _ in range(EACH)]
    order = torch.randperm(len(kinds), generator=generator).tolist()
    kinds = [kinds[place] for place in order]
    return Systems(tuple(kinds), tuple(KINDS[kind].drawn(generator) for kind in kinds))


def cases(systems: Systems) -> tuple[Case, ...]:
    pairs = zip(systems.kinds, systems.weights, strict=True)
    return tuple(Case(f"models {KINDS[kind].about}", weights) for kind, weights in pairs)


def outcome(systems: Systems, verdicts: list[Any]) -> Outcome:
    """The share of wrong verdicts."""
    wrong = dict.fromkeys(range(len(KINDS)), 0)
    for kind, verdict in zip(systems.kinds, verdicts, strict=True):
        if isinstance(verdict, Tensor) and verdict.numel() == 1:
            verdict = verdict.item()
        if not isinstance(verdict, (bool, int, float)) or verdict not in (0, 1):
            raise Unfit(f"the function returns True or False; on models {KINDS[kind].about} it returned {verdict!r}.")
        wrong[kind] += bool(verdict) != KINDS[kind].one_step
    worst = max(wrong, key=lambda kind: wrong[kind])
    said = "not supported" if KINDS[worst].one_step else "supported"
    remark = f"Most of the wrong verdicts are on models {KINDS[worst].about}: {said}, you say."
    share = sum(wrong.values()) / len(systems.kinds)
    return Outcome(share, remark if share else "")


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.cosine_similarity(a, b, dim=-1)


def nulls(generator: torch.Generator) -> dict[str, Callable[..., bool]]:
    coin = random.Random(int(torch.randint(2**31, (), generator=generator)))

    def beside_chance(model: Tensor, step: Tensor, next_step: Tensor, *others: Tensor) -> bool:
        lead = cosine(model, step) - cosine(model, next_step)
        return bool(lead.mean() > 1.96 * lead.std() / len(lead) ** 0.5)

    def beside_untrained(model: Tensor, step: Tensor, *others: Tensor) -> bool:
        return bool((cosine(model, step) - cosine(others[-1], step)).mean() > 0.5)

    return {
        "always supported": lambda *tools: True,
        "never supported": lambda *tools: False,
        "a coin": lambda *tools: coin.random() < 0.5,
        "the report": lambda model, step, *others: bool(cosine(model, step).mean() > 0.85),
        "the step of another prompt alone": beside_chance,
        "the untrained model alone": beside_untrained,
    }


QUESTION = OpenTask(
    id="ch09.refute",
    points=3,
    title="Refute: a cosine of 0.9 shows gradient descent",
    hints=(
        "A high cosine is high compared with what? Put the other tools in the place of the step, one by one.",
        "Two kinds of tools are of use: what another algorithm does with the same examples, and what the step does "
        "with other examples. The claim holds only where the step is nearer than each of them.",
        "For every rival, next_step, two_steps, each penalty of ridge and truth, take the lead of the step, "
        "cosine_similarity(model, step, dim=-1) less that with the rival: one number for each prompt. The claim is "
        "supported where the 95 % interval of the mean lead over every rival lies above 0.",
    ),
    handed_in=f"Hand in a function of {', '.join(TOOLS)} that returns True where the claim is supported.",
    budget=f"It is called {EACH * len(KINDS)} times, and all calls together may take 20 seconds.",
    draw=draw,
    cases=cases,
    outcome=outcome,
    baseline=lambda systems: 0.5,
    steps=((1, 0.42), (2, 0.24), (3, 0.06)),
    words="Your verdict is wrong on {value:.1%} of the systems, that of a coin on {baseline:.0%}.",
    nulls=nulls,
)
