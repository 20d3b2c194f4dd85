"""Open task ch09.heads: softmax heads that together do one step of gradient descent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.open_task import OpenTask, Outcome, Unfit
from mechlib.checks.question import Case
from mechlib.icl.tasks import LinearRegression
from mechlib.questions.drawing import distinct, integer

__all__ = ["MOST", "QUESTION", "Layer", "gap", "two_heads"]

MOST = 4
"""Heads of a layer."""
N_LAYERS, N_PROMPTS = 8, 1000

Head = tuple[float, float, float]
"""The scale of its scores, the weight that the query gives to itself, and the factor at its output."""


@dataclass(frozen=True)
class Layer:
    """What a layer is asked to do: one step at a rate, on prompts of so many coordinates and examples."""

    d: int
    n: int
    rate: float
    x: Float[Tensor, "prompt n d"]
    y: Float[Tensor, "prompt n"]
    query: Float[Tensor, "prompt d"]

    @property
    def step(self) -> Float[Tensor, " prompt"]:
        return self.rate / self.n * (self.scores * self.y).sum(1)

    @property
    def scores(self) -> Float[Tensor, "prompt n"]:
        return (self.x @ self.query[..., None])[..., 0]


def predicted(layer: Layer, heads: list[Head]) -> Float[Tensor, " prompt"]:
    """What the heads add up to, in single precision."""
    total = torch.zeros(len(layer.query))
    for beta, sink, factor in heads:
        weight = (beta * layer.scores).exp()
        total = total + factor * (weight * layer.y).sum(1) / (sink + weight.sum(1))
    return total


def gap(layer: Layer, heads: list[Head]) -> float:
    """The mean squared difference from the step, as a share of the step's mean square."""
    return float((predicted(layer, heads) - layer.step).square().mean() / layer.step.square().mean())


def two_heads(rate: float, beta: float = 0.05) -> list[Head]:
    """The chapter's, with small scores."""
    return [(beta, 0.0, rate / (2 * beta)), (-beta, 0.0, -rate / (2 * beta))]


def draw(generator: torch.Generator) -> tuple[Layer, ...]:
    return tuple(_drawn(generator) for _ in range(N_LAYERS))


def _drawn(generator: torch.Generator) -> Layer:
    d, extra = distinct(generator, 2, 2, 8)
    n = d + extra
    rate = 0.05 * integer(generator, 4, 24)
    prompts = LinearRegression(d).sample(N_PROMPTS, n + 1, generator=generator)
    return Layer(d, n, rate, prompts.x[:, :n], prompts.y[:, :n], prompts.x[:, n])


def cases(layers: tuple[Layer, ...]) -> tuple[Case, ...]:
    return tuple(
        Case(f"{layer.d} coordinates and {layer.n} examples", {"d": layer.d, "n": layer.n, "rate": layer.rate})
        for layer in layers
    )


def outcome(layers: tuple[Layer, ...], handed: list[Any]) -> Outcome:
    """The mean gap."""
    gaps = [gap(layer, _checked(heads)) for layer, heads in zip(layers, handed, strict=True)]
    if not all(map(math.isfinite, gaps)):
        raise Unfit("some predictions are no finite numbers: the scores are too large.")
    worst = layers[max(range(len(gaps)), key=gaps.__getitem__)]
    return Outcome(sum(gaps) / len(gaps), f"Worst with {worst.n} examples of {worst.d} coordinates.")


def _checked(heads: Any) -> list[Head]:
    if isinstance(heads, Tensor):
        heads = heads.tolist()
    if not isinstance(heads, (list, tuple)) or len(heads) > MOST:
        raise Unfit(f"the function returns a list of at most {MOST} heads.")
    found = [_numbers(head) for head in heads]
    if any(sink < 0 for _, sink, _ in found):
        raise Unfit("sink is the weight that the query gives to itself, at least 0.")
    return found


def _numbers(head: Any) -> Head:
    parts = head.tolist() if isinstance(head, Tensor) else head
    if not isinstance(parts, (list, tuple)) or len(parts) != 3:
        raise Unfit("a head is three numbers: beta, sink and factor.")
    numbers = [part.item() if isinstance(part, Tensor) and part.numel() == 1 else part for part in parts]
    if not all(isinstance(part, (int, float)) and math.isfinite(part) for part in numbers):
        raise Unfit("a head is three finite numbers: beta, sink and factor.")
    beta, sink, factor = map(float, numbers)
    return beta, sink, factor


def nulls(generator: torch.Generator) -> dict[str, Any]:
    def at_random(d: int, n: int, rate: float) -> list[Head]:
        drawn = torch.randn(MOST, 3, generator=generator)
        return [(beta, abs(sink), factor) for beta, sink, factor in drawn.tolist()]

    return {
        "no head": lambda d, n, rate: [],
        "heads at random": at_random,
        "one head": lambda d, n, rate: [(0.5, 0.0, 2 * rate)],
        "the chapter's two heads": lambda d, n, rate: two_heads(rate),
        "the two heads twice": lambda d, n, rate: [
            (beta, sink, factor / 2) for beta, sink, factor in 2 * two_heads(rate, 0.1)
        ],
    }


QUESTION = OpenTask(
    id="ch09.heads",
    points=3,
    title="Make softmax do the step",
    hints=(
        "What do the two heads of the chapter miss the step by? By the chapter's (4) the mean of the scores is taken "
        "off, because the weights add up to one.",
        "If the query gives nearly all of its weight to itself, what is left for the examples no longer adds up to "
        "one. Its y is zero, so that costs nothing but a factor.",
        "With a sink far above n, a head is nearly factor / sink times the sum of exp(beta s) y. Two heads with beta "
        "and -beta and opposite factors leave 2 beta s y; so factor is rate * sink / (2 n beta), with beta small.",
    ),
    handed_in=f"Hand in a function of d, n and rate that returns at most {MOST} heads, each beta, sink and factor.",
    budget=f"It is called {N_LAYERS} times, and all calls together may take 20 seconds.",
    draw=draw,
    cases=cases,
    outcome=outcome,
    baseline=lambda layers: sum(gap(layer, two_heads(layer.rate)) for layer in layers) / len(layers),
    steps=((1, 0.5), (2, 0.1), (3, 0.01)),
    words="Your heads are {value:.2%} away from the step, the chapter's two {baseline:.1%}.",
    nulls=nulls,
)
