"""Open task ch11.unseen: predict functions of a known family from examples, better than neighbours do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.open_task import OpenTask, Outcome, Unfit
from mechlib.checks.question import Case
from mechlib.icl.predictors import averaging, knn, ridge
from mechlib.icl.tasks import ReluNetwork
from mechlib.questions.drawing import integer

__all__ = ["QUESTION", "Unseen", "missed"]

N_FUNCTIONS, QUERIES, UNITS = 40, 100, 8
BIAS = 2.0
"""Standard deviation of the units' biases."""
NOISE = 0.25
"""Variance of the noise on the examples' values."""


@dataclass(frozen=True)
class Unseen:
    """A two-layer network with biases that nobody sees, noisy examples, and queries with their values."""

    x: Float[Tensor, "example coordinate"]
    y: Float[Tensor, " example"]
    query: Float[Tensor, "query coordinate"]
    truth: Float[Tensor, " query"]


def draw(generator: torch.Generator) -> tuple[Unseen, ...]:
    return tuple(_drawn(generator) for _ in range(N_FUNCTIONS))


def _drawn(generator: torch.Generator) -> Unseen:
    n, d = integer(generator, 30, 60), integer(generator, 3, 5)
    inputs = torch.randn(1, n + QUERIES, d, generator=generator)
    with_bias = torch.cat([inputs, torch.full((1, n + QUERIES, 1), BIAS)], 2)
    values = ReluNetwork(d + 1, hidden=UNITS).at(with_bias, generator).y[0]
    noise = NOISE**0.5 * torch.randn(n, generator=generator)
    return Unseen(inputs[0, :n], values[:n] + noise, inputs[0, n:], values[n:])


def missed(function: Unseen, found: Tensor) -> float:
    """The squared error over that of predicting zero."""
    return float((found - function.truth).square().mean() / function.truth.square().mean())


def cases(functions: tuple[Unseen, ...]) -> tuple[Case, ...]:
    return tuple(
        Case(
            f"{len(f.y)} examples in {f.x.shape[1]} dimensions",
            {"x": f.x.clone(), "y": f.y.clone(), "query": f.query.clone()},
        )
        for f in functions
    )


def outcome(functions: tuple[Unseen, ...], handed: list[Any]) -> Outcome:
    """The mean error over the functions."""
    errors = [missed(f, _checked(found)) for f, found in zip(functions, handed, strict=True)]
    worst = functions[max(range(len(errors)), key=errors.__getitem__)]
    return Outcome(sum(errors) / len(errors), f"Worst with {len(worst.y)} examples in {worst.x.shape[1]} dimensions.")


def _checked(found: Any) -> Tensor:
    try:
        values = torch.as_tensor(found, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        raise Unfit("the function returns one number for every query.") from None
    if values.shape != (QUERIES,):
        raise Unfit(f"the function returns one number for each of the {QUERIES} queries.")
    if not values.isfinite().all():
        raise Unfit("some predictions are no finite numbers.")
    return values


def by(predictor: Any) -> Any:
    """A predictor of ``mechlib.icl`` as a hand-in."""

    def predict(x: Tensor, y: Tensor, query: Tensor) -> Tensor:
        with_query = torch.cat([x.expand(len(query), -1, -1), query[:, None]], 1)
        values = torch.cat([y, torch.zeros(1)]).expand(len(query), -1)
        return predictor(with_query, values)[:, -1]

    return predict


neighbours = by(lambda x, y: knn(x, y, k=3))


def nulls(generator: torch.Generator) -> dict[str, Any]:
    return {
        "zero": lambda x, y, query: torch.zeros(len(query)),
        "the mean": lambda x, y, query: y.mean().expand(len(query)),
        "numbers at random": lambda x, y, query: torch.randn(len(query), generator=generator),
        "three neighbours": neighbours,
        "five neighbours": by(lambda x, y: knn(x, y, k=5)),
        "straight lines": by(lambda x, y: ridge(x, y, lam=1.0)),
        "averaging": by(averaging),
    }


def baseline(functions: tuple[Unseen, ...]) -> float:
    errors = [missed(f, neighbours(f.x, f.y, f.query)) for f in functions]
    return math.fsum(errors) / len(errors)


QUESTION = OpenTask(
    id="ch11.unseen",
    points=3,
    title="Functions that you have never seen",
    hints=(
        "What do you know of these functions that three neighbours do not use? They are bent, but along few planes.",
        "Two ways: train networks of the family's kind on the examples, not to the last bit of the noise, and average "
        "their answers, for a start is chance; or take the best weights for the values, from the covariances.",
        "A bias is the weight of an input that is always 2: append it, and the chapter's C(a, b) holds. Noise adds its "
        "variance to the diagonal: C(query, x) @ torch.linalg.solve(C(x, x) + 0.25 * torch.eye(len(x)), y).",
    ),
    handed_in="Hand in a function of x, y and query that returns a prediction for every query.",
    budget=f"It is called {N_FUNCTIONS} times, and all calls together may take 20 seconds.",
    draw=draw,
    cases=cases,
    outcome=outcome,
    baseline=baseline,
    steps=((1, 0.85), (2, 0.68), (3, 0.55)),
    words="Your error is {value:.0%} of that of predicting zero, that of three neighbours {baseline:.0%}.",
    nulls=nulls,
)
