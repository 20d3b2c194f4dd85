"""Families of functions to be learned in context: draw a task, draw inputs, evaluate.

The families and their scales are those of Garg et al. (2022, "What Can Transformers Learn In-Context?", Sec. 3 and
Appendix A); the pool is that of Raventós et al. (2023); uniform inputs are those of von Oswald et al. (2023).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from mechlib.icl.prompts import Prompts


@dataclass(frozen=True)
class Task(ABC):
    """A distribution over functions from ``R^d`` to ``R``."""

    d: int
    """Dimension of the inputs."""
    noise: float = 0.0
    """Standard deviation of the Gaussian noise on every ``y``."""
    inputs: Literal["normal", "uniform"] = "normal"
    """Coordinates of ``x``, independent: standard normal, or uniform on (-1/2, 1/2)."""

    def __post_init__(self) -> None:
        if self.d < 1:
            raise ValueError(f"d is a number of dimensions, at least 1, got {self.d}")
        if not self.noise >= 0:
            raise ValueError(f"noise is a standard deviation, at least 0, got {self.noise}")
        if self.inputs not in ("normal", "uniform"):
            raise ValueError(f"inputs is 'normal' or 'uniform', got {self.inputs!r}")

    def sample(self, batch: int, n_points: int, *, generator: Generator) -> Prompts:
        """Draw ``batch`` prompts of ``n_points`` examples, each with a task of its own.

        Tensors are float32 on the generator's device.

        Raises:
            ValueError: if ``batch`` or ``n_points`` is below 1.
        """
        return self.at(self.draw_inputs(batch, n_points, generator), generator)

    def at(self, x: Float[Tensor, "batch n_points d"], generator: Generator) -> Prompts:
        """Prompts at given inputs: a task drawn for each, its values, and noise."""
        task = self.draw_task(len(x), generator)
        y = self.evaluate(task, x)
        if self.noise:
            y = y + self.noise * _normal(y.shape, generator)
        return Prompts(x, y, task)

    def draw_inputs(self, batch: int, n_points: int, generator: Generator) -> Float[Tensor, "batch n_points d"]:
        """Inputs alone."""
        if batch < 1 or n_points < 1:
            raise ValueError(f"at least one prompt of one point is needed, got batch={batch}, n_points={n_points}")
        shape = (batch, n_points, self.d)
        if self.inputs == "uniform":
            return torch.rand(shape, generator=generator, device=generator.device) - 0.5
        return _normal(shape, generator)

    @abstractmethod
    def draw_task(self, batch: int, generator: Generator) -> Any:
        """One task for each prompt."""

    @abstractmethod
    def evaluate(self, task: Any, x: Float[Tensor, "batch n_points d"]) -> Float[Tensor, "batch n_points"]:
        """The values of the tasks at ``x``, without noise."""


@dataclass(frozen=True)
class LinearRegression(Task):
    """``y = w . x`` with ``w ~ N(0, I)``, or ``w`` a random row of a pool; ``task`` is ``w [batch, d]``."""

    pool: Float[Tensor, "n_tasks d"] | None = None
    """The tasks to draw from; ``None`` for a new Gaussian one each time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pool is not None and (self.pool.dim() != 2 or self.pool.shape[1] != self.d or not len(self.pool)):
            raise ValueError(f"a pool holds tasks [n_tasks, {self.d}], got {tuple(self.pool.shape)}")

    def draw_task(self, batch: int, generator: Generator) -> Float[Tensor, "batch d"]:
        if self.pool is None:
            return _normal((batch, self.d), generator)
        chosen = torch.randint(len(self.pool), (batch,), generator=generator, device=generator.device)
        return self.pool.to(generator.device)[chosen]

    def evaluate(
        self, task: Float[Tensor, "batch d"], x: Float[Tensor, "batch n_points d"]
    ) -> Float[Tensor, "batch n_points"]:
        return torch.einsum("bnd,bd->bn", x, task)


@dataclass(frozen=True)
class SparseLinear(Task):
    """``y = w . x`` with ``nonzero`` standard normal coordinates, chosen at random; ``task`` is ``w [batch, d]``."""

    nonzero: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.nonzero <= self.d:
            raise ValueError(f"nonzero counts coordinates, 1 to d={self.d}, got {self.nonzero}")

    def draw_task(self, batch: int, generator: Generator) -> Float[Tensor, "batch d"]:
        order = torch.rand(batch, self.d, generator=generator, device=generator.device).argsort(-1)
        return _normal((batch, self.d), generator) * (order < self.nonzero)

    def evaluate(
        self, task: Float[Tensor, "batch d"], x: Float[Tensor, "batch n_points d"]
    ) -> Float[Tensor, "batch n_points"]:
        return torch.einsum("bnd,bd->bn", x, task)


class Tree(NamedTuple):
    """Full binary trees in the order of a heap: the children of node ``i`` are ``2i + 1`` and ``2i + 2``."""

    coordinate: Int[Tensor, "batch node"]
    """Which coordinate of ``x`` each inner node asks for; a positive one goes to the second child."""
    leaf: Float[Tensor, "batch leaf"]
    """The value at each leaf, from left to right."""


@dataclass(frozen=True)
class DecisionTree(Task):
    """A full binary tree on the signs of random coordinates with standard normal leaves; ``task`` is a ``Tree``."""

    depth: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth < 1:
            raise ValueError(f"a tree has depth 1 or more, got {self.depth}")

    def draw_task(self, batch: int, generator: Generator) -> Tree:
        inner = (batch, 2**self.depth - 1)
        coordinate = torch.randint(self.d, inner, generator=generator, device=generator.device)
        return Tree(coordinate, _normal((batch, 2**self.depth), generator))

    def evaluate(self, task: Tree, x: Float[Tensor, "batch n_points d"]) -> Float[Tensor, "batch n_points"]:
        node = torch.zeros(x.shape[:2], dtype=torch.long, device=x.device)
        for _ in range(self.depth):
            asked = task.coordinate.gather(1, node)
            right = x.gather(2, asked[..., None])[..., 0] > 0
            node = 2 * node + 1 + right
        return task.leaf.gather(1, node - (2**self.depth - 1))


class Network(NamedTuple):
    """``y = second . relu(first x)``."""

    first: Float[Tensor, "batch hidden d"]
    second: Float[Tensor, "batch hidden"]


@dataclass(frozen=True)
class ReluNetwork(Task):
    """Two-layer ReLU networks, weights ``N(0, 1)`` and ``N(0, 2 / hidden)``; ``task`` is a ``Network``."""

    hidden: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden < 1:
            raise ValueError(f"hidden counts units, at least 1, got {self.hidden}")

    def draw_task(self, batch: int, generator: Generator) -> Network:
        first = _normal((batch, self.hidden, self.d), generator)
        return Network(first, math.sqrt(2 / self.hidden) * _normal((batch, self.hidden), generator))

    def evaluate(self, task: Network, x: Float[Tensor, "batch n_points d"]) -> Float[Tensor, "batch n_points"]:
        hidden = torch.relu(torch.einsum("bnd,bhd->bnh", x, task.first))
        return torch.einsum("bnh,bh->bn", hidden, task.second)


def _normal(shape: tuple[int, ...] | torch.Size, generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)
