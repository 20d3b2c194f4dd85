"""Question ch02.readable: which token can be read at each entry, the current one or the model's guess?"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import distinct, integer, normal, tokens

__all__ = ["QUESTION"]

LogProbs = Float[Tensor, "entry batch pos d_vocab"]
Tokens = Int[Tensor, "batch pos"]
Shares = Float[Tensor, "entry 2"]


def final_guess(log_probs: LogProbs) -> Tokens:
    """The most probable next token of the last entry, at every position that has a next token."""
    return guesses(log_probs)[-1]


def guesses(log_probs: LogProbs) -> Int[Tensor, "entry batch pos"]:
    """Every entry's most probable next token."""
    return log_probs[:, :, :-1].argmax(-1)


def among_top(log_probs: LogProbs, wanted: Tokens, top_k: int) -> Bool[Tensor, "entry batch pos"]:
    """Whether fewer than ``top_k`` tokens are more probable than the wanted one."""
    values = log_probs.gather(-1, wanted.expand(log_probs.shape[:-1])[..., None])
    return (log_probs > values).sum(-1) < top_k


def shares(hit: Bool[Tensor, "entry batch pos"], group: Bool[Tensor, "*entry batch pos"]) -> Float[Tensor, " entry"]:
    """The share of hits among the positions of a group."""
    return (hit & group).sum((-1, -2)) / group.sum((-1, -2))


def readable(
    log_probs: LogProbs,
    tokens: Tokens,
    top_k: int,
    *,
    current: Step = lambda log_probs, tokens: tokens[:, :-1],
    guess: Step = lambda log_probs, tokens: final_guess(log_probs),
    is_right: Step = lambda log_probs, tokens: final_guess(log_probs) == tokens[:, 1:],
    share: Step = shares,
) -> tuple[Shares, Shares]:
    """Shares of the positions at which the current token, and the final guess, is among an entry's ``top_k``.

    Column 0 holds the positions where the final guess is not the next token, column 1 those where it is.
    """
    hits = (among_top(log_probs[:, :, :-1], wanted(log_probs, tokens), top_k) for wanted in (current, guess))
    right = is_right(log_probs, tokens).expand(len(log_probs), -1, -1)
    both = tuple(torch.stack([share(hit, group) for group in (~right, right)], -1) for hit in hits)
    return both[0], both[1]


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Several rows, only the first guess, a single row or entry, all readable, very unequal and nearly tied ones."""
    return (
        _case("several rows, top 3", generator, top_k=3),
        _case("several rows, only the first guess", generator, top_k=1),
        _case("a single row, top 2", generator, top_k=2, batch=1),
        _case("a top_k as large as the vocabulary", generator, top_k=None),
        _case("very unequal log-probabilities, top 4", generator, top_k=4, scale=100.0),
        _case("log-probabilities that differ in the fourth digit, top 3", generator, top_k=3, step=5e-4),
        _case("a single entry, top 5", generator, top_k=5, entry=1),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    top_k: int | None,
    entry: int | None = None,
    batch: int | None = None,
    scale: float = 1.0,
    step: float = 0.0,
) -> Case:
    """Early entries lean to the current token, late ones to the guess; each row has its own number of right guesses."""
    many, several = distinct(generator, 2, 3, 5)
    entry, batch = entry or many, batch or several
    pos, d_vocab = integer(generator, 8, 11), integer(generator, 13, 17)
    ids = tokens(generator, d_vocab, batch, pos)
    wrong = (ids.roll(-1, -1) + 1 + tokens(generator, d_vocab - 1, batch, pos)) % d_vocab
    guess = torch.where(_right(generator, batch, pos), ids.roll(-1, -1), wrong)
    depth = torch.linspace(0, 1, entry)[:, None, None, None]
    lean = (1 - depth) * F.one_hot(ids, d_vocab) + depth * F.one_hot(guess, d_vocab)
    scores = scale * (2.5 * lean + normal(generator, entry, batch, pos, d_vocab))
    scores[-1] += 10 * scale * F.one_hot(guess, d_vocab)
    scores = scores.argsort(-1).argsort(-1) * step if step else scores
    inputs = {"log_probs": scores.log_softmax(-1), "tokens": ids, "top_k": d_vocab if top_k is None else top_k}
    return Case(description, inputs)


def _right(generator: torch.Generator, batch: int, pos: int) -> Bool[Tensor, "batch pos"]:
    """At least one right and one wrong guess before each row's last position, where the guess is wrong."""
    first = integer(generator, 0, 5)
    counts = [1 + (first + 2 * row) % (pos - 3) for row in range(batch)]
    order = torch.stack([torch.randperm(pos - 1, generator=generator) for _ in range(batch)])
    right = order < torch.tensor(counts)[:, None]
    return torch.cat([right, torch.zeros(batch, 1, dtype=torch.bool)], -1)


def last_position_too(log_probs, tokens, top_k):
    longer = torch.cat([log_probs, log_probs[:, :, :1]], 2), torch.cat([tokens, tokens[:, :1]], 1)
    return readable(*longer, top_k)


on = edits_of(readable)

MISCONCEPTIONS = {
    "next_for_current": on(
        "the current token at position p is tokens[:, p]; you look for the next one, tokens[:, p + 1].",
        current=lambda log_probs, tokens: tokens[:, 1:],
    ),
    "guess_of_entry": on(
        "you look for each entry's own first guess, which is always among its first. Look for the final entry's guess.",
        guess=lambda log_probs, tokens: guesses(log_probs),
    ),
    "guess_is_next": on(
        "you look for the next token and call it the guess. The guess is the final entry's most probable token, right "
        "or wrong.",
        guess=lambda log_probs, tokens: tokens[:, 1:],
    ),
    "right_if_current": on(
        "a guess is right if it is the next token; you compare it with the current one.",
        is_right=lambda log_probs, tokens: final_guess(log_probs) == tokens[:, :-1],
    ),
    "right_at_entry": on(
        "you split each entry by its own guess, so the entries are compared on different positions. Split all by "
        "whether the final guess was right.",
        is_right=lambda log_probs, tokens: guesses(log_probs) == tokens[:, 1:],
    ),
    "all_of_entry": on(
        "you take the guess, and whether it is right, from each entry itself. Both come from the last entry: its guess "
        "is looked for everywhere, and the positions are split once.",
        guess=lambda log_probs, tokens: guesses(log_probs),
        is_right=lambda log_probs, tokens: guesses(log_probs) == tokens[:, 1:],
    ),
    "columns_swapped": on(
        "the columns are swapped: column 0 is for wrong guesses, column 1 for right ones.",
        result=lambda both: (both[0].flip(-1), both[1].flip(-1)),
    ),
    "of_all_positions": on(
        "you divide by all positions; each share is taken of its own group, so divide by the group's size.",
        share=lambda hit, group: (hit & group).float().mean((-1, -2)),
    ),
    "mean_of_rows": on(
        "this is a mean of the rows' shares, in which a row with few right guesses weighs as much as one with many. "
        "Pool the positions of all rows.",
        share=lambda hit, group: ((hit & group).sum(-1) / group.sum(-1)).mean(-1),
    ),
    "hits_that_are_right": on(
        "the condition is turned round: this is the share of right guesses among the readable positions.",
        share=lambda hit, group: (hit & group).sum((-1, -2)) / hit.sum((-1, -2)).clamp(min=1),
    ),
    "one_too_many": on(
        "you count top_k + 1 tokens as readable: with ranks from 0, the condition is rank < top_k.",
        top_k=lambda k: k + 1,
    ),
    "top_one": on("top_k is not used: you look at the first token only.", top_k=1),
    "results_swapped": on(
        "the two results are swapped: first the current token, then the guess.", result=lambda both: both[::-1]
    ),
    "last_position_too": Misconception(
        last_position_too,
        "the last position is counted, though its next token is not known; rolling gives it the row's first one.",
    ),
}

QUESTION = Question(
    id="ch02.readable",
    points=2,
    title="What can be read at each depth",
    hints=(
        "Only positions that have a next token count. Which tensors do you have to cut, and at which end?",
        "Make three things of shape [batch, pos - 1]: the current token, the final entry's guess, and whether the "
        "guess is the next token. For each entry, ask whether a token is among the top_k, and take means over the "
        "positions where the guess was wrong, and where it was right.",
        "top = log_probs[:, :, :-1].topk(top_k).indices; hit = (top == wanted[..., None]).any(-1); with right = guess "
        "== tokens[:, 1:], the columns are hit[:, ~right].float().mean(-1) and hit[:, right].float().mean(-1).",
    ),
    reference=readable,
    cases=cases,
    axes={"log_probs": "entry batch pos d_vocab", "tokens": "batch pos"},
    fields=(Field("current", "entry 2"), Field("guess", "entry 2")),
    misconceptions=MISCONCEPTIONS,
)
