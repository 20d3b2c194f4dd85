"""Question ch03.by_place: how often a probe is right, by the place of the token in its word."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import distinct, integer

__all__ = ["QUESTION"]

Right = Bool[Tensor, "row pos"]
Words = Int[Tensor, "row pos"]
Shares = Float[Tensor, "4"]

NOTHING = -2
"""A number that no word has: what stands beside the ends of a row."""


def before(word: Words) -> Words:
    return torch.nn.functional.pad(word, (1, 0), value=NOTHING)[:, :-1]


def after(word: Words) -> Words:
    return torch.nn.functional.pad(word, (0, 1), value=NOTHING)[:, 1:]


def places(word: Words) -> tuple[Right, Right, Right, Right]:
    """Whole words, first, middle and last tokens."""
    inside = word >= 0
    opens, closes = word != before(word), word != after(word)
    return opens & closes & inside, opens & ~closes & inside, ~opens & ~closes & inside, ~opens & closes & inside


def share(right: Right, where: Right) -> Float[Tensor, ""]:
    return right[where].double().mean()


def by_place(right: Right, word: Words, *, split: Step = places, of: Step = share) -> Shares:
    """The share of right names among whole words, first, middle and last tokens; NaN where there are none."""
    return torch.stack([of(right, where) for where in split(word)])


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Words of many lengths, words at both ends of a row, numbers that occur again, no middle tokens, short rows."""
    return (
        _case("words of one to five tokens", generator),
        _case("words at both ends of every row", generator, gaps=0.0),
        _case("words numbered 0 and 1 by turns, from 0 in every row", generator, turns=True, gaps=0.1),
        _case("words of one or two tokens", generator, longest=2),
        _case("a single row", generator, rows=1),
        _case("rows of one token", generator, pos=1),
        _case("words that are all whole", generator, longest=1),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    longest: int = 5,
    gaps: float = 0.4,
    turns: bool = False,
    rows: int | None = None,
    pos: int | None = None,
) -> Case:
    several = distinct(generator, 2, 17, 26)
    rows, pos = rows or several[0], pos or several[1]
    rates = 0.15 + 0.7 * torch.rand(4, generator=generator)
    number, word = 0, torch.full((rows, pos), -1)
    for row in word:
        number = 0 if turns else number
        at = 0
        while at < pos:
            if torch.rand((), generator=generator) < gaps:
                at += integer(generator, 1, 2)
                continue
            length = min(integer(generator, 1, longest), pos - at)
            row[at : at + length] = number
            number = 1 - number if turns else number + integer(generator, 1, 2)
            at += length
    if not turns:
        word[word >= 0] += integer(generator, 1, 50)
    rate = torch.full((rows, pos), 0.4)
    for where, one in zip(places(word), rates, strict=True):
        rate[where] = one
    return Case(description, {"right": torch.rand(rows, pos, generator=generator) < rate, "word": word})


def flat_neighbours(word: Words) -> tuple[Right, ...]:
    """Neighbours across the ends of rows."""
    return tuple(where.view(word.shape) for where in places(word.flatten()[None]))


def wrapped(word: Words) -> tuple[Right, ...]:
    inside, opens, closes = word >= 0, word != word.roll(1, 1), word != word.roll(-1, 1)
    return opens & closes & inside, opens & ~closes & inside, ~opens & ~closes & inside, ~opens & closes & inside


def first_with_whole(word: Words) -> tuple[Right, ...]:
    whole, first, middle, last = places(word)
    return whole, first | whole, middle, last


def last_with_whole(word: Words) -> tuple[Right, ...]:
    whole, first, middle, last = places(word)
    return whole, first, middle, last | whole


def with_gaps(word: Words) -> tuple[Right, ...]:
    opens, closes = word != before(word), word != after(word)
    return opens & closes, opens & ~closes, ~opens & ~closes, ~opens & closes


def without_zero(word: Words) -> tuple[Right, ...]:
    return tuple(where & (word > 0) for where in places(word))


def mean_of_rows(right: Right, where: Right) -> Tensor:
    some = where.any(1)
    return ((right & where).sum(1) / where.sum(1).clamp(min=1))[some].double().mean()


on = edits_of(by_place)
MISCONCEPTIONS = {
    "first_with_whole": on("your first tokens include words of one token.", split=first_with_whole),
    "last_with_whole": on("your last tokens include words of one token.", split=last_with_whole),
    "gaps_are_words": on("what belongs to no word (-1) is counted too.", split=with_gaps),
    "no_word_zero": on("word 0 is left out; only -1 is no word.", split=without_zero),
    "across_rows": on(
        "you compare the end of a row with the beginning of the next one: they are not neighbours.",
        split=flat_neighbours,
    ),
    "rolled": on(
        "rolling makes the two ends of a row neighbours; they are not.",
        split=wrapped,
    ),
    "turned_round": on("first and last tokens are swapped.", result=lambda found: found[[0, 3, 2, 1]]),
    "of_all": on(
        "you divide by all positions; each share is taken of its own group.",
        of=lambda right, where: (right & where).double().mean(),
    ),
    "mean_of_rows": on(
        "this is a mean of the rows' shares, in which a row with few such tokens weighs as much as one with many. "
        "Pool the positions of all rows.",
        of=mean_of_rows,
    ),
    "wrong_names": on("these are the shares of wrong names.", right=torch.logical_not),
    "zero_for_none": Misconception(
        lambda right, word: by_place(right, word).nan_to_num(0.0),
        "a group without tokens has no share: NaN, not 0.",
    ),
}

QUESTION = Question(
    id="ch03.by_place",
    points=2,
    title="By the place in the word",
    hints=(
        "A token opens its word if the token before it is of another word, or of none, or if there is none before it.",
        "Make two masks, opens and closes, by comparing each number with those of its neighbours in the row; beyond "
        "the ends of a row put a number that no word has. The four groups are combinations of the two, where word is "
        "not -1.",
        "pad = torch.nn.functional.pad; opens = word != pad(word, (1, 0), value=-2)[:, :-1]; closes = word != "
        "pad(word, (0, 1), value=-2)[:, 1:]; for the last tokens right[~opens & closes & (word >= 0)].double().mean()",
    ),
    reference=by_place,
    cases=cases,
    axes={"right": "row pos", "word": "row pos"},
    fields=(Field("share", "4", atol=1e-5, rtol=1e-5),),
    misconceptions=MISCONCEPTIONS,
)
