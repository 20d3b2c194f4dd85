"""Open task ch06.keep: which heads of the real model's upper layers does it take to go on with a repeated block?"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch

from mechlib.checks.open_task import OpenTask, Outcome, Unfit
from mechlib.checks.values import Unreadable, as_tensor
from mechlib.questions.drawing import integer
from mechlib.questions.real_model import MODEL, N_INSTANCES, N_LAYERS, Texts, Tokens, model, shared

__all__ = ["FIRST", "N_HEADS", "N_KEPT", "QUESTION", "UPPER", "cost", "rows"]

FIRST, N_HEADS, N_KEPT = 16, 9, 16
"""The first of the layers of which most heads go, the heads of a layer, and how many of all these are kept."""

D_VOCAB = 49_152
N_ROWS, LENGTH, PERIODS = 6, 48, (12, 20)

Head = tuple[int, int]
UPPER = tuple((layer, head) for layer in range(FIRST, N_LAYERS) for head in range(N_HEADS))

BY_SCORE = (
    *((17, 3), (17, 4), (17, 5), (18, 6), (18, 7), (20, 6), (21, 7), (21, 8)),
    *((22, 7), (23, 0), (23, 1), (23, 2), (23, 7), (23, 8), (24, 2), (24, 4)),
)
"""The baseline: the sixteen with the highest induction scores."""

BY_PREVIOUS = (
    *((16, 0), (16, 2), (16, 4), (16, 5), (16, 7), (17, 8), (18, 0), (18, 1)),
    *((18, 5), (19, 3), (19, 4), (19, 7), (19, 8), (22, 1), (29, 3), (29, 4)),
)
"""The sixteen with the highest previous-token scores."""


def rows(seed: int) -> Tokens:
    """Rows of different random tokens that end in a block and its copy, each with a period of its own.

    The period is the last block's length; special tokens stand before the first that is drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    first = D_VOCAB // 32
    drawn = [first + torch.randperm(D_VOCAB - first, generator=generator)[:LENGTH] for _ in range(N_ROWS)]
    for row in drawn:
        period = integer(generator, *PERIODS)
        row[-period:] = row[-2 * period : -period]
    return torch.stack(drawn)


draw = shared(rows)


def loss(tokens: Tokens, gone: Iterable[Head]) -> float:
    """The loss in nats on the second copy without its first token, while some heads write their mean."""
    from mechlib.causal import ablate
    from mechlib.zoo.evaluation import token_losses

    told = (tokens[:, 1:, None] == tokens[:, None, :-1]).tril().any(-1)
    told &= told.roll(1, 1)  # nothing announces the copy's first token
    with torch.no_grad(), ablate(model(), sorted(gone)):
        return float(token_losses(model(), tokens)[told].mean())


@lru_cache(N_INSTANCES)
def intact(texts: Texts) -> float:
    return loss(texts.tokens, ())


def cost(texts: Texts, kept: Iterable[Head]) -> float:
    """How much more the second copy costs with these alone of the upper layers' heads."""
    return texts.cost(kept, lambda few: loss(texts.tokens, {*UPPER} - few) - intact(texts))


def outcome(texts: Texts, handed: Any) -> Outcome:
    return Outcome(cost(texts, heads_of(handed)))


def heads_of(handed: Any) -> list[Head]:
    """The heads that were handed in.

    Raises:
        Unfit: if they are not so many different ones of the upper layers.
    """
    right = (
        f"{N_KEPT} different heads are kept, each a pair of a layer from {FIRST} to {N_LAYERS - 1} "
        f"and a head from 0 to {N_HEADS - 1}"
    )
    try:
        pairs = torch.as_tensor(as_tensor(handed)).tolist()
    except (Unreadable, TypeError, ValueError):
        raise Unfit(f"{right}.") from None
    heads = [tuple(pair) for pair in pairs if isinstance(pair, list)] if isinstance(pairs, list) else []
    if len(heads) != N_KEPT or len({*heads} & {*UPPER}) != N_KEPT:
        raise Unfit(f"{right}.")
    return [(int(layer), int(head)) for layer, head in heads]


def nulls(generator: torch.Generator) -> dict[str, list[Head]]:
    return {
        "at random": [UPPER[i] for i in torch.randperm(len(UPPER), generator=generator)[:N_KEPT]],
        "those that look for what came next": [*BY_SCORE],
        "those that look one back": [*BY_PREVIOUS],
        "the first": [*UPPER[:N_KEPT]],
        "the last": [*UPPER[-N_KEPT:]],
    }


QUESTION = OpenTask(
    id="ch06.keep",
    points=3,
    title="Sixteen heads of 126",
    hints=(
        "An induction head reads a note. If the head that writes it is silent, what is there to be found?",
        "A score says where a head looks, and not whether anything rests on it. What does the second copy cost when "
        "one head alone is silent, and all others work?",
        "Measure that for each of the 126 heads on a few rows, and keep the sixteen whose silence costs most. Or begin "
        "with two or three of them and add, again and again, the head that lowers the cost most.",
    ),
    handed_in=f"Hand in a list of {N_KEPT} pairs (layer, head) of {MODEL}.",
    budget="Some 130 passes over a few rows are enough: five minutes on two cores.",
    draw=draw,
    outcome=outcome,
    baseline=lambda texts: cost(texts, BY_SCORE),
    steps=((1, 0.75), (2, 0.52), (3, 0.34)),
    words="The second copy costs {value:.2f} nats a token more than with all heads; with the heads of the highest "
    "induction scores alone it costs {baseline:.2f} more.",
    nulls=nulls,
    model=MODEL,
    instances=N_INSTANCES,
)
