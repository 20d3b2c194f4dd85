"""Question ch02.readable: which token can be read at each entry, the current one or the model's guess?"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, integer, normal, tokens

__all__ = ["QUESTION"]

LogProbs = Float[Tensor, "entry batch pos d_vocab"]
Tokens = Int[Tensor, "batch pos"]
Shares = Float[Tensor, "entry 2"]


def readable(log_probs: LogProbs, tokens: Tokens, top_k: int) -> tuple[Shares, Shares]:
    """Shares of the positions at which the current token, and the final guess, is among an entry's ``top_k``.

    Column 0 holds the positions where the final guess is not the next token, column 1 those where it is.
    """
    guess = log_probs[-1, :, :-1].argmax(-1)
    right = guess == tokens[:, 1:]
    current = among_top(log_probs[:, :, :-1], tokens[:, :-1], top_k)
    return split(current, right), split(among_top(log_probs[:, :, :-1], guess, top_k), right)


def among_top(log_probs: LogProbs, wanted: Tokens, top_k: int) -> Bool[Tensor, "entry batch pos"]:
    """Whether fewer than ``top_k`` tokens are more probable than the wanted one."""
    values = log_probs.gather(-1, wanted.expand(log_probs.shape[:-1])[..., None])
    return (log_probs > values).sum(-1) < top_k


def split(hit: Bool[Tensor, "entry batch pos"], right: Bool[Tensor, "*entry batch pos"]) -> Shares:
    """The share of hits among the positions that are not right, and among those that are."""
    right = right.expand_as(hit)
    return torch.stack([(hit & group).sum((-1, -2)) / group.sum((-1, -2)) for group in (~right, right)], -1)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Several rows, only the first guess, a single row, every token readable, and very unequal probabilities."""
    return (
        _case("several rows, top 3", generator, top_k=3),
        _case("several rows, only the first guess", generator, top_k=1),
        _case("a single row, top 2", generator, top_k=2, batch=1),
        _case("a top_k as large as the vocabulary", generator, top_k=None),
        _case("very unequal log-probabilities, top 4", generator, top_k=4, scale=100.0),
    )


def _case(
    description: str, generator: torch.Generator, *, top_k: int | None, batch: int | None = None, scale: float = 1.0
) -> Case:
    """Early entries lean to the current token, late ones to the guess; each row has its own number of right guesses."""
    entry, several = distinct(generator, 2, 3, 5)
    batch = several if batch is None else batch
    pos, d_vocab = integer(generator, 8, 11), integer(generator, 13, 17)
    ids = tokens(generator, d_vocab, batch, pos)
    wrong = (ids.roll(-1, -1) + 1 + tokens(generator, d_vocab - 1, batch, pos)) % d_vocab
    guess = torch.where(_right(generator, batch, pos), ids.roll(-1, -1), wrong)
    depth = torch.linspace(0, 1, entry)[:, None, None, None]
    lean = (1 - depth) * F.one_hot(ids, d_vocab) + depth * F.one_hot(guess, d_vocab)
    scores = scale * (2.5 * lean + normal(generator, entry, batch, pos, d_vocab))
    scores[-1] += 10 * scale * F.one_hot(guess, d_vocab)
    inputs = {"log_probs": scores.log_softmax(-1), "tokens": ids, "top_k": d_vocab if top_k is None else top_k}
    return Case(description, inputs)


def _right(generator: torch.Generator, batch: int, pos: int) -> Bool[Tensor, "batch pos"]:
    """At least one right and one wrong guess before each row's last position, where the guess is wrong."""
    first = integer(generator, 0, 5)
    counts = [1 + (first + 2 * row) % (pos - 3) for row in range(batch)]
    order = torch.stack([torch.randperm(pos - 1, generator=generator) for _ in range(batch)])
    right = order < torch.tensor(counts)[:, None]
    return torch.cat([right, torch.zeros(batch, 1, dtype=torch.bool)], -1)


def _with(hit_of=None, right_of=None, share=split):
    """The reference with one part exchanged: which token is looked for, what counts as right, how shares are taken."""

    def answer(log_probs, tokens, top_k):
        before, guess = log_probs[:, :, :-1], log_probs[-1, :, :-1].argmax(-1)
        right = right_of(log_probs, tokens) if right_of else guess == tokens[:, 1:]
        wanted = hit_of(log_probs, tokens) if hit_of else (tokens[:, :-1], guess)
        current, final = (among_top(before, each, top_k) for each in wanted)
        return share(current, right), share(final, right)

    return answer


def _final_guess(log_probs):
    return log_probs[-1, :, :-1].argmax(-1)


next_for_current = _with(hit_of=lambda lp, tokens: (tokens[:, 1:], _final_guess(lp)))
guess_of_entry = _with(hit_of=lambda lp, tokens: (tokens[:, :-1], lp[:, :, :-1].argmax(-1)))
guess_is_next = _with(hit_of=lambda lp, tokens: (tokens[:, :-1], tokens[:, 1:]))
right_if_current = _with(right_of=lambda lp, tokens: _final_guess(lp) == tokens[:, :-1])
right_at_entry = _with(right_of=lambda lp, tokens: lp[:, :, :-1].argmax(-1) == tokens[:, 1:])
all_of_entry = _with(
    hit_of=lambda lp, tokens: (tokens[:, :-1], lp[:, :, :-1].argmax(-1)),
    right_of=lambda lp, tokens: lp[:, :, :-1].argmax(-1) == tokens[:, 1:],
)
columns_swapped = _with(share=lambda hit, right: split(hit, right).flip(-1))
of_all_positions = _with(
    share=lambda hit, right: torch.stack([(hit & g).float().mean((-1, -2)) for g in (~right, right)], -1)
)
mean_of_rows = _with(
    share=lambda hit, right: torch.stack([((hit & g).sum(-1) / g.sum(-1)).mean(-1) for g in (~right, right)], -1)
)
hits_that_are_right = _with(
    share=lambda hit, right: torch.stack(
        [(hit & g).sum((-1, -2)) / hit.sum((-1, -2)).clamp(min=1) for g in (~right, right)], -1
    )
)


def one_too_many(log_probs, tokens, top_k):
    return readable(log_probs, tokens, top_k + 1)


def top_one(log_probs, tokens, top_k):
    return readable(log_probs, tokens, 1)


def results_swapped(log_probs, tokens, top_k):
    return readable(log_probs, tokens, top_k)[::-1]


def last_position_too(log_probs, tokens, top_k):
    guess = log_probs[-1].argmax(-1)
    right = guess == tokens.roll(-1, -1)
    return tuple(split(among_top(log_probs, each, top_k), right) for each in (tokens, guess))


MISCONCEPTIONS = {
    "next_for_current": Misconception(
        next_for_current,
        "the current token at position p is tokens[:, p]; you look for the next one, tokens[:, p + 1].",
    ),
    "guess_of_entry": Misconception(
        guess_of_entry,
        "you look for each entry's own first guess, which is always among its first. Look for the final entry's guess.",
    ),
    "guess_is_next": Misconception(
        guess_is_next,
        "you look for the next token and call it the guess. The guess is the final entry's most probable token, right "
        "or wrong.",
    ),
    "right_if_current": Misconception(
        right_if_current,
        "a guess is right if it is the next token; you compare it with the current one.",
    ),
    "right_at_entry": Misconception(
        right_at_entry,
        "you split each entry by its own guess, so the entries are compared on different positions. Split all by "
        "whether the final guess was right.",
    ),
    "all_of_entry": Misconception(
        all_of_entry,
        "you take the guess, and whether it is right, from each entry itself. Both come from the last entry: its guess "
        "is looked for everywhere, and the positions are split once.",
    ),
    "columns_swapped": Misconception(
        columns_swapped, "the columns are swapped: column 0 is for wrong guesses, column 1 for right ones."
    ),
    "of_all_positions": Misconception(
        of_all_positions,
        "you divide by all positions; each share is taken of its own group, so divide by the group's size.",
    ),
    "mean_of_rows": Misconception(
        mean_of_rows,
        "this is a mean of the rows' shares, in which a row with few right guesses weighs as much as one with many. "
        "Pool the positions of all rows.",
    ),
    "hits_that_are_right": Misconception(
        hits_that_are_right,
        "the condition is turned round: this is the share of right guesses among the readable positions.",
    ),
    "one_too_many": Misconception(
        one_too_many, "you count top_k + 1 tokens as readable: with ranks from 0, the condition is rank < top_k."
    ),
    "top_one": Misconception(top_one, "top_k is not used: you look at the first token only."),
    "results_swapped": Misconception(
        results_swapped, "the two results are swapped: first the current token, then the guess."
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
