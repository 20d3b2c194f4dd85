"""The real language model that open tasks are judged on, prose that it reads there, and what it costs to change it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

__all__ = ["MODEL", "N_INSTANCES", "N_LAYERS", "Texts", "Tokens", "model", "passages", "shared"]

MODEL = "smollm2-135m"
N_LAYERS = 30

N_SHOWN = 15
"""Held-out documents that are given for a search."""

N_INSTANCES = 16
"""Instances that a class shares, each of texts of its own: what is known of one is known for all who have it. With
few of them, the luck of one would be that of a large part of the class. Nothing of an instance leaves the judge but the
points, so that sharing one tells nobody anything."""

Tokens = Int[Tensor, "row pos"]


@cache
def model() -> Any:
    """The model, on the CPU."""
    from mechlib import zoo  # takes seconds, and only some tasks need it

    return zoo.load(MODEL, device="cpu")


def passages(seed: int, *, n_rows: int, length: int) -> Tokens:
    """Passages from the held-out documents that nobody sees."""
    from mechlib import text

    documents = text.docstrings("held_out")[N_SHOWN:]
    return text.rows(documents, n_rows=n_rows, length=length, seed=seed, encode=_encoded)


@cache
def _encoded(words: str) -> Int[Tensor, " pos"]:
    return model().tokenizer(words, return_tensors="pt").input_ids[0]


@dataclass(frozen=True, eq=False)
class Texts:
    """What the model reads in an instance, and what is known of it."""

    tokens: Tokens
    costs: dict[frozenset[Hashable], float] = field(default_factory=dict)
    """By what was chosen: the layers or heads that are handed in."""

    def cost(self, chosen: Iterable[Hashable], measured: Callable[[frozenset[Any]], float]) -> float:
        """What is measured of a choice, once for all who make it; not below 0."""
        if (key := frozenset(chosen)) not in self.costs:
            self.costs[key] = max(measured(key), 0.0)
        return self.costs[key]


def shared(tokens: Callable[[int], Tokens]) -> Callable[[torch.Generator], Texts]:
    """The ``draw`` of a task whose instances are shared: the texts that a seed gives."""

    @lru_cache(N_INSTANCES)
    def instance(seed: int) -> Texts:
        return Texts(tokens(seed))

    return lambda generator: instance(int(torch.randint(2**31, (), generator=generator)))
