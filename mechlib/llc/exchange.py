"""Chains at several inverse temperatures that change places (replica exchange, Hukushima & Nemoto 1996).

A chain in a cold posterior of a singular loss creeps along narrow valleys. So each replica is a ladder of chains, one
for each inverse temperature, which exchange their places now and then by Metropolis' rule: what is reached where it is
hot comes down to where it is cold. With Metropolis-adjusted Langevin steps between, every rung samples its own
posterior without bias.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from mechlib.llc.samplers import Evaluate, Normals, Sampler, State, acceptance, mala

__all__ = ["LEAST_DRAWS", "Climb", "climbed"]

ACCEPTANCE = 0.574
"""The acceptance of ``mala`` at its best step in many dimensions (Roberts & Rosenthal 1998)."""
SWAP_EVERY = 2
"""Steps between attempts to exchange."""
LEAST_DRAWS = 10
"""The fewest draws of which anything is said."""


class Climb:
    """The chains of all replicas at all rungs, chain ``replica * n_rungs + rung`` at ``nbetas[rung]``."""

    def __init__(
        self,
        center: Float[Tensor, " param"],
        nbetas: Float[Tensor, " rung"],
        gamma: float,
        replicas: int,
        evaluate: Evaluate,
        normals: Normals,
    ):
        self.center, self.nbetas, self.gamma, self.replicas = center, nbetas, gamma, replicas
        self.evaluate, self.normals = evaluate, normals
        self.log_lr = -torch.log(nbetas + gamma)
        self.state: State = self._sampler().init(center.repeat(replicas * len(nbetas), 1), evaluate, normals)
        self.forget()

    def forget(self) -> None:
        """Start counting acceptances and swaps anew."""
        self.steps, self.accepted = 0, torch.zeros_like(self.nbetas)
        self.swapped, self.tried = torch.zeros_like(self.nbetas[1:]), torch.zeros_like(self.nbetas[1:])

    def step(self, adapt: float = 0.0) -> None:
        """One step of every chain, and exchanges at times.

        Args:
            adapt: how fast each rung's log step follows its acceptance; 0 leaves the target distribution exact.
        """
        self.state, info = self._sampler().step(self.state, self.evaluate, self.normals, out=self.state)
        accept = acceptance(info).view(self.replicas, -1).mean(0)
        self.log_lr = self.log_lr + adapt * (accept - ACCEPTANCE)
        self.accepted += accept
        self.steps += 1
        if self.steps % SWAP_EVERY == 0:
            self._exchange(first=self.steps // SWAP_EVERY % 2)

    def read(self) -> tuple[Float[Tensor, "rung replica"], Float[Tensor, "rung replica"]]:
        """``nbeta (L - L*)``, and ``(w - w*) . grad U - d``, whose expectation is 0."""
        nbetas, away = self.nbetas.repeat(self.replicas), self.state.w - self.center
        virial = nbetas * (away * self.state.grad).sum(1) + self.gamma * away.square().sum(1) - len(self.center)
        return (nbetas * self.state.loss).view(self.replicas, -1).T, virial.view(self.replicas, -1).T

    def rungs(self) -> Iterator[tuple[Float[Tensor, "replica param"], float]]:
        """Where the replicas are at each rung, and the step there."""
        yield from zip(
            self.state.w.unflatten(0, (self.replicas, -1)).unbind(1), self.log_lr.exp().tolist(), strict=True
        )

    def _sampler(self) -> Sampler:
        per_chain = {"nbeta": self.nbetas, "lr": self.log_lr.exp()}
        columns = {name: values.repeat(self.replicas)[:, None] for name, values in per_chain.items()}
        return mala(self.center, gamma=self.gamma, **columns)

    def _exchange(self, first: int) -> None:
        """Try to exchange rungs ``first`` and ``first + 1``, ``first + 2`` and ``first + 3`` ..., in every replica.

        Only ``nbeta L`` of the energy depends on the rung: the exchange is accepted with probability
        ``exp((nbeta_i - nbeta_j) (L_i - L_j))``, at most 1, which leaves the product of the posteriors as it is.
        """
        loss = self.state.loss.view(self.replicas, -1)
        low = torch.arange(first, len(self.nbetas) - 1, 2, device=loss.device)
        log_ratio = (self.nbetas[low] - self.nbetas[low + 1]) * (loss[:, low] - loss[:, low + 1])
        uniform = torch.special.ndtr(self.normals(torch.empty_like(log_ratio, dtype=self.nbetas.dtype)))
        swap = uniform.log() < log_ratio
        chains = torch.arange(loss.numel(), device=loss.device).view_as(loss)
        places = chains.clone()
        places[:, low] = torch.where(swap, chains[:, low + 1], chains[:, low])
        places[:, low + 1] = torch.where(swap, chains[:, low], chains[:, low + 1])
        order = places.flatten()
        self.state = self.state._replace(**{x: getattr(self.state, x)[order] for x in ("w", "loss", "grad")})
        self.swapped[low] += swap.to(loss).mean(0)
        self.tried[low] += 1


def climbed(climb: Climb, burnin: int, draws: int, progress: bool) -> Float[Tensor, "quantity rung replica draw"]:
    """What :meth:`Climb.read` says at every draw, or at those before Ctrl-C.

    Raises:
        KeyboardInterrupt: on Ctrl-C before draw ``LEAST_DRAWS``.
    """
    for step in tqdm(range(burnin), desc="ladder: burn-in", disable=not progress):
        climb.step(adapt=0.3 if step < 0.7 * burnin else 0.05)
    climb.forget()
    trace = climb.center.new_empty(2, len(climb.nbetas), climb.replicas, draws)
    drawn = 0
    try:
        for draw in tqdm(range(draws), desc="ladder", disable=not progress):
            climb.step()
            trace[0, ..., draw], trace[1, ..., draw] = climb.read()
            drawn = draw + 1
    except KeyboardInterrupt:
        if drawn < LEAST_DRAWS:
            raise
    return trace[..., :drawn]
