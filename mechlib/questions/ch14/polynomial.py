"""Open task ch14.polynomial: the learning coefficient of a sum of squared products of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.checks.open_task import OpenTask, Outcome, Unfit
from mechlib.checks.question import Case
from mechlib.questions.drawing import integer

__all__ = ["QUESTION", "Powers", "coefficient"]

Powers = Int[Tensor, "term weight"]

N_LOSSES = 20
LEAST_APART = 0.12
"""A loss is drawn again unless its coefficient is so much above the largest of its terms alone, as a share."""


@dataclass(frozen=True)
class Loss:
    """``sum_j scale_j prod_i w_i^(2 powers_ji)`` and its learning coefficient at 0."""

    scale: Float[Tensor, " term"]
    powers: Powers
    known: float


def coefficient(powers: Powers) -> float:
    """Half the least sum of rates that makes every term small enough (Howald 2001; a linear program).

    Where ``|w_i| < ε^(ν_i / 2)``, a share of about ``ε^(sum ν / 2)`` of the weights, the term j is below
    ``ε^(powers_j · ν)``: every box with ``powers_j · ν >= 1`` for all j lies in the set below ε, and the largest
    decides.
    """
    from scipy.optimize import linprog  # hundreds of modules, which no other task of the chapter needs

    terms, weights = powers.shape
    return linprog([0.5] * weights, A_ub=-powers.double().numpy(), b_ub=[-1.0] * terms).fun


def alone(powers: Powers) -> float:
    """The largest coefficient of the terms, each taken for the whole loss: a lower bound."""
    return float((1 / (2 * powers.amax(1))).max())


def drawn(generator: torch.Generator) -> Loss:
    """A loss of three to six weights in which no term decides alone, and not every weight occurs everywhere."""
    while True:
        terms, weights = integer(generator, 2, 5), integer(generator, 3, 6)
        powers = torch.randint(1, integer(generator, 2, 4), (terms, weights), generator=generator)
        dense = 0.2 + 0.5 * torch.rand(1, generator=generator)
        powers = powers * (torch.rand(terms, weights, generator=generator) < dense)
        if not (powers.sum(1) > 0).all() or not (powers.sum(0) > 0).any():
            continue
        known = coefficient(powers)
        if known > (1 + LEAST_APART) * alone(powers):
            scale = 0.5 + torch.rand(terms, generator=generator, dtype=torch.float64)
            return Loss(scale, powers, known)


def draw(generator: torch.Generator) -> tuple[Loss, ...]:
    return tuple(drawn(generator) for _ in range(N_LOSSES))


def cases(losses: tuple[Loss, ...]) -> tuple[Case, ...]:
    return tuple(
        Case(f"a loss of {len(loss.scale)} terms", {"scale": loss.scale, "powers": loss.powers}) for loss in losses
    )


def outcome(losses: tuple[Loss, ...], handed: list[Any]) -> Outcome:
    """The mean error over the losses, as a share of the coefficient; of one loss no more than 1."""
    errors = []
    for loss, found in zip(losses, handed, strict=True):
        value = found.item() if isinstance(found, Tensor) and found.numel() == 1 else found
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Unfit("the function returns one number, λ.")
        error = abs(value / loss.known - 1)
        errors.append(min(error, 1.0) if error == error else 1.0)
    worst = losses[max(range(len(losses)), key=errors.__getitem__)]
    remark = f"The largest error is at a loss of {len(worst.scale)} terms and {worst.powers.shape[1]} weights."
    return Outcome(sum(errors) / len(errors), remark if max(errors) > 0.01 else "")


def baseline(losses: tuple[Loss, ...]) -> float:
    """What comes of the largest coefficient of the terms alone."""
    return outcome(losses, [alone(loss.powers) for loss in losses]).value


def nulls(generator: torch.Generator) -> dict[str, Any]:
    return {
        "half the number of weights": lambda scale, powers: powers.shape[1] / 2,
        "the largest power": lambda scale, powers: 1 / (2 * float(powers.max())),
        "each term alone, the largest": lambda scale, powers: alone(powers),
        "each term alone, the sum": lambda scale, powers: float((1 / (2 * powers.amax(1))).sum()),
        "one half": lambda scale, powers: 0.5,
        "a usual value": lambda scale, powers: 0.37,
        "a third more than the terms alone": lambda scale, powers: 4 / 3 * alone(powers),
        "all weights shrunk alike": lambda scale, powers: powers.shape[1] / (2 * float(powers.sum(1).min())),
        "at random": lambda scale, powers: float(torch.rand(1, generator=generator)) * powers.shape[1] / 2,
    }


QUESTION = OpenTask(
    id="ch14.polynomial",
    points=3,
    title="A coefficient that is not in the book",
    hints=(
        "Make one weight very small and leave the others: what does that cost in volume, and which terms does it "
        "silence? Then shrink two weights, each at its own speed.",
        "In a box where weight i is smaller than ε^(s_i / 2) a term with the powers p is about ε^(p · s), and the box "
        "is a share of about ε^(sum of s / 2). The largest box that lies below ε decides.",
        "λ is half of the smallest sum of s, where every s_i is at least 0 and p · s is at least 1 for every term: a "
        "linear program (scipy.optimize.linprog).",
    ),
    handed_in="Hand in a function of scale and powers that returns λ.",
    budget=f"It is called {N_LOSSES} times, and all calls together may take 20 seconds.",
    draw=draw,
    cases=cases,
    outcome=outcome,
    baseline=baseline,
    steps=((1, 0.28), (2, 0.12), (3, 0.03)),
    words="Your coefficients are off by {value:.1%} on average, those of the terms taken alone by {baseline:.0%}.",
    nulls=nulls,
)
