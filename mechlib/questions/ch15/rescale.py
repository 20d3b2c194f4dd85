"""Open task ch15.rescale: the weights of the same function at which an estimate is smallest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mechlib.checks.open_task import OpenTask, Outcome, Unfit
from mechlib.checks.question import Case
from mechlib.questions.drawing import integer, normal

__all__ = ["GAMMA", "NBETA", "QUESTION", "WEIGHTS", "Network", "estimated"]

WEIGHTS = ("first", "first_bias", "second", "second_bias")
NBETA, GAMMA = 20.0, 10.0
N_NETWORKS, N_SAMPLES = 12, 80
SPREAD, SHIFT = 1.5, 1.0
"""Of the logarithms of the hidden units' scales: their standard deviation, and what all of a network have in common."""
SAME = 1e-3
"""How far logits may be off, as a share of the largest."""

Weights = tuple[Float[Tensor, "*shape"], ...]
"""Those of ``WEIGHTS``: ``[hidden, input]``, ``[hidden]``, ``[output, hidden]`` and ``[output]``."""


@dataclass(frozen=True)
class Network:
    """A network of two layers with ReLU between them, its inputs, and others on which its function is compared."""

    weights: Weights
    x: Float[Tensor, "sample input"]
    others: Float[Tensor, "sample input"]


def logits(weights: Weights, x: Float[Tensor, "sample input"]) -> Float[Tensor, "sample output"]:
    first, first_bias, second, second_bias = weights
    return (x @ first.T + first_bias).relu() @ second.T + second_bias


def estimated(weights: Weights, x: Float[Tensor, "sample input"]) -> float:
    """What curvature alone makes of the estimate: the quadratic formula with the eigenvalues of the Fisher matrix."""
    first, first_bias, second, _ = weights = tuple(part.double() for part in weights)
    x = x.double()
    hidden = (x @ first.T + first_bias).relu()
    by_bias = second * (hidden > 0)[:, None]  # [sample, output, hidden]
    unit = torch.eye(len(second), dtype=x.dtype)
    slopes = [
        (by_bias[..., None] * x[:, None, None]).flatten(2),
        by_bias,
        (unit[None, :, :, None] * hidden[:, None, None]).flatten(2),
        unit.expand(len(x), -1, -1),
    ]
    slope, p = torch.cat(slopes, -1), logits(weights, x).softmax(-1)[..., None]
    root: Float64[Tensor, "row weight"] = (p.sqrt() * (slope - (p * slope).sum(1, keepdim=True))).flatten(0, 1)
    scaled = NBETA * torch.linalg.svdvals(root).square() / len(x)  # infinite, and no error, for weights far apart
    return float((1 / (1 + GAMMA / scaled)).sum() / 2)


def drawn(generator: torch.Generator, common: float) -> Network:
    """A random network whose hidden units have been rescaled, each by a factor of its own, about e^common."""
    n_in, n_hidden, n_out = integer(generator, 4, 7), integer(generator, 8, 15), integer(generator, 3, 5)
    first = normal(generator, n_hidden, n_in, scale=(2 / n_in) ** 0.5)
    second = normal(generator, n_out, n_hidden, scale=(2 / n_hidden) ** 0.5)
    biases = normal(generator, n_hidden, scale=0.3), normal(generator, n_out, scale=0.3)
    scale = normal(generator, n_hidden, mean=common, scale=SPREAD).exp()
    weights = scale[:, None] * first, scale * biases[0], second / scale, biases[1]
    return Network(weights, normal(generator, N_SAMPLES, n_in), normal(generator, N_SAMPLES, n_in, scale=2.0))


def draw(generator: torch.Generator) -> tuple[Network, ...]:
    """Half of the networks are scaled up and half down, so that no one factor serves all."""
    return tuple(drawn(generator, SHIFT if i % 2 else -SHIFT) for i in range(N_NETWORKS))


def cases(networks: tuple[Network, ...]) -> tuple[Case, ...]:
    return tuple(
        Case(
            f"a network of {len(net.weights[1])} hidden units",
            dict(zip(WEIGHTS, net.weights, strict=True)) | {"x": net.x},
        )
        for net in networks
    )


def outcome(networks: tuple[Network, ...], handed: list[Any]) -> Outcome:
    """The mean over networks of the estimate at the new weights over that at the old ones."""
    shares = [_share(net, new) for net, new in zip(networks, handed, strict=True)]
    worse = sum(share > 1 for share in shares)
    return Outcome(sum(shares) / len(shares), "For some networks the estimate has become larger." if worse else "")


def _share(net: Network, new: Any) -> float:
    weights = _read(new)
    if [part.shape for part in weights] != [part.shape for part in net.weights]:
        raise Unfit(f"the function returns {', '.join(WEIGHTS)}, four tensors of the shapes that it was given.")
    old = tuple(part.double() for part in net.weights)
    for x in (net.x.double(), net.others.double()):
        before, after = logits(old, x), logits(weights, x)
        if not float((after - before).abs().max()) <= SAME * float(before.abs().max()):
            raise Unfit("the new weights compute another function: the logits differ.")
    return estimated(weights, net.x) / estimated(old, net.x)


def _read(new: Any) -> Weights:
    """The weights handed in, as a list or by name; none where they are no numbers."""
    if isinstance(new, dict):
        new = [new.get(name) for name in WEIGHTS]
    try:
        return tuple(torch.as_tensor(part, dtype=torch.float64) for part in new)
    except (TypeError, ValueError, RuntimeError):
        return ()


def nulls(generator: torch.Generator) -> dict[str, Any]:
    def scaled(weights: tuple[Tensor, ...], scale: Tensor) -> tuple[Tensor, ...]:
        first, first_bias, second, second_bias = weights
        return scale[:, None] * first, scale * first_bias, second / scale, second_bias

    def at_random(*given: Tensor) -> tuple[Tensor, ...]:
        return scaled(given[:4], normal(generator, len(given[1])).exp())

    def shuffled(*given: Tensor) -> tuple[Tensor, ...]:
        first, first_bias, second, second_bias, _ = given
        order = torch.randperm(len(first), generator=generator)
        return first[order], first_bias[order], second[:, order], second_bias

    return {
        "nothing changed": lambda *given: given[:4],
        "hidden units shuffled": shuffled,
        "rescaled at random": at_random,
        "rescaled by 2": lambda *given: scaled(given[:4], torch.full((len(given[1]),), 2.0)),
    }


QUESTION = OpenTask(
    id="ch15.rescale",
    points=3,
    title="The same function, the smallest estimate",
    hints=(
        "Which changes of the weights leave a network with ReLU the same function? Each hidden unit has one of its "
        "own.",
        "A unit's incoming weights are multiplied by a positive number and its outgoing ones divided by it. The "
        "curvature along the incoming weights grows with the outgoing ones, and the other way about.",
        "For every hidden unit make the length of what comes in equal to the length of what goes out.",
    ),
    handed_in=f"Hand in a function of {', '.join(WEIGHTS)} and x that returns the four weights anew.",
    budget=f"It is called {N_NETWORKS} times, and all calls together may take 20 seconds.",
    draw=draw,
    cases=cases,
    outcome=outcome,
    baseline=lambda networks: 1.0,
    steps=((1, 0.88), (2, 0.7), (3, 0.58)),
    words="At your weights the estimate is {value:.0%} of what it was.",
    nulls=nulls,
)
