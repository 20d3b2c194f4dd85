"""The real language model that open tasks are judged on, and prose that it reads there."""

from __future__ import annotations

from functools import cache
from typing import Any

from jaxtyping import Int
from torch import Tensor

__all__ = ["MODEL", "N_LAYERS", "model", "passages"]

MODEL = "smollm2-135m"
N_LAYERS = 30

N_SHOWN = 15
"""Held-out documents that are given for a search."""


@cache
def model() -> Any:
    """The model, on the CPU."""
    from mechlib import zoo  # takes seconds, and only some tasks need it

    return zoo.load(MODEL, device="cpu")


def passages(seed: int, *, n_rows: int, length: int) -> Int[Tensor, "row pos"]:
    """Passages from the held-out documents that nobody sees."""
    from mechlib import text

    documents = text.docstrings("held_out")[N_SHOWN:]
    return text.rows(documents, n_rows=n_rows, length=length, seed=seed, encode=_encoded)


@cache
def _encoded(words: str) -> Int[Tensor, " pos"]:
    return model().tokenizer(words, return_tensors="pt").input_ids[0]
