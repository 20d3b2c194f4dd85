"""The arguments of :func:`mechlib.llc.estimate.estimate_llc` that concern the chains, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mechlib.llc.arguments import at_least_0, positive, seed_number, whole
from mechlib.llc.observe import OnDraw
from mechlib.llc.preconditioner import LEAST_BURNIN, PRECONDITIONS

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """How to sample: the arguments of :func:`mechlib.llc.estimate.estimate_llc` that concern the chains.

    Raises:
        TypeError, ValueError: if one of them is out of its range.
    """

    sampler: str
    nbeta: float
    gamma: float
    lr: float | Literal["auto"]
    chains: int
    draws: int
    burnin: int
    anchor: bool
    seed: int
    progress: bool
    precondition: Literal["jacobi"] | None = None
    on_draw: OnDraw | None = None

    def __post_init__(self) -> None:
        checked = {
            "nbeta": positive("nbeta", self.nbeta),
            "gamma": at_least_0("gamma", self.gamma),
            "lr": self.lr if self.adaptive else positive("lr", self.lr, "a positive number or 'auto'"),
            "chains": whole("chains", self.chains, 1),
            "draws": whole("draws", self.draws, 1),
            "burnin": whole("burnin", self.burnin, 0),
            "seed": seed_number(self.seed),
        }
        if not callable(self.on_draw) and self.on_draw is not None:
            raise TypeError(f"on_draw is a function of a mechlib.llc.Draw, not {self.on_draw!r}")
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        self._check_preconditioner()

    @property
    def adaptive(self) -> bool:
        """Whether the step is ``"auto"``."""
        return isinstance(self.lr, str) and self.lr == "auto"

    @property
    def steps(self) -> int:
        """Of each chain, burn-in and draws."""
        return self.burnin + self.draws

    def _check_preconditioner(self) -> None:
        if self.precondition not in PRECONDITIONS:
            raise ValueError(f"precondition is None or 'jacobi', not {self.precondition!r}")
        if self.precondition is None:
            return
        if self.sampler != "lm":
            raise ValueError(f"precondition={self.precondition!r} is for sampler='lm', not {self.sampler!r}")
        if self.burnin < LEAST_BURNIN:
            raise ValueError(
                f"precondition={self.precondition!r} is learned while burning in, for at least {LEAST_BURNIN} steps, "
                f"not {self.burnin}"
            )
