"""Chains at several strengths of the prior and two steps, as rows of one batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.llc.pilot import STEP, top_curvature
from mechlib.llc.posterior import Posterior
from mechlib.llc.samplers import Info, Normals, Sampler, State, lm
from mechlib.llc.tuning import LOOKS

__all__ = ["SAMPLER", "SHARES", "Grid"]

SAMPLER = "lm"
"""The sampler of the rows: exact on quadratics for every stable step, so that two of its steps differ in time alone."""
SHARES = (1.0, 0.25)
"""The steps, as shares of that of ``lr="auto"``."""


class Grid:
    """The steps of rows ``[gamma, share, chain]``, and what looks at the curvature make of them.

    All rows of one gamma have the same step but for its share. Each look takes it down to the curvature that any of
    them has met.

    Args:
        lr: the step at first, for each gamma.
    """

    def __init__(
        self, posterior: Posterior, nbeta: float, gammas: Sequence[float], chains: int, lr: Sequence[float],
        probes: Normals,
    ):  # fmt: skip
        self._posterior, self._nbeta, self._chains, self._probes = posterior, nbeta, chains, probes
        self._gammas = posterior.w.new_tensor(gammas)
        self.lr = posterior.w.new_tensor(lr)
        """The step at the full share, ``[gamma]``."""
        self.curvature = torch.zeros_like(self.lr)
        """The largest eigenvalue of the Hessian of L that the rows of each gamma met at the last look, ``[gamma]``."""
        self.burnin = 0
        """For how many steps of a run it is looked."""

    def rows(self, gamma: int, share: int) -> slice:
        """The rows of a gamma and a share, by their numbers."""
        first = (len(SHARES) * gamma + share) * self._chains
        return slice(first, first + self._chains)

    def sampler(self) -> Sampler:
        """The sampler of all rows with their present steps."""
        lr = torch.outer(self.lr, self.lr.new_tensor(SHARES)).flatten().repeat_interleave(self._chains)
        gamma = self._gamma_of_rows()
        return lm(self._posterior.center, nbeta=self._nbeta, gamma=gamma[:, None], lr=lr[:, None])

    def after(self, step: int, state: State, info: Info) -> bool:
        """Whether the sampler is another after a step."""
        if step >= self.burnin or (step + 1) % math.ceil(self.burnin / LOOKS):
            return False
        self.look(state.w)
        return True

    def look(self, w: Float[Tensor, "chain param"]) -> None:
        """Measure the curvature where the chains are, and shorten the steps that are too long for it."""
        rows = self._posterior.with_anchor(w)
        gammas = self._gamma_of_rows()
        padded = torch.cat([gammas, gammas[: len(rows) - len(w)]])
        met = top_curvature(self._posterior.gradient, rows, nbeta=self._nbeta, gamma=padded, normals=self._probes)
        found = met[: len(w)].nan_to_num(nan=0.0, posinf=0.0).view(len(self.lr), -1).amax(1)
        self.curvature = torch.maximum(found, met[len(w) :].amax()) if len(rows) > len(w) else found
        self.lr = torch.minimum(self.lr, STEP[SAMPLER] / (self._nbeta * self.curvature + self._gammas))

    def _gamma_of_rows(self) -> Float[Tensor, " row"]:
        return self._gammas.repeat_interleave(len(SHARES) * self._chains)
