"""Open task ch10.direction: the direction of the query's column in which a layer leaves its answer to the next."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.open_task import OpenTask, Outcome, Unfit
from mechlib.questions.drawing import normal

__all__ = ["QUESTION", "WIDTH", "Pairs", "drawn", "missed", "read_direction", "swapped"]

MODEL = "icl-probe"
D, SEEN, LAYER, WIDTH = 4, 8, 2, 64
N_PAIRS, N_FITTED = 1000, 1000

Column = Float[Tensor, "prompt d_model"]
Answers = Float[Tensor, " prompt"]


@dataclass(frozen=True)
class Pairs:
    """Prompts, each with a donor: another prompt with the same query."""

    x: Float[Tensor, "prompt point d"]
    y: Float[Tensor, "prompt point"]
    own: Column
    """The query's column after the layer, of the prompt."""
    donor: Column
    """The same of its donor."""


@cache
def model() -> Any:
    """The first start of the chapter's models."""
    from mechlib import zoo  # takes seconds, and only this task needs it

    return zoo.load(MODEL, device="cpu")


def drawn(generator: torch.Generator, many: int) -> Pairs:
    from mechlib.icl.tasks import LinearRegression

    prompts = LinearRegression(D).sample(many, SEEN + 1, generator=generator)
    query = normal(generator, many, D)
    x, x_donor = prompts.x.clone(), prompts.x.roll(1, 0)
    x[:, SEEN], x_donor[:, SEEN] = query, query
    return Pairs(x, prompts.y, column(x, prompts.y), column(x_donor, prompts.y.roll(1, 0)))


@torch.no_grad()
def column(x: Tensor, y: Tensor) -> Column:
    return model().residual_entries(x, y)[LAYER, :, SEEN]


@torch.no_grad()
def swapped(pairs: Pairs, moved: Column | float) -> Answers:
    """The answers when ``moved`` is added to the query's column after the layer."""

    def add(block: object, given: object, stream: Tensor) -> Tensor:
        stream = stream.clone()
        stream[0, :, 2 * SEEN] += moved
        return stream

    handle = model().blocks[LAYER - 1].register_forward_hook(add)
    try:
        return model()(pairs.x, pairs.y)[:, SEEN]
    finally:
        handle.remove()


def missed(pairs: Pairs, direction: Float[Tensor, " d_model"]) -> float:
    """What the swap along a direction lacks of that of the whole column, as a share of what that one changes."""
    unit = direction / direction.norm()
    gap = pairs.donor - pairs.own
    whole, along = swapped(pairs, gap), swapped(pairs, (gap @ unit)[:, None] * unit)
    return float((along - whole).square().mean() / (swapped(pairs, 0.0) - whole).square().mean())


@cache
def read_direction() -> Float[Tensor, " d_model"]:
    """The weights of a least-squares probe for the model's own answer."""
    pairs = drawn(torch.Generator().manual_seed(1), N_FITTED)
    design = torch.cat([pairs.own, torch.ones(N_FITTED, 1)], 1).double()
    return torch.linalg.lstsq(design, swapped(pairs, 0.0)[:, None].double()).solution[:-1, 0].float()


def draw(generator: torch.Generator) -> Pairs:
    return drawn(generator, N_PAIRS)


def outcome(pairs: Pairs, handed: Any) -> Outcome:
    try:
        direction = torch.as_tensor(handed, dtype=torch.float32).squeeze()
    except (TypeError, ValueError, RuntimeError):
        raise Unfit(f"a direction is {WIDTH} numbers.") from None
    if direction.shape != (WIDTH,) or not direction.isfinite().all() or not direction.any():
        raise Unfit(f"a direction is {WIDTH} finite numbers, not all of them zero.")
    return Outcome(missed(pairs, direction))


def nulls(generator: torch.Generator) -> dict[str, Tensor]:
    columns = drawn(torch.Generator().manual_seed(1), N_FITTED).own
    return {
        "at random": normal(generator, WIDTH),
        "what a probe reads": read_direction(),
        "the mean column": columns.mean(0),
        "where columns vary most": torch.linalg.svd(columns - columns.mean(0), full_matrices=False)[2][0],
        "a coordinate": torch.eye(WIDTH)[5],
    }


QUESTION = OpenTask(
    id="ch10.direction",
    points=3,
    title="Where does the answer stand?",
    hints=(
        "A probe weights what it reads so that all else in the column cancels. What must be *written* for the next "
        "layer to find another answer there?",
        "Either ask the model: how does its answer change with each number of the column? Or ask the columns: how does "
        "each of their numbers go up and down with the answer?",
        "The mean over prompts of the gradient of the answer with respect to the column; or, for the column less its "
        "mean over prompts, (column * answer[:, None]).mean(0). Divide by no covariance. Try it on pairs of your own.",
    ),
    handed_in=f"Hand in {WIDTH} numbers, the direction.",
    budget="A thousand prompts are enough: seconds on one core.",
    draw=draw,
    outcome=outcome,
    baseline=lambda pairs: missed(pairs, read_direction()),
    steps=((1, 0.8), (2, 0.68), (3, 0.58)),
    words="Your swap lacks {value:.0%} of what that of the whole column does, the probe's direction {baseline:.0%}.",
    nulls=nulls,
)
