"""Question ch07.faithfulness: how much of what a model does a circuit keeps."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import distinct, normal

__all__ = ["QUESTION"]


def average(values: Float[Tensor, "*circuit prompt"]) -> Float64[Tensor, "*circuit"]:
    return values.double().mean(-1)


def share(kept: Tensor, whole: Tensor, nothing: Tensor) -> Tensor:
    return (kept - nothing) / (whole - nothing)


def faithfulness(
    kept: Float[Tensor, "circuit prompt"],
    whole: Float[Tensor, " prompt"],
    nothing: Float[Tensor, " prompt"],
    *,
    mean: Step = average,
    of: Step = share,
) -> Float64[Tensor, " circuit"]:
    """The share of the way from nothing to the whole model that each circuit keeps."""
    return of(mean(kept), mean(whole), mean(nothing))


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Circuits better than the model, worse than nothing, prompts where both ends agree, one circuit, one prompt."""
    return (
        _case("circuits of all kinds", generator),
        _case("a model that is worse than nothing", generator, ends=(-2.0, 1.5)),
        _case("prompts on which the whole model does hardly more than nothing", generator, spread=3.0, ends=(2.5, 1.0)),
        _case("both ends below zero", generator, ends=(-1.0, -5.0)),
        _case("a single circuit", generator, circuits=1),
        _case("a single prompt", generator, prompts=1),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    ends: tuple[float, float] = (4.0, -1.0),
    spread: float = 0.7,
    circuits: int | None = None,
    prompts: int | None = None,
) -> Case:
    several = distinct(generator, 2, 5, 14)
    n, many = circuits or several[0], prompts or several[1]
    whole, nothing = (end + spread * normal(generator, many) for end in ends)
    if (gap := ends[0] - ends[1]) * (whole.mean() - nothing.mean()) < gap * gap / 2:
        whole = whole - whole.mean() + nothing.mean() + gap
    at = torch.linspace(-0.6, 1.7, n)[torch.randperm(n, generator=generator)] if n > 1 else torch.tensor([1.3])
    noise = 0.5 * normal(generator, n, many)
    kept = nothing + at[:, None] * (whole - nothing) + noise
    return Case(description, {"kept": kept, "whole": whole, "nothing": nothing})


def mean_of_shares(kept: Tensor, whole: Tensor, nothing: Tensor) -> Tensor:
    return ((kept - nothing) / (whole - nothing)).double().mean(-1)


on = edits_of(faithfulness)
MISCONCEPTIONS = {
    "mean_of_shares": Misconception(
        mean_of_shares,
        "this is the mean of each prompt's share, which prompts rule on which the whole model does hardly more than "
        "nothing. Take the three means first, then one share.",
    ),
    "of_the_whole": on(
        "you divide by what the whole model has. What is there without any circuit is nobody's merit: take it off "
        "above and below.",
        of=lambda kept, whole, nothing: kept / whole,
    ),
    "off_above": on(
        "what is there without any circuit comes off below the line as well.",
        of=lambda kept, whole, nothing: (kept - nothing) / whole,
    ),
    "lost": on(
        "this is the share that is lost; what is kept is asked for.",
        of=lambda kept, whole, nothing: (whole - kept) / (whole - nothing),
    ),
    "clipped": on(
        "you cut the share at 0 and 1. A circuit can do worse than nothing, and better than the model: that has to be "
        "seen.",
        result=lambda found: found.clamp(0, 1),
    ),
    "median": on(
        "these are medians; means are asked for.",
        mean=lambda values: values.double().quantile(0.5, dim=-1),
    ),
    "difference": on(
        "this is a difference; divide it by that of the whole model and nothing.",
        of=lambda kept, whole, nothing: kept - nothing,
    ),
}

QUESTION = Question(
    id="ch07.faithfulness",
    points=1,
    title="How faithful is a circuit?",
    hints=(
        "Three numbers for each circuit: what it has, what the whole model has, what is left with no edge at all.",
        "Average each over the prompts before you divide. kept has a row for each circuit.",
        "n = nothing.mean(); return (kept.mean(-1) - n) / (whole.mean() - n)",
    ),
    reference=faithfulness,
    cases=cases,
    axes={"kept": "circuit prompt", "whole": "prompt", "nothing": "prompt"},
    fields=(Field("share", "circuit", atol=1e-4, rtol=1e-4),),
    misconceptions=MISCONCEPTIONS,
)
