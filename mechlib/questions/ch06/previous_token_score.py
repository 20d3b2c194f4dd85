"""Question ch06.previous_token_score: how much each head looks at the token before."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.ch06.patterns import attention, draw_to
from mechlib.questions.drawing import distinct, integer, tokens

__all__ = ["QUESTION"]

Pattern = Float[Tensor, "layer head batch pos pos"]
Scores = Float[Tensor, "layer head"]


def previous_token_score(pattern: Pattern) -> Scores:
    """The attention on the previous position, in the mean over rows and over the positions that have one."""
    return diagonal(pattern, -1).mean((-1, -2))


def diagonal(pattern: Pattern, offset: int) -> Float[Tensor, "layer head batch query"]:
    """The attention on the position ``-offset`` back, of the queries that have one."""
    return pattern.diagonal(offset, -2, -1)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Several rows, a single row, a single layer, a single head, long rows, and rows of two tokens.

    In the long ones the first head looks back and nowhere else, and the last hardly looks back.
    There are many rows of two tokens, so that attention in half precision is off by no more than its mean is rounded.
    """
    long = _case("long rows", generator, pos=integer(generator, 30, 33))
    pos = long.inputs["pattern"].shape[-1]
    draw_to(long.inputs["pattern"], torch.ones(pos, pos, dtype=torch.bool).tril(-1).triu(-1))
    return (
        _case("several layers, heads and rows", generator),
        _case("a single row", generator, batch=1),
        _case("a single layer", generator, layer=1),
        _case("a single head", generator, head=1),
        long,
        _case("rows of two tokens", generator, pos=2, batch=integer(generator, 20, 25)),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    layer: int | None = None,
    head: int | None = None,
    batch: int | None = None,
    pos: int | None = None,
) -> Case:
    drawn = distinct(generator, 3, 3, 6)
    layer, head, batch = layer or drawn[0], head or drawn[1], batch or drawn[2]
    ids = tokens(generator, 5, batch, pos or integer(generator, 7, 10))
    return Case(description, {"pattern": attention(generator, layer, head, tokens=ids)})


def over_causal_cells(pattern):
    pos = pattern.shape[-1]
    return diagonal(pattern, -1).sum(-1).mean(-1) / (pos * (pos + 1) / 2)


def share_of_first_places(pattern):
    first = pattern.argmax(-1)[..., 1:] == torch.arange(pattern.shape[-1] - 1)
    return first.float().mean((-1, -2))


MISCONCEPTIONS = {
    "to_itself": Misconception(
        lambda pattern: diagonal(pattern, 0).mean((-1, -2)),
        "this is the attention on the position itself; the previous one is one column to the left.",
    ),
    "to_the_next": Misconception(
        lambda pattern: diagonal(pattern, 1).mean((-1, -2)),
        "you take the diagonal above the main one, as if rows were keys: it is zero, since no position looks ahead. "
        "Rows are queries, columns keys.",
    ),
    "two_back": Misconception(
        lambda pattern: diagonal(pattern, -2).mean((-1, -2)),
        "this is the attention two positions back; the previous one is one back.",
    ),
    "to_the_first": Misconception(
        lambda pattern: pattern[..., 0].mean((-1, -2)),
        "this is the attention on the first position of the row, not on the one before the query.",
    ),
    "to_the_first_but_one": Misconception(
        lambda pattern: pattern[..., 1:, 0].mean((-1, -2)),
        "this is the attention on the first position of the row; the column has to move with the query.",
    ),
    "over_all_positions": Misconception(
        lambda pattern: diagonal(pattern, -1).sum(-1).mean(-1) / pattern.shape[-1],
        "you divide by all positions, but position 0 has none before it: a perfect previous-token head would not "
        "reach 1. Divide by the positions that have one.",
    ),
    "over_all_cells": Misconception(
        lambda pattern: diagonal(pattern, -1).sum(-1).mean(-1) / pattern.shape[-1] ** 2,
        "your mean runs over all pos * pos cells of the pattern; it runs over the queries that have a previous "
        "position.",
    ),
    "over_causal_cells": Misconception(
        over_causal_cells,
        "your mean runs over all cells that a causal head can see; it runs over the queries that have a previous "
        "position.",
    ),
    "summed": Misconception(
        lambda pattern: diagonal(pattern, -1).sum(-1).mean(-1),
        "you sum over the positions; take the mean, so that a perfect head scores 1.",
    ),
    "summed_over_rows": Misconception(
        lambda pattern: diagonal(pattern, -1).mean(-1).sum(-1), "you sum over the rows; take the mean over them."
    ),
    "last_position": Misconception(
        lambda pattern: pattern[..., -1, -2].mean(-1),
        "this is the last position's attention alone; every position from 1 on counts.",
    ),
    "largest": Misconception(
        lambda pattern: diagonal(pattern, -1).amax(-1).mean(-1),
        "you take each row's largest value; one position does not make a head. Take the mean.",
    ),
    "share_of_first_places": Misconception(
        share_of_first_places,
        "you count how often the previous position gets the most attention; asked for is how much attention it gets.",
    ),
    "everything_earlier": Misconception(
        lambda pattern: pattern.tril(-1)[..., 1:, :].sum(-1).mean((-1, -2)),
        "this is the attention on all earlier positions together; only the previous one counts.",
    ),
    "of_first_row": Misconception(
        lambda pattern: diagonal(pattern, -1)[:, :, 0].mean(-1),
        "only the first row is used; take the mean over all rows of the batch.",
    ),
    "of_every_row": Misconception(
        lambda pattern: diagonal(pattern, -1).mean(-1),
        "the batch axis is still there: one number for every layer and head is asked for.",
    ),
    "axes_swapped": Misconception(
        lambda pattern: previous_token_score(pattern).mT, "the axes are swapped: [layer, head] is asked for."
    ),
}

QUESTION = Question(
    id="ch06.previous_token_score",
    points=1,
    title="Previous-token score",
    hints=(
        "In the matrix of one head and one row, rows are queries and columns are keys. Where do the cells lie whose "
        "column is one less than their row?",
        "They are the diagonal just below the main one. It has pos - 1 cells: position 0 has nothing before it.",
        "pattern.diagonal(-1, -2, -1) has shape [layer, head, batch, pos - 1]; take its mean over the last two axes.",
    ),
    reference=previous_token_score,
    cases=cases,
    axes={"pattern": "layer head batch pos pos"},
    fields=(Field("score", "layer head", atol=1e-4, rtol=0),),
    misconceptions=MISCONCEPTIONS,
)
