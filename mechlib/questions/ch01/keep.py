"""Open task ch01.keep: which columns of a text does the real model need to go on, where few can be kept?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.checks.open_task import OpenTask, Outcome, Unfit
from mechlib.checks.question import Case
from mechlib.checks.values import Unreadable, as_tensor
from mechlib.questions.real_model import MODEL, N_LAYERS, model, passages

__all__ = ["N_KEPT", "N_READ", "N_SCORED", "QUESTION", "Pool", "costs", "read"]

N_READ, N_KEPT, N_SCORED = 48, 10, 12
"""Tokens that are read, columns of them that are kept in each layer, and tokens after them that are predicted."""

N_POOL, N_PASSAGES = 32, 16
"""Passages that nobody sees, and those of an instance."""

Pattern = Float[Tensor, "layer query column"]
Columns = Int[Tensor, "layer kept"]
Chooser = Callable[[Pattern], Columns]


@dataclass(frozen=True)
class Pool:
    """Passages that the model has read, one row each."""

    after: Int[Tensor, "row scored"]
    """The tokens that follow."""
    keys: Float[Tensor, "layer row group column d_head"]
    values: Float[Tensor, "layer row group column d_head"]
    pattern: Float[Tensor, "row layer query column"]
    """Attention, the mean over heads."""
    log_probs: Float[Tensor, "row scored d_vocab"]
    """What is predicted with all columns."""
    plain: Float[Tensor, " row"]
    """What it costs to keep the first column and the last ones."""

    def some(self, rows: Int[Tensor, " some"]) -> Pool:
        """Some of the rows."""
        after, keys, values = self.after[rows], self.keys[:, rows], self.values[:, rows]
        return Pool(after, keys, values, self.pattern[rows], self.log_probs[rows], self.plain[rows])


@torch.no_grad()
def read(tokens: Int[Tensor, "row pos"]) -> Pool:
    """Let the model read the first tokens of passages and predict the others."""
    from mechlib.stream import extend

    patterns = []
    first, after = tokens[:, :N_READ], tokens[:, N_READ:]
    points = [
        (f"blocks.{layer}.attn.hook_pattern", lambda p, hook: patterns.append(p.mean(1))) for layer in range(N_LAYERS)
    ]
    model().run_with_hooks(first, fwd_hooks=points)
    _, cache = extend(model(), first)
    unknown = torch.full((len(tokens),), math.nan)
    found = Pool(after, cache.keys, cache.values, torch.stack(patterns, 1), _predicted(after, cache), unknown)
    return replace(found, plain=costs(found, torch.stack([with_first(pattern) for pattern in found.pattern])))


@torch.no_grad()
def _predicted(after: Int[Tensor, "row scored"], kept: Any) -> Float[Tensor, "row scored d_vocab"]:
    """Log-probabilities beside the columns of a cache, which stay at their positions."""
    from mechlib.stream import extend, read_out

    columns, _ = extend(model(), after, kept, start=N_READ)
    return read_out(model(), columns[-1]).log_softmax(-1)


def costs(pool: Pool, columns: Int[Tensor, "row layer kept"]) -> Float[Tensor, " row"]:
    """KL(all columns || those kept) in nats, the mean over the tokens after."""
    from mechlib.stream import Cache

    _, _, groups, _, d_head = pool.keys.shape
    place = columns.sort(-1).values.movedim(1, 0)[:, :, None, :, None].expand(-1, -1, groups, -1, d_head)
    log_probs = _predicted(pool.after, Cache(pool.keys.gather(3, place), pool.values.gather(3, place)))
    return (pool.log_probs.exp() * (pool.log_probs - log_probs)).sum(-1).mean(-1).clamp(min=0)


@cache
def pool() -> Pool:
    return read(passages(0, n_rows=N_POOL, length=N_READ + N_SCORED))


def draw(generator: torch.Generator) -> Pool:
    return pool().some(torch.randperm(N_POOL, generator=generator)[:N_PASSAGES])


def cases(drawn: Pool) -> tuple[Case, ...]:
    return tuple(Case("attention in a passage", {"pattern": pattern.clone()}) for pattern in drawn.pattern)


def outcome(drawn: Pool, handed: list[Any]) -> Outcome:
    return Outcome(float(costs(drawn, torch.stack([columns_of(found) for found in handed])).mean()))


def columns_of(found: Any) -> Columns:
    """What was returned for one passage.

    Raises:
        Unfit: if it is not so many different columns of each layer.
    """
    right = (
        f"the function returns {N_KEPT} different columns for each of {N_LAYERS} layers, numbers from 0 to {N_READ - 1}"
    )
    try:
        columns = torch.as_tensor(as_tensor(found)).double()
    except (Unreadable, TypeError, ValueError):
        raise Unfit(f"{right}.") from None
    if columns.shape != (N_LAYERS, N_KEPT):
        raise Unfit(f"{right}: [{N_LAYERS}, {N_KEPT}], not {list(columns.shape)}.")
    whole = ((columns >= 0) & (columns < N_READ) & (columns == columns.round())).all()
    if not whole or (columns.sort(-1).values.diff(dim=-1) == 0).any():
        raise Unfit(f"{right}.")
    return columns.long()


def with_first(pattern: Pattern) -> Columns:
    """The baseline: the first column and the last nine, in every layer."""
    return torch.tensor([0, *range(N_READ - N_KEPT + 1, N_READ)]).expand(N_LAYERS, -1)


def baseline(drawn: Pool) -> float:
    return float(drawn.plain.mean())


def nulls(generator: torch.Generator) -> Mapping[str, Chooser]:
    return {
        "the first and the last": with_first,
        "the last": lambda pattern: torch.arange(N_READ - N_KEPT, N_READ).expand(N_LAYERS, -1),
        "at random": lambda pattern: torch.rand(N_LAYERS, N_READ, generator=generator).argsort(-1)[:, :N_KEPT],
        "those that received most": lambda pattern: pattern.sum(1).topk(N_KEPT).indices,
        "evenly spaced": lambda pattern: torch.linspace(0, N_READ - 1, N_KEPT).round().long().expand(N_LAYERS, -1),
    }


QUESTION = OpenTask(
    id="ch01.keep",
    points=3,
    title="Ten columns of forty-eight",
    hints=(
        "What does a layer read of a column? Only what its heads attend to. Which columns were attended to so far?",
        "A column near the beginning has been seen by many queries, one near the end by few. What is a fair measure of "
        "how much a query cares for a column?",
        "In each layer the mean attention of those queries that can see the column, which are the queries from its own "
        "position on; then the ten largest.",
    ),
    handed_in=f"Hand in a function of pattern that returns {N_KEPT} columns of each layer, [{N_LAYERS}, {N_KEPT}].",
    budget=f"It is called {N_PASSAGES} times; all calls together may take 20 seconds.",
    draw=draw,
    cases=cases,
    outcome=outcome,
    baseline=baseline,
    steps=((1, 0.95), (2, 0.87), (3, 0.79)),
    words="Going on from your columns costs {value:.2f} nats a token, from the first and the last nine {baseline:.2f}.",
    nulls=nulls,
    model=MODEL,
)
