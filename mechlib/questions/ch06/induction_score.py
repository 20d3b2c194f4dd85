"""Question ch06.induction_score: how much each head looks at what followed the token earlier."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.ch06.patterns import attention, draw_to, duplicates, induction_targets, on_targets
from mechlib.questions.drawing import distinct, integer, tokens

__all__ = ["QUESTION", "induction_score"]

Pattern = Float[Tensor, "*head batch pos pos"]
Tokens = Int[Tensor, "batch pos"]
Scores = Float[Tensor, "*head"]


def induction_score(pattern: Pattern, tokens: Tokens) -> Scores:
    """The attention on the induction targets, in the mean over the queries of all rows that have one."""
    return on_targets(pattern, induction_targets(tokens))


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Repeats of large ids, chance repeats, one token throughout, no token twice; a single row, layer and head.

    On the one token the first head looks at nothing but targets, and the last hardly at them.
    """
    layer, head, batch = distinct(generator, 3, 3, 5)
    period = integer(generator, 4, 6)
    halves = 40_000 + torch.stack([torch.randperm(20, generator=generator)[:period] for _ in range(batch)]).repeat(1, 2)
    pos = integer(generator, 11, 14)
    different = torch.stack([torch.randperm(pos, generator=generator) for _ in range(batch)])
    chance = 256 * torch.stack([tokens(generator, 2 + 9 * row, pos) for row in range(batch)])  # alike in eight bits
    chance[:, 3:5] = chance[:, 2:3]  # at least one immediate repeat in every row
    several = tokens(generator, 6, batch, pos)
    drawn = (
        ("random tokens, repeated once", halves, layer, head),
        ("rows of few and of many different tokens, repeated by chance", chance, layer, head),
        ("one token throughout", torch.full((batch, pos), 7), layer, head),
        ("a single row", tokens(generator, 5, 1, pos), layer, head),
        ("a single layer", several, 1, head),
        ("a single head", several, layer, 1),
        ("no token twice, so that no query has a target", different, layer, head),
    )
    found = tuple(
        Case(what, {"pattern": attention(generator, *heads, tokens=ids), "tokens": ids}) for what, ids, *heads in drawn
    )
    draw_to(found[2].inputs["pattern"], induction_targets(found[2].inputs["tokens"]))
    return found


def _among(targets_of):
    """The score for other targets, ``[batch, query, key]`` made from the tokens."""

    def answer(pattern, tokens):
        return on_targets(pattern, targets_of(tokens))

    return answer


def _followed(tokens, distance):
    """Whether the token ``distance`` before the key is the query's."""
    shifted = torch.full_like(tokens, -1)
    shifted[:, distance:] = tokens[:, : tokens.shape[1] - distance]
    return (tokens[:, :, None] == shifted[:, None, :]).tril()


def _diagonal(tokens, distance):
    pos = tokens.shape[1]
    where = torch.arange(pos)
    return (where[:, None] - where == distance).expand(len(tokens), pos, pos)


def _nearest(mask):
    keys = torch.arange(mask.shape[-1])
    return mask & (keys == (mask * (keys + 1)).amax(-1, keepdim=True) - 1)


def _what_comes_next(tokens):
    following = torch.cat([tokens[:, 1:], torch.full_like(tokens[:, :1], -1)], 1)
    return (following[:, :, None] == tokens[:, None, :]).tril()


def _before_the_copy(tokens):
    following = torch.cat([tokens[:, 1:], torch.full_like(tokens[:, :1], -1)], 1)
    return (tokens[:, :, None] == following[:, None, :]).tril(-2)


def _rolled(tokens):
    """The position after each earlier copy, the first position standing after the last."""
    return (tokens[:, :, None] == tokens.roll(1, -1)[:, None, :]).tril()


def over_second_half(pattern, tokens):
    half = tokens.shape[1] // 2
    return (pattern * induction_targets(tokens)).sum(-1)[..., half:].mean((-1, -2))


def shared_out(pattern, tokens):
    targets = induction_targets(tokens)
    mean = (pattern * targets).sum(-1) / targets.sum(-1).clamp(min=1)
    return mean[..., targets.any(-1)].mean(-1)


def largest_target(pattern, tokens):
    targets = induction_targets(tokens)
    return (pattern * targets).amax(-1)[..., targets.any(-1)].mean(-1)


def mean_of_rows(pattern, tokens):
    rows = zip(pattern.unbind(-3), tokens, strict=True)
    return torch.stack([induction_score(row[..., None, :, :], ids[None]) for row, ids in rows]).nanmean(0)


MISCONCEPTIONS = {
    "to_the_copy": Misconception(
        _among(duplicates),
        "you score the earlier copies of the token themselves: that is a duplicate-token head. The target is the "
        "position after the copy.",
    ),
    "to_the_previous": Misconception(
        _among(lambda tokens: _diagonal(tokens, 1)),
        "this is the previous-token score. The induction target depends on the tokens.",
    ),
    "one_too_far": Misconception(
        _among(lambda tokens: _followed(tokens, 2)),
        "you look two positions after the earlier copy; the target is the position just after it.",
    ),
    "before_the_copy": Misconception(
        _among(_before_the_copy), "you score the position before the earlier copy; the target is the one after it."
    ),
    "what_comes_next": Misconception(
        _among(_what_comes_next),
        "you score the keys that hold the token that really comes next. A head cannot know it: its targets are the "
        "positions after earlier copies of the present token, whatever comes next.",
    ),
    "half_a_row_back": Misconception(
        _among(lambda tokens: _diagonal(tokens, tokens.shape[1] // 2 - 1)),
        "you take one diagonal, half a row back. That is the target only if a row is one block twice; the definition "
        "goes by the tokens, whatever the row.",
    ),
    "latest_only": Misconception(
        _among(lambda tokens: _nearest(induction_targets(tokens))),
        "you count only the most recent target. If the token stood there several times, each of them has one: add "
        "their attention.",
    ),
    "earliest_only": Misconception(
        _among(lambda tokens: _nearest(induction_targets(tokens).flip(-1)).flip(-1)),
        "you count only the earliest target. If the token stood there several times, each of them has one: add their "
        "attention.",
    ),
    "without_itself": Misconception(
        _among(lambda tokens: induction_targets(tokens).tril(-1)),
        "you leave out the query's own position. After an immediate repeat, as in `a a`, the token before the second a "
        "is an a, so that position is a target too.",
    ),
    "rolled_round": Misconception(
        _among(_rolled),
        "position 0 has no token before it: rolling gives it the last one of the row, so that it looks like a target. "
        "Set its column to false.",
    ),
    "of_first_row": Misconception(
        _among(lambda tokens: induction_targets(tokens[:1]).expand(len(tokens), -1, -1)),
        "you use the first row's tokens for all rows; each row has targets of its own.",
    ),
    "over_all_queries": Misconception(
        lambda pattern, tokens: (pattern * induction_targets(tokens)).sum(-1).mean((-1, -2)),
        "your mean counts queries that have no target, as most of a first copy have not (a key after the query is "
        "none). A perfect head would not reach 1: take the mean over the queries that have one.",
    ),
    "over_second_half": Misconception(
        over_second_half,
        "your mean runs over the second half of the row. Which queries have a target depends on the tokens: take the "
        "mean over those.",
    ),
    "over_targets": Misconception(
        lambda pattern, tokens: pattern[..., induction_targets(tokens)].mean(-1),
        "this is the mean over all target cells. A query with two targets shares its attention between them: add over "
        "the keys first, then take the mean over the queries.",
    ),
    "shared_out": Misconception(
        shared_out,
        "you take the mean over each query's targets. A head that attends to nothing else would not reach 1 where "
        "there are several: add the attention on them.",
    ),
    "largest_target": Misconception(
        largest_target, "you take each query's most attended target; add the attention on all of its targets."
    ),
    "summed_over_queries": Misconception(
        lambda pattern, tokens: (pattern * induction_targets(tokens)).sum((-1, -2, -3)),
        "you sum over the queries; take the mean over those that have a target.",
    ),
    "mean_of_rows": Misconception(
        mean_of_rows,
        "this is a mean of the rows' scores, in which a row with one target weighs as much as one with ten. Pool the "
        "queries of all rows.",
    ),
    "queries_and_keys_swapped": Misconception(
        lambda pattern, tokens: induction_score(pattern.mT, tokens),
        "queries and keys are swapped: the last axis of the pattern is the key, and each query's attention sums to one "
        "over it.",
    ),
    "zero_if_undefined": Misconception(
        lambda pattern, tokens: induction_score(pattern, tokens).nan_to_num(),
        "right wherever a query has a target. Where none has, the score is NaN, as the mean of nothing is: a 0 would "
        "say that the head looked elsewhere.",
    ),
}

QUESTION = Question(
    id="ch06.induction_score",
    points=2,
    title="Induction score of any sequence",
    hints=(
        "Compare every token with the token before every key. Which of these pairs may a causal head look at?",
        "Make a mask [batch, query, key] of the targets: tokens[query] == tokens[key - 1], key from 1 to query. Sum "
        "the attention over each query's targets, then take the mean over the queries, of all rows, that have one.",
        "mask = zeros [batch, pos, pos]; mask[:, :, 1:] = tokens[:, :, None] == tokens[:, None, :-1]; mask = "
        "mask.tril(). With has = mask.any(-1): (pattern * mask).sum(-1)[..., has].mean(-1).",
    ),
    reference=induction_score,
    cases=cases,
    axes={"pattern": "layer head batch pos pos", "tokens": "batch pos"},
    fields=(Field("score", "layer head", atol=1e-5, rtol=1e-5),),
    misconceptions=MISCONCEPTIONS,
)
