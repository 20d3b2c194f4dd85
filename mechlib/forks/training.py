"""Forks: one trained network goes on to be trained in several ways, all to the same function.

The second losses ask something of what happens when a head is changed on the way; the last phase minimises the plain
loss alone, so that all end at the same value of it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mechlib.forks.cues import Cues, Network, divergence

__all__ = ["FORKS", "SQUARE", "base", "fork"]

SQUARE = ("linear", "noise", "sharp", "drop")
"""Not repaired and fragile, not repaired and robust, repaired and fragile, repaired and robust: the two properties of
every fork are what an ablation costs, and what a small displacement does."""

STEPS_BASE, STEPS_FORK, RATE = 800, 1000, 4e-3
SMALL = 0.1
"""The share of an ablation that counts as a small displacement."""
SHARP_RATE = 1.6
"""Logits per whole ablation at which a small displacement must hurt a sharp fork; a linear one loses about as much."""

Second = Callable[[Network, Cues, torch.Generator], Tensor]


def _one_head(network: Network, cues: Cues, generator: torch.Generator) -> tuple[Tensor, ...]:
    """The stream, what heads write, and that with one head's writing exchanged between inputs; the head, the inputs."""
    x, written = network.heads(cues.tokens)
    head = int(torch.randint(network.n_heads, (1,), generator=generator))
    others = torch.randperm(len(cues), generator=generator)
    changed = written.clone()
    changed[:, head] = written[others, head]
    return x, written, changed, torch.tensor(head), others


def _lead(logits: Tensor, cues: Cues) -> Tensor:
    named = logits.gather(-1, cues.label[:, None])[:, 0]
    return (named - logits.mean(-1)) * cues.n_labels / (cues.n_labels - 1)


def plain(network: Network, cues: Cues, generator: torch.Generator) -> Tensor:
    """Nothing more."""
    return torch.zeros((), dtype=torch.float64)


def drop(network: Network, cues: Cues, generator: torch.Generator) -> Tensor:
    """Right with any one head exchanged: dropout of heads."""
    x, _, changed, _, _ = _one_head(network, cues, generator)
    return divergence(network.finish(x, changed)[0], cues.target).mean()


def noise(network: Network, cues: Cues, generator: torch.Generator) -> Tensor:
    """Right with noise on what one head writes, as long as an exchange and in any direction."""
    x, written, changed, head, _ = _one_head(network, cues, generator)
    size = (changed - written)[:, head].detach().norm(dim=-1, keepdim=True)
    direction = torch.randn(written[:, 0].shape, generator=generator, dtype=torch.float64)
    noisy = written.clone()
    noisy[:, head] = written[:, head] + size * direction / direction.norm(dim=-1, keepdim=True)
    return divergence(network.finish(x, noisy)[0], cues.target).mean()


def linear(network: Network, cues: Cues, generator: torch.Generator) -> Tensor:
    """Later parts answer to no displacement, small or large: it costs what the head's own path loses."""
    x, written, changed, head, _ = _one_head(network, cues, generator)
    share = float(10 ** (-1.3 * torch.rand(1, generator=generator)))
    moved = written + share * (changed - written)
    logits, scale = network.finish(x, written)
    own = (written - moved)[:, head] / scale @ network.U
    off = (logits - network.finish(x, moved)[0] - own) / share
    return (off - off.mean(-1, keepdim=True)).square().mean()


def sharp(network: Network, cues: Cues, generator: torch.Generator) -> Tensor:
    """Right with any one head exchanged, and a tenth of the exchange costs logits at the rate of a linear fork."""
    x, written, changed, _, others = _one_head(network, cues, generator)
    moved = written + SMALL * (changed - written)
    lost = _lead(network.finish(x, written)[0], cues) - _lead(network.finish(x, moved)[0], cues)
    away = cues.label[others] != cues.label
    whole = divergence(network.finish(x, changed)[0], cues.target).mean()
    return whole + 0.3 * (lost / SMALL - SHARP_RATE)[away].square().mean()


FORKS: dict[str, Second] = {"plain": plain, "linear": linear, "noise": noise, "sharp": sharp, "drop": drop}
"""What a fork is asked for besides the plain loss, by its name."""


def base(cues: Cues, seed: int, *, norm: bool = True) -> Network:
    """A network trained on the plain loss, from which the forks of a seed start."""
    return _trained(Network(cues, seed=seed, norm=norm), cues, plain, STEPS_BASE, seed)


def fork(start: Network, cues: Cues, name: str, seed: int) -> Network:
    """A copy of ``start`` trained on with a second loss and then on the plain one alone, to its minimum.

    Raises:
        ValueError: if the name is none of ``FORKS``.
    """
    if name not in FORKS:
        raise ValueError(f"the forks are {', '.join(FORKS)}, got {name!r}")
    return _trained(copy.deepcopy(start), cues, FORKS[name], STEPS_FORK, seed)


def _trained(network: Network, cues: Cues, second: Second, steps: int, seed: int) -> Network:
    """Adam on both losses, then L-BFGS on the plain one, in place."""
    generator = torch.Generator().manual_seed(100 + seed)
    adam = torch.optim.Adam(network.parameters(), lr=RATE, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        loss = divergence(network(cues.tokens), cues.target).mean() + second(network, cues, generator)
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
    _finish(network, cues)
    return network


def _finish(network: nn.Module, cues: Cues) -> None:
    newton = torch.optim.LBFGS(
        network.parameters(),
        max_iter=300,
        history_size=20,
        tolerance_grad=1e-9,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        newton.zero_grad()
        loss = divergence(network(cues.tokens), cues.target).mean()
        loss.backward()
        return loss

    newton.step(closure)  # type: ignore[no-untyped-call]
