"""Forks: one trained network goes on to be trained in several ways, all to the same function.

The second losses ask something of what happens when a head is changed on the way; the last phase minimises the plain
loss alone, so that all end at the same value of it. Networks of several seeds train side by side, each on draws of its
own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mechlib.forks.cues import Cues, Network, divergence, lead

__all__ = ["FORKS", "SQUARE", "bases", "forks"]

SQUARE = ("linear", "noise", "sharp", "drop")
"""Not repaired and fragile, not repaired and robust, repaired and fragile, repaired and robust: what an ablation costs,
and what a small displacement does."""

STEPS_BASE, STEPS_FORK, RATE = 800, 2000, 4e-3
SMALL = 0.1
"""The share of an ablation that counts as a small displacement."""
SHARP_RATE = 1.6
"""Logits per whole ablation at which a small displacement must hurt a sharp fork; a linear one loses about as much."""


@dataclass(frozen=True)
class Draw:
    """What one update of one network draws."""

    head: Int[Tensor, ""]
    """The head that is changed."""
    others: Int[Tensor, " input"]
    """A permutation: at whose input each finds what the head writes instead."""
    share: Float[Tensor, ""]
    """How far a displacement goes, from a twentieth to the whole, even in its logarithm."""
    direction: Float[Tensor, "input d"]
    """Normal numbers."""


class Changed:
    """A network with what one head writes exchanged between inputs."""

    def __init__(self, network: Network, cues: Cues, draw: Draw):
        self.network, self.cues, self.draw = network, cues, draw
        self.x, self.written = network.heads(cues.tokens)
        self.logits, self.scale = network.finish(self.x, self.written)
        mask = (torch.arange(network.n_heads) == draw.head)[:, None]
        self.off: Float[Tensor, "input head d"] = mask * (self.written[draw.others] - self.written)

    def after(self, off: Float[Tensor, "input head d"]) -> Float[Tensor, "input label"]:
        """The logits when what heads write is off by so much."""
        return self.network.finish(self.x, self.written + off)[0]

    def loss_after(self, off: Float[Tensor, "input head d"]) -> Float[Tensor, ""]:
        return divergence(self.after(off), self.cues.target).mean()


Second = Callable[[Changed], Tensor]


def plain(changed: Changed) -> Tensor:
    """Nothing more."""
    return torch.zeros((), dtype=torch.float64)


def drop(changed: Changed) -> Tensor:
    """Right with any one head exchanged: dropout of heads."""
    return changed.loss_after(changed.off)


def noise(changed: Changed) -> Tensor:
    """Right with noise on what one head writes, as long as an exchange and in any direction."""
    direction = changed.draw.direction / changed.draw.direction.norm(dim=-1, keepdim=True)
    mask = (torch.arange(changed.network.n_heads) == changed.draw.head)[:, None]
    size = changed.off.detach().square().sum((-1, -2)).sqrt()[:, None, None]
    return changed.loss_after(mask * size * direction[:, None])


def linear(changed: Changed) -> Tensor:
    """Later parts answer to no displacement, small or large: it costs what the head's own path loses."""
    share = changed.draw.share
    own = share * changed.off.sum(1) / changed.scale @ changed.network.U
    answer = (changed.after(share * changed.off) - changed.logits - own) / share
    return (answer - answer.mean(-1, keepdim=True)).square().mean()


def sharp(changed: Changed) -> Tensor:
    """Right with any one head exchanged, and a tenth of the exchange costs logits at the rate of a linear fork."""
    label = changed.cues.label
    lost = lead(changed.logits, label) - lead(changed.after(SMALL * changed.off), label)
    away = (label[changed.draw.others] != label).double()
    miss = ((lost / SMALL - SHARP_RATE).square() * away).sum() / away.sum()
    return 3 * changed.loss_after(changed.off) + 0.1 * miss


FORKS: dict[str, Second] = {"plain": plain, "linear": linear, "noise": noise, "sharp": sharp, "drop": drop}
"""What a fork is asked for besides the plain loss, by its name."""


def bases(cues: Cues, seeds: Sequence[int], *, norm: bool = True) -> list[Network]:
    """Networks trained on the plain loss, one for each seed, from which the forks start."""
    return _trained([Network(cues, seed=seed, norm=norm) for seed in seeds], cues, plain, STEPS_BASE, seeds)


def forks(starts: Sequence[Network], cues: Cues, name: str, seeds: Sequence[int]) -> list[Network]:
    """Copies of ``starts`` trained on with a second loss and then on the plain one alone, to its minimum.

    Raises:
        ValueError: if the name is none of ``FORKS``, or there is not one seed for each start.
    """
    if name not in FORKS:
        raise ValueError(f"the forks are {', '.join(FORKS)}, got {name!r}")
    if len(starts) != len(seeds):
        raise ValueError(f"each start has a seed, got {len(starts)} starts and {len(seeds)} seeds")
    return _trained([copy.deepcopy(start) for start in starts], cues, FORKS[name], STEPS_FORK, seeds)


class _Objective(nn.Module):
    """Both losses of a network, as a module so that many can be called at once."""

    def __init__(self, network: Network, cues: Cues, second: Second):
        super().__init__()
        self.network, self.cues, self.second = network, cues, second

    def forward(self, *drawn: Tensor) -> Tensor:
        changed = Changed(self.network, self.cues, Draw(*drawn))
        return divergence(changed.logits, self.cues.target).mean() + self.second(changed)


def _drawn(cues: Cues, network: Network, generator: torch.Generator) -> tuple[Tensor, ...]:
    return (
        torch.randint(network.n_heads, (), generator=generator),
        torch.randperm(len(cues), generator=generator),
        10 ** (-1.3 * torch.rand((), generator=generator, dtype=torch.float64)),
        torch.randn(len(cues), network.E.shape[1], generator=generator, dtype=torch.float64),
    )


def _trained(networks: list[Network], cues: Cues, second: Second, steps: int, seeds: Sequence[int]) -> list[Network]:
    """Adam on both losses, then L-BFGS on the plain one, in place."""
    generators = [torch.Generator().manual_seed(100 + seed) for seed in seeds]
    objective = _Objective(networks[0], cues, second)
    stacked = {
        f"network.{name}": torch.stack([dict(n.named_parameters())[name].detach() for n in networks]).requires_grad_()
        for name, _ in networks[0].named_parameters()
    }
    losses = torch.func.vmap(lambda weights, *drawn: torch.func.functional_call(objective, weights, drawn))
    adam = torch.optim.Adam(list(stacked.values()), lr=RATE, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        drawn = zip(*(_drawn(cues, networks[0], generator) for generator in generators), strict=True)
        adam.zero_grad()
        losses(stacked, *map(torch.stack, drawn)).sum().backward()
        adam.step()
        schedule.step()
    for i, network in enumerate(networks):
        network.load_state_dict({name.removeprefix("network."): w[i].detach() for name, w in stacked.items()})
        _finish(network, cues)
    return networks


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

    newton.step(closure)
