"""Samplers of ``exp(-nbeta L(w) - gamma/2 |w - w*|^2)`` for a batch of chains on one flat buffer.

Each sampler is an ``init`` and a ``step`` in the manner of BlackJAX: ``init(w, evaluate, normals)`` is a
:class:`State`, ``step(state, evaluate, normals)`` the next one and an :class:`Info`. Neither keeps or changes anything;
everything else, bars, burn-in, what is read at each draw, is composed of them (:mod:`mechlib.llc.run`). They see the
loss only through ``evaluate(w) -> (loss [chain], gradient [chain, param])``, which may draw a new minibatch at every
call, and chance only through ``normals(out)``, which fills new memory with standard normals.

With ``U(w) = nbeta L(w) + gamma/2 |w - w*|^2``, step eps and standard normals xi:

- :func:`sgld` (Welling & Teh 2011, eq. 4): w' = w - eps/2 grad U + sqrt(eps) xi. On a quadratic of curvature a its
  variance is too large by the factor 1 / (1 - eps a / 4).
- :func:`lm` (Leimkuhler & Matthews 2013, eq. 4): the noise is the mean of two successive normals,
  w' = w - eps/2 grad U + sqrt(eps) (xi + xi') / 2. Exact on quadratics for every stable step, eps a < 4.
- :func:`mala` (Roberts & Tweedie 1996): the step of ``sgld`` as a proposal, accepted by Metropolis' rule. Exact for
  every loss, but needs the loss itself: no minibatches.

A step for each weight is a diagonal preconditioner: eps a matrix, and sqrt(eps) its root. While it does not depend on
the place, all that is said holds in the coordinates eps^(-1/2) w.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float, Float64
from torch import Tensor

__all__ = [
    "ACCEPTANCE",
    "SAMPLERS",
    "Evaluate",
    "Info",
    "Normals",
    "Sampler",
    "Scale",
    "State",
    "acceptance",
    "adapt",
    "gaussian",
    "lm",
    "mala",
    "sgld",
]

ACCEPTANCE = 0.9
"""What :func:`adapt` aims at. 0.574 moves fastest through many equal dimensions (Roberts & Rosenthal 1998), but the
posterior of a singular model has valleys so narrow that chains with that step hardly ever enter them."""

Evaluate = Callable[[Float[Tensor, "chain param"]], tuple[Float64[Tensor, " chain"], Float[Tensor, "chain param"]]]
Normals = Callable[[Tensor], Tensor]
Scale = float | Float[Tensor, "#chain #param"]
"""One number, or one for each chain; of steps, also one for each weight."""


class State(NamedTuple):
    """Where the chains are, and what is known there."""

    w: Float[Tensor, "chain param"]
    loss: Float64[Tensor, " chain"]
    """What ``evaluate`` said at ``w``."""
    grad: Float[Tensor, "chain param"]
    """Its gradient there, of the loss and not of nbeta times the loss."""
    noise: Float[Tensor, "chain param"]
    """The normals of the last step, which ``lm`` shares with the next."""


class Info(NamedTuple):
    """What else a step says."""

    accept: Float[Tensor, " chain"] | None = None
    """``mala``: the probability with which the proposal was accepted."""


class Init(Protocol):
    """The state at the points ``w``."""

    def __call__(self, w: Float[Tensor, "chain param"], evaluate: Evaluate, normals: Normals) -> State: ...


class Step(Protocol):
    """The state after a step from another, which stays as it is, and what the step says.

    Args:
        out: a state whose points and normals the new ones are written over, as in functions of torch's: ``state``
            itself where it is not wanted any more.
    """

    def __call__(
        self, state: State, evaluate: Evaluate, normals: Normals, out: State | None = None
    ) -> tuple[State, Info]: ...


class Sampler(NamedTuple):
    """A sampler of one target with one step length."""

    init: Init
    step: Step


def gaussian(generator: torch.Generator) -> Normals:
    """Standard normals from a generator of the buffer's device."""

    def normals(out: Tensor) -> Tensor:
        return out.normal_(generator=generator)

    return normals


def sgld(center: Float[Tensor, " param"], *, nbeta: Scale, gamma: Scale, lr: Scale) -> Sampler:
    """Stochastic gradient Langevin dynamics; with the whole of the data, the unadjusted Langevin algorithm."""
    drift = _drift(center, nbeta, gamma, lr)

    def init(w: Tensor, evaluate: Evaluate, normals: Normals) -> State:
        return State(w, *evaluate(w), noise=torch.zeros_like(w))

    def step(state: State, evaluate: Evaluate, normals: Normals, out: State | None = None) -> tuple[State, Info]:
        noise = normals(_memory(out, state.noise))
        w = _add(drift(state.w, state.grad, out), noise, lr**0.5)
        return State(w, *evaluate(w), noise), Info()

    return Sampler(init, step)


def lm(center: Float[Tensor, " param"], *, nbeta: Scale, gamma: Scale, lr: Scale) -> Sampler:
    """Leimkuhler and Matthews's scheme: as cheap as :func:`sgld`, and without its error on quadratics."""
    drift = _drift(center, nbeta, gamma, lr)

    def init(w: Tensor, evaluate: Evaluate, normals: Normals) -> State:
        return State(w, *evaluate(w), noise=normals(torch.empty_like(w)))

    def step(state: State, evaluate: Evaluate, normals: Normals, out: State | None = None) -> tuple[State, Info]:
        w = _add(drift(state.w, state.grad, out), state.noise, lr**0.5 / 2)
        noise = normals(_memory(out, state.noise))
        w = _add(w, noise, lr**0.5 / 2)
        return State(w, *evaluate(w), noise), Info()

    return Sampler(init, step)


def mala(center: Float[Tensor, " param"], *, nbeta: Scale, gamma: float, lr: Scale) -> Sampler:
    """The Metropolis-adjusted Langevin algorithm. A proposal where the loss is not finite is rejected."""
    drift = _drift(center, nbeta, gamma, lr)

    def init(w: Tensor, evaluate: Evaluate, normals: Normals) -> State:
        return State(w, *evaluate(w), noise=torch.zeros_like(w))

    def energy(w: Tensor, loss: Tensor) -> Tensor:
        scaled = nbeta.flatten() * loss if isinstance(nbeta, Tensor) else nbeta * loss
        return scaled + gamma / 2 * (w - center).square().sum(1)

    def step(state: State, evaluate: Evaluate, normals: Normals, out: State | None = None) -> tuple[State, Info]:
        noise = normals(_memory(out, state.noise))
        proposal = _add(drift(state.w, state.grad), noise, lr**0.5)
        loss, grad = evaluate(proposal)
        back = (state.w - drift(proposal, grad)).square() / (2 * lr)
        log_ratio = energy(state.w, state.loss) - energy(proposal, loss) + (noise.square() / 2 - back).sum(1)
        log_ratio = torch.nan_to_num(log_ratio, nan=-torch.inf, posinf=0.0)
        accepted = torch.special.log_ndtr(normals(torch.empty_like(noise[:, 0]))) < log_ratio
        kept = accepted[:, None]
        found = State(
            torch.where(kept, proposal, state.w, out=None if out is None else out.w),
            torch.where(accepted, loss, state.loss),
            torch.where(kept, grad, state.grad),
            noise,
        )
        return found, Info(log_ratio.clamp(max=0).exp().to(noise.dtype))

    return Sampler(init, step)


def adapt(lr: Float[Tensor, "#chain 1"], info: Info, rate: float) -> Float[Tensor, "#chain 1"]:
    """The step of :func:`mala` moved towards :data:`ACCEPTANCE` as the mean over chains."""
    return lr * torch.exp(rate * (acceptance(info).mean() - ACCEPTANCE))


def acceptance(info: Info) -> Float[Tensor, " chain"]:
    """What :func:`mala` says of its proposals.

    Raises:
        ValueError: if it was another sampler, which has none.
    """
    if info.accept is None:
        raise ValueError("only mala accepts or rejects: of other samplers there is no acceptance")
    return info.accept


SAMPLERS = {"lm": lm, "sgld": sgld, "mala": mala}


def _drift(center: Tensor, nbeta: Scale, gamma: Scale, lr: Scale) -> Callable[..., Tensor]:
    """w - eps/2 (nbeta grad + gamma (w - w*)), in new memory or in that of ``out``."""
    back, down = lr * gamma / 2, -lr * nbeta / 2

    def drift(w: Tensor, grad: Tensor, out: State | None = None) -> Tensor:
        return _add(torch.lerp(w, center, back, out=None if out is None else out.w), grad, down)

    return drift


def _memory(out: State | None, like: Tensor) -> Tensor:
    """For normals."""
    return torch.empty_like(like) if out is None else out.noise


def _add(w: Tensor, direction: Tensor, scale: Scale) -> Tensor:
    """In place, w + scale * direction."""
    return w.addcmul_(direction, scale) if isinstance(scale, Tensor) else w.add_(direction, alpha=scale)
