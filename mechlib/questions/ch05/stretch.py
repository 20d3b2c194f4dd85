"""Question ch05.stretch: how many times as long a row must be to reach the hull of the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import integer, near

__all__ = ["QUESTION"]

Rows = Float[Tensor, "token d"]


def without(rows: Rows, token: int) -> Rows:
    return rows[torch.arange(len(rows)) != token]


def solved(others: Rows, row: Float[Tensor, " d"]) -> Any:
    """Weights of others and the largest s for which they meet s times the row, by a linear program."""
    from scipy.optimize import linprog

    n, d = others.shape
    meets = np.column_stack([others.double().numpy().T, -row.double().numpy()])
    table = np.vstack([meets, np.r_[np.ones(n), 0.0]])
    bounds = [(0, None)] * n + [(None, None)]
    return linprog(np.r_[np.zeros(n), -1.0], A_eq=table, b_eq=np.r_[np.zeros(d), 1.0], bounds=bounds)


def farthest(others: Rows, row: Float[Tensor, " d"]) -> float:
    return -solved(others, row).fun


def stretch(rows: Rows, token: int, *, others: Step = without, program: Step = farthest) -> float:
    """The factor at which the token's row, made longer or shorter, lies on the hull of the others."""
    return program(others(rows, token), rows[token])


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Rows inside and outside, close to the hull from both sides, the first and the last token, short rows."""
    return (
        _case("a token well inside", generator, factor=4.0),
        _case("a token just inside", generator, factor=1.03, last=True),
        _case("a token just outside", generator, factor=0.97, first=True),
        _case("a token far outside", generator, factor=0.2, d=4),
        _case("a token near the origin", generator, factor=60.0),
        _case("short rows", generator, factor=2.5, scale=0.02),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    factor: float,
    d: int | None = None,
    scale: float = 1.0,
    first: bool = False,
    last: bool = False,
) -> Case:
    """Rows around the origin, and among them one in a random direction that the factor takes to their hull."""
    d = d or integer(generator, 2, 4)
    n = integer(generator, 13, 17)
    while True:
        others = torch.randn(n, d, generator=generator, dtype=torch.float64)
        others *= 0.5 + 2 * torch.rand(n, 1, generator=generator, dtype=torch.float64)
        direction = torch.randn(d, generator=generator, dtype=torch.float64)
        try:
            reached = farthest(others, direction)
        except TypeError:  # the origin is not among them
            continue
        if reached > 0.05 and farthest(others, -direction) > 0.05:
            break
    others = others.roll(-int(solved(others, direction).x[:-1].argmax()), 0)  # the first row counts
    token = 0 if first else n if last else integer(generator, 1, n - 1)
    row = direction * reached / (1 + near(generator, factor - 1))
    rows = scale * torch.cat([others[:token], row[None], others[token:]])
    return Case(description, {"rows": rows, "token": token})


def along_own(others: Rows, row: Float[Tensor, " d"]) -> float:
    return float((others @ row).max() / row.square().sum())


def longest(others: Rows, row: Float[Tensor, " d"]) -> float:
    return float(others.norm(dim=1).max() / row.norm())


def backwards(others: Rows, row: Float[Tensor, " d"]) -> float:
    return farthest(others, -row)


def signed(others: Rows, row: Float[Tensor, " d"]) -> float:
    """With weights of any sign in a box: no hull."""
    return float((others @ row).abs().sum() / row.square().sum())


on = edits_of(stretch)
MISCONCEPTIONS = {
    "itself": on(
        "your factor stops at 1, as it does where the token's own row is among the others; a row that lies outside "
        "of their hull has a factor below 1.",
        others=lambda rows, token: rows,
    ),
    "own_direction": on(
        "you compare along the token's own row only; another direction may put it first much earlier.",
        program=along_own,
    ),
    "longest": on(
        "you compare lengths: a row need not be longer than the longest, only outside of the hull.", program=longest
    ),
    "inverse": on(
        "this is the inverse: what part of the way to the hull the row makes. Asked for is the factor.",
        result=lambda found: 1 / found,
    ),
    "backwards": on("this is the factor in the opposite direction: the sign of the row is turned.", program=backwards),
    "any_sign": on("your weights may be negative; those of a convex combination may not.", program=signed),
    "centred": Misconception(
        lambda rows, token: stretch(rows - rows.mean(0), token),
        "you measure from the mean of the rows; a row grows longer from the origin.",
    ),
    "distance": Misconception(
        lambda rows, token: (stretch(rows, token) - 1) * float(rows[token].norm()),
        "this is how far the row has to move; asked for is the factor of its length.",
    ),
}

QUESTION = Question(
    id="ch05.stretch",
    points=2,
    title="How much longer?",
    hints=(
        "While s times the row lies in the hull of the others, the token is unspeakable. Look for the largest such s.",
        "The unknowns are the weights of the others and s. Which equations say that s times the row is their mean? "
        "All are linear, and what is to be largest is s.",
        "linprog with the unknowns [weights, s]: cost [0, ..., 0, -1]; A_eq rows: others.T beside -row, equal to 0, "
        "and ones beside 0, equal to 1; bounds (0, None) for weights and (None, None) for s. The answer is -fun.",
    ),
    reference=stretch,
    cases=cases,
    axes={"rows": "token d"},
    fields=(Field("factor", atol=1e-5, rtol=1e-4),),
    misconceptions=MISCONCEPTIONS,
)
