"""The models on which estimators are timed, in torch alone: every environment imports this file."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SAMPLES = 1000


@dataclass(frozen=True)
class Problem:
    """A model, its data and its loss."""

    model: nn.Module
    inputs: Tensor
    targets: Tensor
    per_sample: Callable[[Tensor, Tensor], Tensor]
    """From outputs and targets to the loss of each sample."""
    batch_size: int
    lr: float
    gamma: float = 1.0
    asked_nbeta: float | None = None

    @property
    def nbeta(self) -> float:
        """What was asked for, or n / log n."""
        return self.asked_nbeta or len(self.inputs) / math.log(len(self.inputs))

    def mean_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss as the rivals take it."""
        return self.per_sample(outputs, targets).mean()


class AttentionOnly(nn.Module):
    """Token and position embeddings, layers of causal attention without MLPs, unembedding."""

    def __init__(self, vocabulary: int = 64, context: int = 32, d_model: int = 64, n_heads: int = 4, n_layers: int = 2):
        super().__init__()
        self.n_heads = n_heads
        self.embed = nn.Parameter(0.1 * torch.randn(vocabulary, d_model))
        self.position = nn.Parameter(0.1 * torch.randn(context, d_model))
        self.qkv = nn.ModuleList(nn.Linear(d_model, 3 * d_model, bias=False) for _ in range(n_layers))
        self.out = nn.ModuleList(nn.Linear(d_model, d_model, bias=False) for _ in range(n_layers))
        self.unembed = nn.Linear(d_model, vocabulary, bias=False)
        self.register_buffer("future", torch.ones(context, context, dtype=torch.bool).triu(1))

    def forward(self, tokens: Tensor) -> Tensor:
        resid = self.embed[tokens] + self.position
        for qkv, out in zip(self.qkv, self.out, strict=True):
            q, k, v = qkv(resid).unflatten(-1, (3, self.n_heads, -1)).unbind(-3)
            scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5
            pattern = scores.masked_fill(self.future, -torch.inf).softmax(-1)
            resid = resid + out(torch.einsum("bhqk,bkhd->bqhd", pattern, v).flatten(-2))
        return self.unembed(resid)


def _half_squared(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().sum(-1) / 2


def _cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs.movedim(-1, 1), targets, reduction="none")


def deep_linear() -> Problem:
    """Four linear layers without biases, 1500 weights."""
    widths = (20, 20, 20, 20, 15)
    layers = [nn.Linear(a, b, bias=False) for a, b in pairwise(widths)]
    model, inputs = nn.Sequential(*layers), torch.randn(SAMPLES, 20)
    return Problem(model, inputs, model(inputs).detach(), _half_squared, batch_size=100, lr=1e-4)


def mlp(*hidden: int) -> Problem:
    """A ReLU network from 64 inputs to 10 classes."""
    widths = (64, *hidden, 10)
    layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())]
    targets = torch.randint(10, (SAMPLES,))
    return Problem(
        nn.Sequential(*layers[:-1]), torch.randn(SAMPLES, 64), targets, _cross_entropy, batch_size=100, lr=1e-5
    )


def transformer() -> Problem:
    """Two layers of attention, 43 thousand weights, on 32 tokens."""
    tokens = torch.randint(64, (SAMPLES, 33))
    return Problem(AttentionOnly(), tokens[:, :-1], tokens[:, 1:], _cross_entropy, batch_size=32, lr=1e-6)


def at_solution(spectrum: Tensor, scales: tuple[float, ...]) -> Problem:
    """Linear layers of width 8 that compute a map of these singular values, at scales whose product is 1."""
    turns = [torch.linalg.qr(torch.randn(8, 8))[0] for _ in range(len(scales) + 1)]
    model = nn.Sequential(*(nn.Linear(8, 8, bias=False) for _ in scales))
    core = torch.zeros(8, 8)
    core[range(len(spectrum)), range(len(spectrum))] = spectrum ** (1 / len(scales))
    with torch.no_grad():
        for layer, scale, before, after in zip(model, scales, turns[:-1], turns[1:], strict=True):
            layer.weight.copy_(scale * after @ core @ before.T)
        inputs = torch.linalg.qr(torch.randn(SAMPLES, 8))[0] * SAMPLES**0.5
        targets = model(inputs)
    return Problem(model, inputs, targets, _half_squared, batch_size=100, lr=1e-5, gamma=10.0, asked_nbeta=1e3)


def trained_transformer(symbols: int = 8, samples: int = 200, steps: int = 400) -> Problem:
    """One layer of attention, 864 weights, trained on sequences of a Markov chain; then at rest."""
    chain = torch.softmax(2 * torch.randn(symbols, symbols), 1)
    tokens = torch.randint(symbols, (samples, 1))
    for _ in range(symbols):
        tokens = torch.cat([tokens, torch.multinomial(chain[tokens[:, -1]], 1)], 1)
    model = AttentionOnly(symbols, symbols, d_model=12, n_heads=2, n_layers=1)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        _cross_entropy(model(tokens[:, :-1]), tokens[:, 1:]).mean().backward()
        optimiser.step()
        schedule.step()
    return Problem(model, tokens[:, :-1], tokens[:, 1:], _cross_entropy, batch_size=100, lr=1e-4, gamma=100.0)


def quadratic(d: int = 20, samples: int = 4000) -> Problem:
    """Least squares at its solution, the curvatures spread over a factor of ten; minibatches of a tenth of the data."""
    inputs = torch.randn(samples, d) * torch.logspace(0, -0.5, d)
    targets = inputs @ torch.randn(d, 1) + torch.randn(samples, 1)
    model = nn.Linear(d, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.linalg.lstsq(inputs.double(), targets.double()).solution.T)
    return Problem(model, inputs, targets, _half_squared, batch_size=samples // 10, lr=1e-3)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "deep linear, 1.5 k": deep_linear,
    "MLP, 7.5 k": lambda: mlp(100),
    "MLP, 55 k": lambda: mlp(200, 200),
    "transformer, 43 k": transformer,
    "quadratic, 20": quadratic,
    "linear, flat": lambda: at_solution(torch.ones(4), (1.0, 1.0, 1.0)),
    "linear, spread 1 to .03": lambda: at_solution(torch.logspace(0, math.log10(0.03), 4), (1.0, 1.0, 1.0)),
    "linear, layers x4 and x1/4": lambda: at_solution(torch.ones(4), (4.0, 0.25)),
    "transformer, 0.9 k, trained": trained_transformer,
}


def problem(name: str) -> Problem:
    """The same weights and data in every process."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PROBLEMS[name]()
