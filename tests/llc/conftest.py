"""Models whose posterior is known, for the tests of the samplers and estimates."""

import math
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

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


class Everything(nn.Module):
    """Dropout, batch norm, a frozen weight, a tied weight and a counter."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.drop = nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Dropout(0.5)
        self.second, self.third = nn.Linear(6, 6), nn.Linear(6, 6)
        self.third.weight = self.second.weight
        self.second.bias.requires_grad_(False)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        return self.third(self.drop(self.second(self.drop(self.norm(self.first(x))))))


@contextmanager
def untouched(model: nn.Module):
    """Checks that what is done inside leaves the model and torch's random state as they were."""
    before = {name: t.clone() for name, t in (*model.named_parameters(), *model.named_buffers())}
    grads = {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
    flags = {name: (p.requires_grad, id(p)) for name, p in model.named_parameters()}
    modes = {name: module.training for name, module in model.named_modules()}
    chance = torch.get_rng_state()
    yield
    assert all(torch.equal(before[n], t) for n, t in (*model.named_parameters(), *model.named_buffers()))
    for name, p in model.named_parameters():
        assert p.grad is grads[name] or torch.equal(p.grad, grads[name])
    assert flags == {name: (p.requires_grad, id(p)) for name, p in model.named_parameters()}
    assert modes == {name: module.training for name, module in model.named_modules()}
    assert torch.equal(chance, torch.get_rng_state())
    assert torch.backends.mha.get_fastpath_enabled()


def everything() -> tuple[nn.Module, Tensor]:
    """The module, in training mode but for its batch norm, with gradients from a pass over the data; and the data."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model, x = Everything().train(), torch.randn(40, 3)
        model.norm.eval()
        model(x).square().mean().backward()
    return model, x


class Waits(TorchDispatchMode):
    """Counts the operations for which Python waits for the device: a number read, or a size that depends on one."""

    NAMES = ("aten::_local_scalar_dense", "aten::equal", "aten::is_nonzero", "aten::nonzero", "aten::masked_select")

    def __init__(self):
        super().__init__()
        self.seen = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        masks = args[1] if func._schema.name in ("aten::index", "aten::index_put", "aten::index_put_") else ()
        self.seen += func._schema.name in self.NAMES or any(m is not None and m.dtype == torch.bool for m in masks)
        return func(*args, **(kwargs or {}))


def waits(call: Callable, **options) -> int:
    with Waits() as mode:
        call(**options)
    return mode.seen


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
