"""The loss near w* as the samplers see it: minibatches, and the chain that stays at w*.

Read on a minibatch B, the loss has noise that is much the same at w and at w*. A row kept at w* beside the chains, on
the same batches, takes it away twice (a control variate, as in Baker, Fearnhead, Fox & Nemeth 2019):

- gradient: g_B(w) - g_B(w*) + g(w*), with g the gradient over all the data;
- loss above w*: L_B(w) - L_B(w*) - (g_B(w*) - g(w*)) . (w - w*).

Both have the expectation of what they replace.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from mechlib.llc.batches import Batches
from mechlib.llc.soundness import Soundness, soundness
from mechlib.llc.surface import Batch, Surface, means, rises

__all__ = ["EvalLoss", "Posterior", "Start", "at_start"]

COINS = 1e-4
"""Two evaluations that differ by more, in units of the loss and its spread, are random."""


@dataclass(frozen=True)
class Start:
    """What is known of w* before any chain has moved."""

    loss: float
    """The mean loss over all the data."""
    gradient: Float[Tensor, " param"]
    """Its gradient."""
    slope_curvature: float
    """The second derivative of the loss along the gradient."""
    loss_sd: float
    """The standard deviation of the loss over samples; 0 without data."""
    gap: float
    """By how much two evaluations of the same loss on the same data differ: 0 unless the loss throws coins."""
    random: bool
    """Whether that is more than rounding."""
    sound: Soundness
    """What else was seen of the loss."""

    @property
    def grad_norm(self) -> float:
        """The length of the gradient."""
        return float(self.gradient.norm())

    def gain(self) -> float:
        """What one step of steepest descent of the best length takes off the loss: |g|^2 / (2 g'Hg / g'g)."""
        if self.grad_norm == 0:
            return 0.0
        return self.grad_norm**2 / (2 * self.slope_curvature) if self.slope_curvature > 0 else float("inf")


def at_start(surface: Surface, batches: Batches, chunk: int) -> Start:
    """The loss and gradient at w* over all the data, at most ``chunk`` samples at a time.

    Raises:
        TypeError, ValueError: if the loss is not one number per sample (see :meth:`Surface.per_sample`), is not finite
            at w*, or does not depend on the weights as its gradient says (:func:`mechlib.llc.soundness.soundness`).
    """
    w_star = surface.flat.w_star
    with torch.no_grad():
        losses = torch.cat([surface.per_sample(w_star, batch) for batch in batches.chunks(chunk)])
        again = surface.per_sample(w_star, next(batches.chunks(chunk)))
    if not bool(torch.isfinite(losses).all()):
        bad = int((~torch.isfinite(losses)).sum())
        raise ValueError(f"the loss at w* is not finite for {bad} of {len(losses)} samples")
    loss, loss_sd = float(losses.mean()), float(losses.std()) if len(losses) > 1 else 0.0
    gap = float((losses[: len(again)] - again).abs().max())
    random = gap > COINS * (abs(loss) + loss_sd)
    sound = soundness(surface, next(batches.chunks(batches.size)), whole=batches.full, random=random)
    gradient = _full_gradient(surface, w_star, batches, chunk)
    slope_curvature = _slope_curvature(surface, gradient, batches, chunk)
    return Start(loss, gradient, slope_curvature, loss_sd, gap, random, sound)


def _full_gradient(surface: Surface, w: Tensor, batches: Batches, chunk: int) -> Float[Tensor, " param"]:
    total = torch.zeros_like(w)
    for batch in batches.chunks(chunk):
        samples = 1 if batch is None else len(batch if isinstance(batch, Tensor) else batch[0])
        total += surface.loss_and_grad(w[None], batch)[1][0] * (samples / batches.samples)
    return total


def _slope_curvature(surface: Surface, gradient: Tensor, batches: Batches, chunk: int) -> float:
    norm = gradient.norm()
    if float(norm) == 0:
        return 0.0
    w_star = surface.flat.w_star
    length = 1e-2 * w_star.norm().clamp_min(1e-2)
    step = gradient / norm * length
    ahead, behind = (_full_gradient(surface, w_star + sign * step, batches, chunk) for sign in (1, -1))
    return float((ahead - behind) @ gradient / norm / (2 * length))


class Posterior:
    """Loss above w* and gradient at many points, each call on the next minibatch.

    ``w`` are the chains' points ``[chain, param]``, all at w* at first, to be moved in place.
    """

    def __init__(self, surface: Surface, batches: Batches, start: Start, *, chains: int, anchor: bool):
        self.surface, self.batches, self.start = surface, batches, start
        self.center = surface.flat.w_star
        self.anchored = anchor and not batches.full
        self.rows = self.center.repeat(chains + self.anchored, 1)
        """The chains, and w* as the last row where there is an anchor."""
        self.chains = chains
        self.w = self.rows[:chains]
        self._baseline = start.loss if batches.full or self.anchored else None
        self._at_center: Tensor | None = None
        self.batch: Batch = None

    def evaluate(
        self, w: Float[Tensor, "chain param"]
    ) -> tuple[Float64[Tensor, " chain"], Float[Tensor, "chain param"]]:
        """``(L(w) - L(w*), gradient)`` of the chains, on the next batch: what a sampler calls."""
        self.batch = next(self.batches)
        return self.evaluate_again(w)

    def evaluate_again(
        self, w: Float[Tensor, "chain param"]
    ) -> tuple[Float64[Tensor, " chain"], Float[Tensor, "chain param"]]:
        """As :meth:`evaluate`, on the batch of its last call: a function and its gradient."""
        entries, grad = self.surface.entries_and_grad(self.with_anchor(w), self.batch)
        rise = self._above_center(entries, self.batch)
        if not self.anchored:
            return rise, grad
        shift = grad[-1] - self.start.gradient
        return rise.sub_((self.w - self.center) @ shift), grad[:-1].sub_(shift)

    def fresh_loss(self, w: Float[Tensor, "chain param"]) -> Float64[Tensor, " chain"]:
        """``L(w) - L(w*)`` on the next batch, without gradients or what they take off the noise."""
        batch = next(self.batches)
        return self._above_center(self.surface.entries(self.with_anchor(w), batch), batch)

    def _above_center(self, entries: Float[Tensor, "row ..."], batch: Batch) -> Float64[Tensor, " chain"]:
        """The loss of the chains above that of w*: of the anchor, of w* on the same data, or the baseline."""
        if self.anchored:
            return rises(entries[:-1], entries[-1])
        if not self.batches.full:
            return means(entries) - self.baseline()
        if self._at_center is None:
            self._at_center = self.surface.entries(self.center.expand(len(entries), -1), batch)[0].clone()
        return rises(entries, self._at_center)

    def gradient(self, w: Tensor) -> Float[Tensor, "row param"]:
        """The gradient at every row of ``w [row, param]`` on the batch of the last call of :meth:`evaluate`."""
        return self.surface.loss_and_grad(w, self.batch)[1]

    def baseline(self) -> float:
        """L(w*) over all the data; without an anchor, on the first minibatch alone."""
        if self._baseline is None:
            self._baseline = float(self.surface.losses(self.center[None], self.batch))
        return self._baseline

    def with_anchor(self, w: Float[Tensor, "chain param"]) -> Float[Tensor, "row param"]:
        """The points, and w* as the last row where there is an anchor."""
        if not self.anchored:
            return w
        if w.data_ptr() != self.w.data_ptr():
            self.w.copy_(w)
        return self.rows


class EvalLoss:
    """The loss above w* on other data than the chains see, read on minibatches paired with w*."""

    def __init__(self, surface: Surface, batches: Batches):
        self._surface, self.batches = surface, batches
        with torch.no_grad():
            chunks = batches.chunks(batches.size)
            self.loss = float(torch.cat([surface.per_sample(surface.flat.w_star, batch) for batch in chunks]).mean())

    def read(self, w: Tensor) -> Float64[Tensor, " chain"]:
        """``L(w) - L(w*)`` on the next batch of the other data."""
        batch = next(self.batches)
        entries = self._surface.entries(torch.cat([w, self._surface.flat.w_star[None]]), batch)
        return rises(entries[:-1], entries[-1])
