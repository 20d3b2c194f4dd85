"""Open task ch01.far: which groups of heads of the real model need the columns in the middle of a cache?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.checks.open_task import OpenTask, Outcome, Unfit

__all__ = ["MODEL", "QUESTION", "cost", "passages", "restricted"]

MODEL = "smollm2-135m"
N_LAYERS, N_GROUPS, SIZE = 30, 3, 3
"""Its layers, groups of heads that share keys and values in each, and heads of a group."""

ALL, N_FAR = N_LAYERS * N_GROUPS, 15
"""Groups of all layers, counted through, and so many of them keep the whole cache."""

NEAR = 4
"""The others keep the first column and the last of this number."""

N_ROWS, LENGTH, FROM = 6, 48, 16
"""Passages, their length, and the first position whose prediction counts."""

EVENLY = tuple(range(3, ALL, 6))
"""The baseline: groups at even distances."""

Tokens = Int[Tensor, "row pos"]
LogProbs = Float[Tensor, "row pos d_vocab"]


@cache
def model() -> Any:
    """The real model."""
    from mechlib import zoo  # takes seconds, and only this task needs it

    return zoo.load(MODEL, device="cpu")


def passages(seed: int, *, hidden: bool = True) -> Tokens:
    """Passages of prose from one half of the held-out documents: those nobody sees, or those given for the search."""
    from mechlib import text

    documents = text.docstrings("held_out")
    half = documents[15:] if hidden else documents[:15]
    return text.rows(half, n_rows=N_ROWS, length=LENGTH, seed=seed, encode=encoded)


def encoded(words: str) -> Int[Tensor, " pos"]:
    return model().tokenizer(words, return_tensors="pt").input_ids[0]


def restricted(groups: Iterable[int]) -> AbstractContextManager[Any]:
    """A block in which every column meets, in some groups of heads, the first, itself and the three before alone."""
    heads = defaultdict[int, list[int]](list)
    for group in groups:
        heads[group // N_GROUPS] += [SIZE * (group % N_GROUPS) + head for head in range(SIZE)]
    hooks = [(f"blocks.{layer}.attn.hook_pattern", partial(near, these)) for layer, these in heads.items()]
    return model().hooks(fwd_hooks=hooks)


def near(
    heads: list[int], pattern: Float[Tensor, "row head query key"], hook: object
) -> Float[Tensor, "row head query key"]:
    place = torch.arange(pattern.shape[-1])
    left = pattern[:, heads].masked_fill((place[:, None] - place >= NEAR) & (place > 0), 0.0)
    pattern = pattern.clone()
    pattern[:, heads] = left / left.sum(-1, keepdim=True)
    return pattern


def predicted(tokens: Tokens) -> LogProbs:
    with torch.no_grad():
        return model()(tokens).log_softmax(-1)[:, FROM:]


@dataclass(frozen=True)
class Texts:
    """Passages, and what the intact model predicts on them."""

    tokens: Tokens
    log_probs: LogProbs


def draw(generator: torch.Generator) -> Texts:
    tokens = passages(int(torch.randint(2**31, (), generator=generator)))
    return Texts(tokens, predicted(tokens))


def cost(texts: Texts, groups: Sequence[int]) -> float:
    """KL(intact || with the whole cache in these groups alone) in nats, the mean over passages and positions."""
    with restricted(group for group in range(ALL) if group not in groups):
        log_probs = predicted(texts.tokens)
    return max(float((texts.log_probs.exp() * (texts.log_probs - log_probs)).sum(-1).mean()), 0.0)


def outcome(texts: Texts, handed: Any) -> Outcome:
    groups = handed.flatten().tolist() if isinstance(handed, Tensor) else handed
    listed = isinstance(groups, list) and all(isinstance(group, (int, float)) for group in groups)
    if not listed or len(groups) != N_FAR or len({*groups} & {*range(ALL)}) != N_FAR:
        raise Unfit(f"{N_FAR} different groups keep the whole cache, each a number from 0 to {ALL - 1}.")
    return Outcome(cost(texts, [int(group) for group in groups]))


def nulls(generator: torch.Generator) -> dict[str, list[int]]:
    return {
        "at random": torch.randperm(ALL, generator=generator)[:N_FAR].tolist(),
        "evenly spaced": [*EVENLY],
        "the first": [*range(N_FAR)],
        "the last": [*range(ALL - N_FAR, ALL)],
    }


QUESTION = OpenTask(
    id="ch01.far",
    points=3,
    title="Who looks far?",
    hints=(
        "How much attention a head gives to the middle does not tell what it takes from there. How would you find out?",
        "Restrict all groups, give the cache back to one of them, and measure KL(intact || restricted) on the "
        "passages. Groups that help most alone are a first choice; what they do together is another matter.",
        "Take the eight groups that help most alone, give the cache back to these, and measure again how much each of "
        "the others helps beside them. Check the choice on passages that you did not choose on.",
    ),
    handed_in=f"Hand in a list of {N_FAR} groups of {MODEL}.",
    budget="Some 200 passes over a few passages are enough: five minutes on two cores.",
    draw=draw,
    outcome=outcome,
    baseline=lambda texts: cost(texts, EVENLY),
    steps=((1, 0.9), (2, 0.85), (3, 0.8)),
    words="They cost {value:.2f} nats a token; groups at even distances cost {baseline:.2f}.",
    nulls=nulls,
    model=MODEL,
)
