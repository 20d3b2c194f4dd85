"""Open task ch08.cut_six: which six heads does the real model need together to name the right one of two people?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from mechlib.checks.open_task import OpenTask, Outcome, Unfit
from mechlib.questions.real_model import MODEL, N_LAYERS, model

__all__ = ["DIRECT", "N_CUT", "QUESTION", "left"]

N_CUT, N_HEADS = 6, 9
"""Heads that are cut together, and heads of a layer."""

N_PROMPTS = 48

N_INSTANCES = 16
"""Instances that a class shares, each of prompts of its own; nothing of one leaves the judge but the points."""

DIRECT = ((23, 3), (29, 1), (23, 0), (23, 2), (23, 1), (23, 7))
"""The baseline: the heads with the largest direct effects."""

Heads = Iterable[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Instance:
    """Prompts of a seed, and what is known of them."""

    seed: int
    left: dict[frozenset[tuple[int, int]], float] = field(default_factory=dict)
    """By the heads that are cut."""


def draw(generator: torch.Generator) -> Instance:
    return instance(int(torch.randint(2**31, (), generator=generator)))


@lru_cache(N_INSTANCES)
def instance(seed: int) -> Instance:
    return Instance(seed)


def left(drawn: Instance, heads: Heads) -> float:
    """The mean chance of the right name, of the two, when the heads are cut together at the last position."""
    from mechlib.repair import cut_heads
    from mechlib.repair.prompts import names

    cut = frozenset(heads)
    if cut not in drawn.left:
        prompts = names(model().tokenizer.encode, N_PROMPTS, drawn.seed)
        found = cut_heads(model(), prompts.tokens, prompts.right, prompts.wrong, [sorted(cut)])
        drawn.left[cut] = float((found.intact - found.total[0]).sigmoid().mean())
    return drawn.left[cut]


def outcome(drawn: Instance, handed: Any) -> Outcome:
    return Outcome(left(drawn, heads_of(handed)))


def heads_of(handed: Any) -> list[tuple[int, int]]:
    """What was handed in.

    Raises:
        Unfit: if it is not six different heads of the model.
    """
    right = (
        f"{N_CUT} different heads are cut, each a pair of a layer from 0 to {N_LAYERS - 1} and a head from 0 to "
        f"{N_HEADS - 1}."
    )
    listed = handed.tolist() if isinstance(handed, Tensor) else handed
    if not isinstance(listed, (list, tuple)) or len(listed) != N_CUT:
        raise Unfit(right)
    heads = [tuple(pair) if isinstance(pair, (list, tuple)) else () for pair in listed]
    known = {(layer, head) for layer in range(N_LAYERS) for head in range(N_HEADS)}
    numbers = all(
        isinstance(number, (int, float)) and not isinstance(number, bool) for pair in heads for number in pair
    )
    if not numbers or len({*heads} & known) != N_CUT:
        raise Unfit(right)
    return [(int(layer), int(head)) for layer, head in heads]


def nulls(generator: torch.Generator) -> dict[str, list[tuple[int, int]]]:
    drawn = torch.randperm(N_LAYERS * N_HEADS, generator=generator)[:N_CUT].tolist()
    return {
        "at random": [divmod(i, N_HEADS) for i in drawn],
        "the largest direct effects": [*DIRECT],
        "all of layer 23 that write most": [(23, head) for head in (0, 1, 2, 3, 7, 8)],
        "one in each of the last layers": [(layer, 1) for layer in range(24, 30)],
    }


QUESTION = OpenTask(
    id="ch08.cut_six",
    points=3,
    title="Six heads that are missed together",
    hints=(
        "A head's direct effect says what it writes, not what is lost without it. What would you measure of a single "
        "head instead? And which heads can be needed without writing anything toward a name?",
        "Cut every head of the later layers by itself and sort by the total effect. Then look at what happens when the "
        "first of them are cut together: effects of single cuts do not add up.",
        "Keep the head that costs most cut, and try all candidates beside it; keep the best pair, and go on to six. "
        "Check the six on prompts that you did not choose on.",
    ),
    handed_in=f"Hand in a list of {N_CUT} heads of {MODEL}, each a pair (layer, head).",
    budget="Some 300 cuts on a few dozen prompts are enough: five minutes on two cores.",
    draw=draw,
    outcome=outcome,
    baseline=lambda drawn: left(drawn, DIRECT),
    steps=((1, 0.94), (2, 0.88), (3, 0.82)),
    words="Without them the right name has a chance of {value:.2f}; without those that write most, of {baseline:.2f}.",
    nulls=nulls,
    model=MODEL,
    instances=N_INSTANCES,
)
