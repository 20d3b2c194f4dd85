"""Open task ch09.refute: a test that a report on gradient descent should have made, of controls from a toolbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.questions.drawing import integer
from mechlib.questions.verdicts import sure, verdict_task

__all__ = ["KINDS", "QUESTION", "TOOLS", "Kind"]

Weights = Float[Tensor, "prompt coordinate"]

TOOLS = ("model", "step", "next_step", "two_steps", "ridge", "truth", "untrained")
"""The arguments, in order: what the report looks at, and what may be set beside it."""

PENALTIES = (0.1, 0.3, 1.0)
"""Of ridge regression in the toolbox, per example."""

OUTPUTS = 0.7
"""Standard deviation of the noise of the outputs."""

AHEAD = 0.04
"""By how much a rival's cosine is above that of the step where the model goes with the rival alone."""


@dataclass(frozen=True)
class Kind:
    """Systems of one kind: what the models act on."""

    about: str
    """To be read after "models ..."."""
    does: str
    """``step``, ``between``, ``against``, or a rival: the step, and of the rival what nobody else has besides."""
    holds: bool
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
        y = (x @ w[..., None])[..., 0] + OUTPUTS * normal(prompts, n)

        def slope(at: Weights | float, some: slice) -> Weights:
            """Minus the gradient of half the mean squared error of some of the examples."""
            rest = y[:, some] - (x[:, some] * (at[:, None] if isinstance(at, Tensor) else at)).sum(-1)
            return (rest[..., None] * x[:, some]).mean(1)

        best = n / (n + d + 1)
        once, first = best * slope(0.0, slice(None)), best * slope(0.0, slice(d))
        twice = first + best * slope(first, slice(d, None))
        S, eye = x.mT @ x / n, torch.eye(d, dtype=x.dtype)
        ridge = torch.stack([torch.linalg.solve(S + lam * eye, once / best) for lam in (*PENALTIES, 0.55)])
        ridge, between = ridge[:-1], ridge[-1]
        rivals = {"ridge": ridge[1], "two_steps": twice, "truth": w, "next_step": once.roll(-1, 0)}
        if self.does in rivals:
            others = [each for name, each in rivals.items() if name not in (self.does, "ridge")]
            does = with_its_own(once, rivals[self.does], others + ([] if self.does == "ridge" else [*ridge]))
        else:
            does = {"step": once, "between": between, "against": -w.mean(0).expand(prompts, d)}[self.does]
        model = self.length * (does + self.noise * does.square().mean().sqrt() * normal(prompts, d))
        tools = (model, once, once.roll(-1, 0), twice, ridge, w, 0.1 * normal(prompts, d))
        return {name: tool.float() for name, tool in zip(TOOLS, tools, strict=True)}


def with_its_own(step: Weights, rival: Weights, others: Sequence[Weights]) -> Weights:
    """The step, and as much of what the rival alone has as makes the rival the nearer of the two.

    That is what a regression of the rival on the step and the other rivals leaves, over all prompts.
    """
    known = torch.stack([step, *others], -1).flatten(0, 1)
    fitted = known @ torch.linalg.lstsq(known, rival.reshape(-1, 1)).solution
    own, size = rival - fitted.view_as(rival), 0.5
    while min(float(lead(step + size * own, rival, step)) for lead in (by_prompt, pooled)) < AHEAD:
        size *= 1.2
    return step + size * own


KINDS = (
    Kind("that go with ridge regression and with nothing else", "ridge", holds=False, noise=0.02),
    Kind("that do ridge regression with another penalty", "between", holds=False, length=2.0),
    Kind("that go with two steps and with nothing else", "two_steps", holds=False, noise=0.02),
    Kind("that know of the true weights what no example shows", "truth", holds=False, noise=0.05),
    Kind("that mix prompts up", "next_step", holds=False, noise=0.05),
    Kind("that act on the same weights in all prompts", "against", holds=False, common=2.0),
    Kind("that take the step", "step", holds=True),
    Kind("that take the step at another rate", "step", holds=True, length=3.0),
    Kind("that take the step, with a lot of noise", "step", holds=True, noise=0.25),
    Kind("that take the step, on tasks that are much alike", "step", holds=True, common=2.0),
    Kind("that take a short step, on tasks that are alike", "step", holds=True, common=1.0, length=0.3),
    Kind("that take exactly the step", "step", holds=True, noise=0.01, length=0.7),
)
"""The first six without what the claim says, the others with it."""


def by_prompt(model: Weights, rival: Weights, step: Weights) -> Tensor:
    return (cosine(model, rival) - cosine(model, step)).mean()


def pooled(model: Weights, rival: Weights, step: Weights) -> Tensor:
    """As if all prompts were one, so that long weights count more."""
    return cosine(model.flatten(), rival.flatten()) - cosine(model.flatten(), step.flatten())


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.cosine_similarity(a, b, dim=-1)


def report(model: Tensor, step: Tensor, *others: Tensor) -> bool:
    return bool(cosine(model, step).mean() > 0.7)


def beside_chance(model: Tensor, step: Tensor, next_step: Tensor, *others: Tensor) -> bool:
    return sure(cosine(model, step) - cosine(model, next_step))


def beside_untrained(model: Tensor, step: Tensor, *others: Tensor) -> bool:
    return bool((cosine(model, step) - cosine(others[-1], step)).mean() > 0.5)


NULLS: dict[str, Callable[..., bool]] = {
    "the report": report,
    "the step of another prompt alone": beside_chance,
    "the untrained model alone": beside_untrained,
}

QUESTION = verdict_task(
    "ch09.refute",
    kinds=KINDS,
    systems="models",
    tools=TOOLS,
    each=30,
    nulls=NULLS,
    title="Refute: a cosine of 0.9 shows gradient descent",
    hints=(
        "A high cosine is high compared with what? Put the other tools in the place of the step, one by one.",
        "Two kinds of tools are of use: what another algorithm does with the same examples, and what the step does "
        "with other examples. The claim holds only where the step is nearer than each of them.",
        "For every rival, next_step, two_steps, each penalty of ridge and truth, take the lead of the step, "
        "cosine_similarity(model, step, dim=-1) less that with the rival: one number for each prompt. The claim is "
        "supported where the 95 % interval of the mean lead over every rival lies above 0.",
    ),
    steps=((1, 0.34), (2, 0.22), (3, 0.06)),
)
