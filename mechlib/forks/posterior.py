"""Draws of the whole posterior of the two-cue task, started at given networks, and how repaired they are."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mechlib.forks.cues import Cues, Network, divergence
from mechlib.forks.repair import ablation_cost, effects

__all__ = ["AT", "PRIORS", "READ", "walked"]

AT = (0, 250, 500, 1000, 2000, 4000)
"""The steps at which draws are read."""
READ = ("nbeta times the loss", "squared length of all weights", "mean cost of an ablation (nats)", "repaired")
CHAINS = 2
"""From every start."""
PRIORS: dict[str, dict[str, Any]] = {
    "narrow": {"gamma": 10.0},
    "planted": {"gamma": 10.0, "demand": True},
    "broad": {"gamma": 1.0},
}
"""Two precisions of the prior; and a posterior that must be repaired, since the loss demands it."""


class _Loss(nn.Module):
    """The divergence of a network, and on demand its mean with one head exchanged between labels added to it."""

    def __init__(self, network: Network, cues: Cues, demand: bool):
        super().__init__()
        self.network, self.cues, self.demand = network, cues, demand

    def forward(self) -> Tensor:
        x, written = self.network.heads(self.cues.tokens)
        loss = divergence(self.network.finish(x, written)[0], self.cues.target).mean()
        if not self.demand:
            return loss
        each = len(self.cues) // self.cues.n_labels  # inputs of one label stand together
        one_head = torch.eye(self.network.n_heads, dtype=written.dtype)[:, None, :, None]
        changed = torch.stack(
            [written + one_head * (written.roll(each * k, 0) - written) for k in range(1, self.cues.n_labels)]
        )
        return loss + divergence(self.network.finish(x, changed)[0], self.cues.target).mean()


def walked(
    starts: Sequence[Network],
    cues: Cues,
    *,
    nbeta: float = 1e3,
    gamma: float = 10.0,
    demand: bool = False,
    at: Sequence[int] = AT,
    seed: int = 1,
) -> Float[np.ndarray, "chain at read"]:
    """Langevin draws of ``exp(-nbeta L(w) - gamma |w|^2 / 2)``, L the divergence from the target.

    The prior is centred at 0, not at the start: nothing holds the chains where they begin. Steps are those of
    Leimkuhler and Matthews (2013), of size 1 / (8 nbeta). Two chains go from each start and stand together in the
    result, whose last axis is ``READ``.

    Args:
        starts: networks of one form.
        demand: put into L the mean divergence with one head exchanged as well: a posterior that must be repaired.
        at: the steps at which chains are read, in order.

    Raises:
        ValueError: if there is no start, or ``at`` is not in order.
    """
    if not starts or list(at) != sorted(set(at)) or min(at) < 0:
        raise ValueError(f"chains need a start and steps in order, got {len(starts)} starts and steps {list(at)}")
    generator = torch.Generator().manual_seed(seed)
    reader = copy.deepcopy(starts[0])
    objective = _Loss(reader, cues, demand)

    def potential(vector: Tensor) -> Tensor:
        weights = {f"network.{name}": value for name, value in reader.named(vector).items()}
        return nbeta * torch.func.functional_call(objective, weights) + gamma / 2 * vector.square().sum()

    gradient = torch.func.vmap(torch.func.grad(potential))
    w = torch.stack([start.vector() for start in starts]).repeat_interleave(CHAINS, 0)
    eps = 0.125 / nbeta
    old = torch.randn(w.shape, generator=generator, dtype=w.dtype)
    found = []
    for step in range(at[-1] + 1):
        if step in at:
            found.append([_read(reader, row, cues, nbeta) for row in w])
        new = torch.randn(w.shape, generator=generator, dtype=w.dtype)
        w = w - eps / 2 * gradient(w) + eps**0.5 * (old + new) / 2
        old = new
    return np.array(found).swapaxes(0, 1)


def _read(reader: Network, row: Tensor, cues: Cues, nbeta: float) -> list[float]:
    reader.load_state_dict(dict(reader.named(row)))
    with torch.no_grad():
        loss = divergence(reader(cues.tokens), cues.target).mean()
    cost = ablation_cost(reader, cues).mean()
    return [float(nbeta * loss), float(row.square().sum()), float(cost), effects(reader, cues).repaired]
