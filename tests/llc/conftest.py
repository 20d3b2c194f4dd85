"""Models whose posterior is known, for the tests of the samplers and estimates."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(params=DEVICES)
def device(request) -> str:
    return request.param


class Point(nn.Module):
    """One vector of weights; the model is that vector."""

    def __init__(self, w: Tensor):
        super().__init__()
        self.w = nn.Parameter(w.clone())

    def forward(self) -> Tensor:
        return self.w


def population(loss: Callable[[Tensor], Tensor]) -> Callable:
    """``loss_fn`` of a :class:`Point` without data."""
    return lambda f, _: loss(f())


@dataclass(frozen=True)
class Regression:
    """Least squares at its solution: the loss is quadratic, and each minibatch has another Hessian."""

    model: nn.Module
    data: tuple[Tensor, Tensor]
    eigenvalues: Tensor

    @property
    def nbeta(self) -> float:
        n = len(self.data[0])
        return n / math.log(n)

    @staticmethod
    def loss(f: Callable, batch: tuple[Tensor, Tensor]) -> Tensor:
        return 0.5 * (f(batch[0])[:, 0] - batch[1]).square()


def regression(d: int = 20, samples: int = 1000, noise: float = 1.0, seed: int = 0) -> Regression:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, d, generator=generator)
    y = x @ torch.randn(d, generator=generator) + noise * torch.randn(samples, generator=generator)
    model = nn.Linear(d, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.linalg.lstsq(x.double(), y.double()[:, None]).solution.T)
    return Regression(model, (x, y), torch.linalg.eigvalsh((x.double().T @ x.double()) / samples))


@pytest.fixture(scope="session")
def least_squares() -> Regression:
    return regression()
