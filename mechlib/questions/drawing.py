"""Small draws that the cases of several questions share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

__all__ = ["both_signs", "distinct", "double_normals", "integer", "near", "normal", "tokens"]


def distinct(generator: torch.Generator, count: int, low: int, high: int) -> list[int]:
    """``count`` different integers from ``low`` to ``high``, both included, in random order."""
    return [low + i for i in torch.randperm(high - low + 1, generator=generator)[:count].tolist()]


def integer(generator: torch.Generator, low: int, high: int) -> int:
    """One integer from ``low`` to ``high``, both included."""
    return distinct(generator, 1, low, high)[0]


def near(generator: torch.Generator, value: float) -> float:
    """A number within one part in a hundred of ``value``, for what is planted: a round one hides answers that round."""
    return value * (1 + 0.01 * (2 * float(torch.rand((), generator=generator)) - 1))


def normal(generator: torch.Generator, *shape: int, mean: float = 0.0, scale: float = 1.0) -> Float[Tensor, "*shape"]:
    """Normal numbers."""
    return mean + scale * torch.randn(shape, generator=generator, dtype=torch.float32)


def double_normals(generator: torch.Generator) -> Callable[..., Float64[Tensor, "*shape"]]:
    """``draw(*shape)``: normal numbers in double precision."""

    def draw(*shape: int) -> Float64[Tensor, "*shape"]:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return draw


def both_signs(generator: torch.Generator, count: int) -> Float[Tensor, " count"]:
    """1 and -1 in random order, of each as many as of the other or one more."""
    return (1.0 - 2.0 * (torch.arange(count) % 2))[torch.randperm(count, generator=generator)]


def tokens(generator: torch.Generator, d_vocab: int, *shape: int) -> Int[Tensor, "*shape"]:
    """Token ids, uniform on the vocabulary."""
    return torch.randint(d_vocab, shape, generator=generator)
