"""The same tasks on other inputs than those of training (Garg et al. 2022, Sec. 4).

A shift wraps a task and samples like one: the functions and the noise stay, the inputs change, and ``y`` is the value
at the changed inputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from mechlib.icl.prompts import Prompts
from mechlib.icl.tasks import Task


@dataclass(frozen=True)
class Shift(ABC):
    """A task on changed inputs."""

    task: Task

    def sample(self, batch: int, n_points: int, *, generator: Generator) -> Prompts:
        """As ``Task.sample``, on the changed inputs."""
        x = self.task.draw_inputs(batch, n_points, generator)
        return self.task.at(self.change(x, generator), generator)

    @abstractmethod
    def change(self, x: Float[Tensor, "batch n_points d"], generator: Generator) -> Float[Tensor, "batch n_points d"]:
        """The inputs in place of ``x``."""


@dataclass(frozen=True)
class Scaled(Shift):
    """Every input times ``factor``."""

    factor: float = 2.0

    def change(self, x: Float[Tensor, "batch n_points d"], generator: Generator) -> Float[Tensor, "batch n_points d"]:
        return self.factor * x


@dataclass(frozen=True)
class Rotated(Shift):
    """Inputs stretched by ``1 / i^exponent`` along the axis ``i`` and turned by a random rotation for each prompt.

    The stretch is scaled so that the mean square of a coordinate stays what it was. With ``exponent`` 0 only the
    rotation is left, which changes nothing for normal inputs; 1 is the skewed covariance of Garg et al.
    """

    exponent: float = 1.0

    def change(self, x: Float[Tensor, "batch n_points d"], generator: Generator) -> Float[Tensor, "batch n_points d"]:
        stretch = torch.arange(1, x.shape[-1] + 1, device=x.device, dtype=x.dtype) ** -self.exponent
        return (x * (stretch / stretch.square().mean().sqrt())) @ _rotations(x, generator)


@dataclass(frozen=True)
class InSubspace(Shift):
    """Inputs in a random subspace of ``dimension`` dimensions, one for each prompt, at unchanged mean square norm."""

    dimension: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.dimension <= self.task.d:
            raise ValueError(f"a subspace of R^{self.task.d} has 1 to {self.task.d} dimensions, not {self.dimension}")

    def change(self, x: Float[Tensor, "batch n_points d"], generator: Generator) -> Float[Tensor, "batch n_points d"]:
        basis = _rotations(x, generator)[:, : self.dimension]
        return (self.task.d / self.dimension) ** 0.5 * (x @ basis.mT) @ basis


@dataclass(frozen=True)
class InOrthant(Shift):
    """All points of a prompt but the last in one random orthant; the last wherever the task draws it.

    So the last prediction is asked for where, for most prompts, no example lies.
    """

    def change(self, x: Float[Tensor, "batch n_points d"], generator: Generator) -> Float[Tensor, "batch n_points d"]:
        signs = torch.randint(2, (len(x), 1, x.shape[-1]), generator=generator, device=x.device).to(x) * 2 - 1
        return torch.cat([x[:, :-1].abs() * signs, x[:, -1:]], dim=1)


def _rotations(x: Float[Tensor, "batch n_points d"], generator: Generator) -> Float[Tensor, "batch d d"]:
    """A random orthogonal matrix for each prompt, uniform (Mezzadri 2007: QR with the signs of R's diagonal)."""
    batch, _, d = x.shape
    q, r = torch.linalg.qr(torch.randn(batch, d, d, generator=generator, device=x.device, dtype=x.dtype))
    return q * r.diagonal(dim1=-2, dim2=-1).sign()[:, None, :]
