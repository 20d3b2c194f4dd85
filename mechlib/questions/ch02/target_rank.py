"""Question ch02.target_rank: the rank of the next token at every entry and position."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import distinct, integer, normal, tokens

__all__ = ["QUESTION"]

LogProbs = Float[Tensor, "entry batch pos d_vocab"]
Tokens = Int[Tensor, "batch pos"]


def values_at(log_probs: LogProbs, targets: Tokens) -> Float[Tensor, "entry batch pos"]:
    """The log-probability of each position's target, at every entry."""
    return log_probs.gather(-1, targets.expand(len(log_probs), -1, -1)[..., None])[..., 0]


def ranks(log_probs: LogProbs, targets: Tokens) -> Int[Tensor, "entry batch pos"]:
    """How many tokens are strictly more probable than each position's target."""
    return (log_probs > values_at(log_probs, targets)[..., None]).sum(-1)


def target_rank(log_probs: LogProbs, tokens: Tokens, *, count: Step = ranks) -> Int[Tensor, "entry batch pos-1"]:
    """How many tokens are strictly more probable than the next token."""
    return count(log_probs[:, :, :-1], tokens[:, 1:])


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Ordinary log-probabilities, tied, nearly tied and very unequal ones, few tokens, and a large vocabulary."""
    nearly = _case("log-probabilities that differ in the fourth digit", generator)
    nearly.inputs["log_probs"][:] = (nearly.inputs["log_probs"].argsort(-1).argsort(-1) * 5e-4).log_softmax(-1)
    large = _case("a large vocabulary, and the least probable token next", generator, d_vocab=261)
    next_ones = large.inputs["tokens"].roll(-1, -1).expand(len(large.inputs["log_probs"]), -1, -1)
    large.inputs["log_probs"].scatter_(-1, next_ones[..., None], -50.0)
    return (
        _case("ordinary log-probabilities", generator),
        _case("tied log-probabilities", generator, step=0.5),
        _case("a single token, so that nothing follows", generator, pos=1),
        _case("a single row of two tokens", generator, batch=1, pos=2),
        _case("very unequal log-probabilities", generator, scale=300.0),
        nearly,
        large,
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    batch: int | None = None,
    pos: int | None = None,
    d_vocab: int | None = None,
    step: float = 0.0,
    scale: float = 1.0,
) -> Case:
    entry, several = distinct(generator, 2, 3, 5)
    batch, pos = batch or several, pos or integer(generator, 6, 9)
    d_vocab = d_vocab or integer(generator, 13, 18)
    scores = normal(generator, entry, batch, pos, d_vocab, scale=scale)
    log_probs = ((scores / step).round() * step if step else scores).log_softmax(-1)
    return Case(description, {"log_probs": log_probs, "tokens": tokens(generator, d_vocab, batch, pos)})


def ties_against(log_probs, targets):
    return (log_probs >= values_at(log_probs, targets)[..., None]).sum(-1) - 1


def place_in(order, targets):
    return (order == targets[..., None]).int().argmax(-1)


def distinct_values(log_probs, targets):
    descending = log_probs.sort(-1, descending=True).values
    first = torch.cat([torch.ones_like(descending[..., :1]), (descending.diff(dim=-1) < 0).float()], -1)
    return ((descending > values_at(log_probs, targets)[..., None]) * first).sum(-1)


SORTED_TIES = (
    "right without ties, but sorting puts tied tokens in some order, and they share the smallest rank. Count the "
    "strictly more probable tokens instead."
)

on = edits_of(target_rank)

MISCONCEPTIONS = {
    "one_based": on("you count from 1; the most probable token has rank 0.", result=lambda rank: rank + 1),
    "current_token": Misconception(
        lambda log_probs, tokens: ranks(log_probs, tokens)[:, :, :-1],
        "this is the rank of the token that stands at the position. Position p predicts the token at p + 1.",
    ),
    "aligned_to_itself": Misconception(
        lambda log_probs, tokens: ranks(log_probs, tokens)[:, :, 1:],
        "you shifted both: tokens[:, 1:] is compared with the distributions of the same positions. Keep the "
        "distributions of the positions before.",
    ),
    "all_positions": Misconception(
        ranks,
        "one position too many, and the ranks are those of the tokens that stand there. Position p predicts p + 1, "
        "and the last one predicts nothing that is known.",
    ),
    "wrapped": Misconception(
        lambda log_probs, tokens: ranks(log_probs, tokens.roll(-1, dims=-1)),
        "the last position has no next token: rolling gives it the row's first one. Leave it out.",
    ),
    "previous_token": Misconception(
        lambda log_probs, tokens: ranks(log_probs[:, :, 1:], tokens[:, :-1]),
        "the shift goes the wrong way: this is the rank of the token before each position.",
    ),
    "from_below": on("you count the tokens that are less probable; count the more probable.", log_probs=torch.neg),
    "ties_against": on(
        "tied tokens count against the target: only strictly more probable tokens count.", count=ties_against
    ),
    "counts_itself": on(
        "you count the target itself, and what is tied with it: use > and not >=, so that the first guess has rank 0.",
        count=lambda log_probs, targets: ties_against(log_probs, targets) + 1,
    ),
    "ties_by_id": on(
        SORTED_TIES,
        count=lambda scores, targets: place_in(scores.argsort(dim=-1, descending=True, stable=True), targets),
    ),
    "ties_by_id_reversed": on(
        SORTED_TIES, count=lambda scores, targets: place_in(scores.argsort(dim=-1, stable=True).flip(-1), targets)
    ),
    "order_at_target": on(
        "argsort gives the token at each rank; you look it up at the target's id, which is not the rank of the target. "
        "Invert the permutation, or count.",
        count=lambda scores, targets: values_at(scores.argsort(dim=-1, descending=True, stable=True), targets),
    ),
    "distinct_values": on("tied tokens above the target count as one; each of them counts.", count=distinct_values),
}

QUESTION = Question(
    id="ch02.target_rank",
    points=1,
    title="Rank of the next token",
    hints=(
        "Which token does the distribution at position p try to predict, and which positions have one?",
        "Pair log_probs[:, :, :-1] with tokens[:, 1:], look up the log-probability of each target, and count the "
        "tokens above it. No sorting is needed.",
        "targets = tokens[:, 1:] expanded to [entry, batch, pos - 1, 1]; value = log_probs[:, :, :-1].gather(-1, "
        "targets); the rank is (log_probs[:, :, :-1] > value).sum(-1).",
    ),
    reference=target_rank,
    cases=cases,
    axes={"log_probs": "entry batch pos d_vocab", "tokens": "batch pos"},
    fields=(Field("rank", "entry batch pos-1", atol=0.0, rtol=0.0),),
    misconceptions=MISCONCEPTIONS,
)
