"""The step of a run, and what burning in makes of it."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from mechlib.llc.pilot import STEP, steepness_met
from mechlib.llc.posterior import Posterior
from mechlib.llc.preconditioner import Jacobi
from mechlib.llc.samplers import SAMPLERS, Info, Normals, Sampler, Scale, State, adapt
from mechlib.llc.settings import Settings

__all__ = ["Tuning"]

LOOKS = 5
"""How often the curvature is looked for while burning in."""


class Tuning:
    """The step, which with ``lr="auto"`` goes on adapting while burning in, and the preconditioner learned there.

    The step of ``mala`` adapts to its acceptance, that of the others down to the curvature met on the way, which
    ``probes`` look for. With a preconditioner it is set anew whenever that is; a step that is given is taken when both
    are learned.
    """

    def __init__(self, posterior: Posterior, settings: Settings, lr: float, probes: Normals):
        self._posterior, self._settings, self._probes = posterior, settings, probes
        self._length: float | Float[Tensor, "1 1"] = lr
        if settings.sampler == "mala":
            self._length = posterior.w.new_full((1, 1), lr)
        self._jacobi = None if settings.precondition is None else Jacobi(settings.burnin)
        self.scale: Float[Tensor, " param"] | None = None
        """The diagonal of the preconditioner; None where there is none, or not yet."""

    @property
    def lr(self) -> float:
        """The step, which a preconditioner multiplies."""
        return float(self._length)

    @property
    def step(self) -> Scale:
        """The variance of the noise of a step: one number, or one for each weight."""
        return self._length if self.scale is None else self._length * self.scale[None]

    @property
    def spread(self) -> float:
        """The largest entry of the preconditioner over the smallest; 1 without one."""
        return 1.0 if self.scale is None else float(self.scale.max() / self.scale.min())

    def sampler(self) -> Sampler:
        """The sampler with the present step."""
        settings = self._settings
        make = SAMPLERS[settings.sampler]
        return make(self._posterior.center, nbeta=settings.nbeta, gamma=settings.gamma, lr=self.step)

    def steepness(self, w: Float[Tensor, "chain param"]) -> float:
        """The largest curvature of U at the chains' points, in the coordinates of the preconditioner."""
        return steepness_met(self._posterior, w, self._settings.nbeta, self._settings.gamma, self._probes, self.scale)

    def after(self, step: int, state: State, info: Info) -> bool:
        """Whether the sampler is another after a step."""
        if step >= self._settings.burnin:
            return False
        if self._jacobi is not None and self._jacobi.learns(step) and self._learned(self._jacobi, step, state):
            return True
        return self._settings.adaptive and self._adapted(step, state, info)

    def _learned(self, jacobi: Jacobi, step: int, state: State) -> bool:
        settings = self._settings
        found = jacobi.after(step, settings.nbeta * state.grad + settings.gamma * (state.w - self._posterior.center))
        if found is None:
            return False
        self.scale, given = found, settings.lr
        if given == "auto" or step < jacobi.last:
            given = STEP[settings.sampler] / self.steepness(state.w)
        self._length = given
        return True

    def _adapted(self, step: int, state: State, info: Info) -> bool:
        if isinstance(self._length, Tensor):
            self._length = adapt(self._length, info, rate=0.3 if step < 0.7 * self._settings.burnin else 0.05)
            return True
        if (step + 1) % math.ceil(self._settings.burnin / LOOKS):
            return False
        self._length = min(self._length, STEP[self._settings.sampler] / self.steepness(state.w))
        return True
