"""What is lost when a head is taken out: directly, in all, and by how much the later parts make up for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.forks.cues import Cues, Network, divergence, lead

__all__ = ["KINDS", "Effects", "ablation_cost", "displacement_cost", "effects", "replaced"]

Kind = Literal["resample", "mean", "zero"]
KINDS: tuple[Kind, ...] = ("resample", "mean", "zero")


@dataclass(frozen=True)
class Effects:
    """Losses of the label's logit over the mean of the others, by head, ``[head]``, means over inputs."""

    direct: Float[Tensor, " head"]
    """What the head's own path to the logits loses, everything else held, the norm's size included."""
    total: Float[Tensor, " head"]
    """What is lost when the later parts answer."""
    frozen: Float[Tensor, " head"]
    """What is lost when they answer and the norm's size stays."""

    @property
    def repaired(self) -> float:
        """``1 - total / direct`` of the sums over heads: 0 where nothing answers, 1 where all is made up for."""
        return float(1 - self.total.sum() / self.direct.sum())


def replaced(
    written: Float[Tensor, "input head d"], head: int, cues: Cues, kind: Kind, share: float = 1.0
) -> Float[Tensor, "input donor head d"]:
    """What the heads write, with that of one moved a share of the way to what stands in for it.

    ``resample``: what it writes at an input of another label, each in turn. ``mean``: its mean over all inputs;
    ``zero``: nothing; both with one donor.

    Raises:
        ValueError: if the kind is none of ``KINDS``, or the head is none of the network's.
    """
    if kind not in KINDS:
        raise ValueError(f"an ablation is one of {', '.join(KINDS)}, got {kind!r}")
    if not 0 <= head < written.shape[1]:
        raise ValueError(f"the network has heads 0 to {written.shape[1] - 1}, got {head}")
    own = written[:, head]
    if kind == "resample":
        instead = own[cues.donors]
    else:
        instead = (own.mean(0) if kind == "mean" else torch.zeros_like(own[0])).expand_as(own)[:, None]
    changed = written[:, None].repeat(1, instead.shape[1], 1, 1)
    changed[:, :, head] += share * (instead - own[:, None])
    return changed


@torch.no_grad()
def effects(network: Network, cues: Cues, kind: Kind = "resample", share: float = 1.0) -> Effects:
    """Direct and total effects of taking out one head at a time.

    They differ by what later parts answer (self-repair: McGrath et al. 2023). In a network without norm and neurons
    they are the same. Divide by ``share``, and small displacements can be compared with whole ones.

    Raises:
        ValueError: as :func:`replaced` does.
    """
    x, written = network.heads(cues.tokens)
    logits, scale = network.finish(x[:, None], written[:, None])
    found = []
    for head in range(network.n_heads):
        changed = replaced(written, head, cues, kind, share)
        own = (written[:, None, head] - changed[:, :, head]) / scale @ network.U
        answered = logits - network.finish(x[:, None], changed)[0]
        held = logits - network.finish(x[:, None], changed, scale)[0]
        found.append(torch.stack([lead(lost.transpose(0, 1), cues.label).mean() for lost in (own, answered, held)]))
    return Effects(*torch.stack(found, 1))


@torch.no_grad()
def ablation_cost(network: Network, cues: Cues, kind: Kind = "resample", share: float = 1.0) -> Float[Tensor, " head"]:
    """The divergence from the target, in nats, when one head is moved a share of the way; less that of the network.

    Raises:
        ValueError: as :func:`replaced` does.
    """
    x, written = network.heads(cues.tokens)
    target = cues.target[:, None]
    costs = [
        divergence(network.finish(x[:, None], replaced(written, head, cues, kind, share))[0], target).mean()
        for head in range(network.n_heads)
    ]
    return torch.stack(costs) - divergence(network(cues.tokens), cues.target).mean()


@torch.no_grad()
def displacement_cost(
    network: Network, cues: Cues, size: float, *, draws: int = 64, seed: int = 0
) -> tuple[float, float]:
    """The mean divergence, in nats, when normal noise of this size is added to every weight, and its standard error.

    For small sizes it is ``size^2 / 2`` times the trace of the Hessian of the loss.

    Raises:
        ValueError: if the size is not positive or there are no two draws.
    """
    if not size > 0 or draws < 2:
        raise ValueError(f"a displacement has a size above 0 and two draws, got size = {size:g}, draws = {draws}")
    generator = torch.Generator().manual_seed(seed)
    own = network.vector()
    noise = size * torch.randn(draws, len(own), generator=generator, dtype=own.dtype)
    moved = torch.func.vmap(lambda weights: torch.func.functional_call(network, dict(weights), (cues.tokens,)))
    costs = divergence(moved(network.named(own + noise)), cues.target).mean(-1)
    return float(costs.mean()), float(costs.std() / draws**0.5)
