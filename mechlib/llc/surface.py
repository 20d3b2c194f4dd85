"""Loss and gradient of many points of one model at once: the inner loop of every sampler.

Small models spend their time on the way to an operation and not in it. So all points go through the model together
(``torch.func.vmap``), and once the same shapes have come a few times, the tensor operations of forward and backward
pass are recorded and only they are run (:mod:`mechlib.llc.recording`). Large models gain nothing from that, and go one
point after another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.func import vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from mechlib.llc.flat import FlatModel
from mechlib.llc.recording import RECORD_AT, Batch, Recorded

__all__ = ["Batch", "LossFn", "Surface", "checked_losses", "faster", "means", "rises"]

LossFn = Callable[[Callable[..., object], Batch], Tensor]
"""``loss_fn(f, batch)``: the loss of each sample, ``f`` being the model; of the population when ``batch`` is None."""

FEW = 8
"""Points on which the strategy of one after another is measured."""


class Surface:
    """The mean loss of a batch as a function of flat weights, for many points ``w [chain, param]`` at once.

    Args:
        flat: the model as a function of its free weights.
        loss_fn: ``loss_fn(f, batch)`` with losses ``[sample]``; further axes are averaged. Without data, one number.
        strategy: ``"vmap"`` takes all points at once, ``"serial"`` one after another. They agree up to rounding.
    """

    def __init__(self, flat: FlatModel, loss_fn: LossFn, strategy: str = "vmap"):
        self.flat, self.loss_fn, self.strategy = flat, loss_fn, strategy
        self._forward = Recorded(self._entries)
        self._gradient = Recorded(self._gradients)

    def per_sample(self, row: Float[Tensor, " param"], batch: Batch) -> Float64[Tensor, " sample"]:
        """The loss of each sample at one point, differentiable in it.

        Raises:
            TypeError: if ``loss_fn`` returns no tensor of real numbers.
            ValueError: if it does not return one loss per sample, or not one number where there is no data.
        """
        return checked_losses(self.loss_fn(self.flat.call(row), batch), batch)

    @torch.no_grad()
    def entries(self, w: Float[Tensor, "chain param"], batch: Batch) -> Float[Tensor, "chain ..."]:
        """What ``loss_fn`` returns at each point, whose mean is the loss; without a graph."""
        if self.strategy == "vmap":
            return self._forward(batch, w)
        return torch.stack([self._forward(batch, row) for row in w])

    @torch.no_grad()
    def entries_and_grad(
        self, w: Float[Tensor, "chain param"], batch: Batch
    ) -> tuple[Float[Tensor, "chain ..."], Float[Tensor, "chain param"]]:
        """As :meth:`entries`, and the gradient of their mean."""
        gradient = torch.empty_like(w)
        if self.strategy == "vmap":
            return self._gradient(batch, w, gradient), gradient
        return torch.stack([self._gradient(batch, row, into) for row, into in zip(w, gradient, strict=True)]), gradient

    def losses(self, w: Float[Tensor, "chain param"], batch: Batch) -> Float64[Tensor, " chain"]:
        """The mean loss at each point, without a graph."""
        return means(self.entries(w, batch))

    def loss_and_grad(
        self, w: Float[Tensor, "chain param"], batch: Batch
    ) -> tuple[Float64[Tensor, " chain"], Float[Tensor, "chain param"]]:
        """The mean loss at each point and its gradient."""
        entries, gradient = self.entries_and_grad(w, batch)
        return means(entries), gradient

    def _entries(self, batch: Batch, w: Float[Tensor, "*chain param"]) -> Float[Tensor, "*shape"]:
        return self._at(batch, self._leaves(w), together=w.ndim == 2)

    def _at(self, batch: Batch, leaves: list[Tensor], together: bool) -> Float[Tensor, "*shape"]:
        def one(*leaves: Tensor) -> Tensor:
            losses = self.loss_fn(self.flat.at(leaves), batch)
            return losses.to(torch.promote_types(losses.dtype, torch.float32))

        if not together:
            return one(*leaves)
        with _unfused():
            return vmap(one, randomness="different")(*leaves)

    @torch.enable_grad()
    def _gradients(
        self, batch: Batch, w: Float[Tensor, "*chain param"], into: Float[Tensor, "*chain param"]
    ) -> Float[Tensor, "*shape"]:
        leaves = [leaf.detach().requires_grad_() for leaf in self._leaves(w)]
        entries = self._at(batch, leaves, together=w.ndim == 2)
        share = torch.full_like(entries, w.shape[:-1].numel() / entries.numel())
        gradients = torch.autograd.grad(entries, leaves, share, materialize_grads=True)
        with torch.no_grad():
            for place, gradient in zip(self._leaves(into), gradients, strict=True):
                place.copy_(gradient)
        return entries.detach()

    def _leaves(self, w: Float[Tensor, "*chain param"]) -> list[Tensor]:
        parts = w.split(self.flat.sizes, -1)
        return [
            part.unflatten(-1, leaf) if leaf else part.squeeze(-1)
            for part, leaf in zip(parts, self.flat.leaf_shapes, strict=True)
        ]


def checked_losses(losses: object, batch: Batch) -> Float64[Tensor, " sample"]:
    """What a ``loss_fn`` returned, as the loss of each sample, further axes averaged in double precision.

    Raises:
        TypeError, ValueError: as :meth:`Surface.per_sample`.
    """
    if not isinstance(losses, Tensor):
        number = isinstance(losses, (int, float))
        hint = ": without .item() or float(), which cut the gradient" if number else ""
        raise TypeError(f"loss_fn returns a tensor, not {type(losses).__name__}{hint}")
    if not losses.is_floating_point():
        raise TypeError(f"loss_fn returns real floating-point numbers, not {losses.dtype}")
    if batch is None:
        if losses.numel() != 1:
            raise ValueError(f"without data, loss_fn(f, None) returns one number, not shape {tuple(losses.shape)}")
        return losses.reshape(1).double()
    samples = len(batch if isinstance(batch, Tensor) else batch[0])
    if losses.ndim == 0 or len(losses) != samples:
        raise ValueError(
            f"loss_fn returned shape {tuple(losses.shape)} for {samples} samples: one loss per sample is needed "
            '(reduction="none")'
        )
    return losses.reshape(samples, -1).mean(1, dtype=torch.float64)


def means(entries: Float[Tensor, "chain ..."]) -> Float64[Tensor, " chain"]:
    """The mean of each point's entries, summed in double precision."""
    return entries.reshape(len(entries), -1).mean(1, dtype=torch.float64)


def rises(entries: Float[Tensor, "chain ..."], before: Tensor) -> Float64[Tensor, " chain"]:
    """The mean by which each point's entries are above others on the same batch.

    Entries that are close have a difference without rounding, and the differences are summed in double precision: what
    all losses have in common takes no digits from what tells them apart.
    """
    return means(entries - before)


def faster(
    flat: FlatModel, loss_fn: LossFn, w: Float[Tensor, "chain param"], batch: Batch, *, calls: int = 3
) -> Surface:
    """The surface whose strategy takes less time for loss and gradient at ``w``, measured over a few calls.

    One point after another is measured on a few and reckoned for all. A model that ``vmap`` cannot take goes that way.
    """
    serial = Surface(flat, loss_fn, "serial")
    if len(w) == 1:
        return serial
    together = Surface(flat, loss_fn, "vmap")
    try:
        together.loss_and_grad(w, batch)
    except (RuntimeError, ValueError):
        return serial
    few = w[:FEW]
    alone = _seconds(serial, few, batch, calls) * len(w) / len(few)
    return together if _seconds(together, w, batch, calls) < alone else serial


def _seconds(surface: Surface, w: Tensor, batch: Batch, calls: int) -> float:
    for _ in range(RECORD_AT):
        surface.loss_and_grad(w, batch)
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        loss, _ = surface.loss_and_grad(w, batch)
        float(loss[0])  # waits for the device
        times.append(time.perf_counter() - start)
    return min(times)


@contextmanager
def _unfused() -> Iterator[None]:
    """Without torch's fused attention and encoder layers, which ``vmap`` cannot take at once."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
