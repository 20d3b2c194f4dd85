"""What stands before any chain moves: the loss at w*, the way through the model, batches and sources of chance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.llc.batches import Batches
from mechlib.llc.data import Samples
from mechlib.llc.flat import FlatModel
from mechlib.llc.posterior import Posterior, Start, at_start
from mechlib.llc.precision import Precision, precision
from mechlib.llc.samplers import Normals, Scale, gaussian
from mechlib.llc.surface import LossFn, Surface, faster

__all__ = ["STRATEGIES", "Prepared"]

STRATEGIES = ("auto", "vmap", "serial")


@dataclass(frozen=True)
class Prepared:
    """Everything that chains of one model, loss and data start from; made by :meth:`of`."""

    serial: Surface
    surface: Surface
    """The model by the strategy that was asked for, or that is faster."""
    start: Start
    batches: Batches
    pilot_batches: Batches
    noise: Normals
    probes: Normals
    """Chance for pilots and looks at the curvature."""
    others: torch.Generator
    """Chance for the order of other data."""
    size: int | None
    """Samples in a batch as asked for; None for all."""
    chunk: int
    """The most samples that are read at once."""
    anchor: bool

    @classmethod
    def of(
        cls,
        flat: FlatModel,
        loss_fn: LossFn,
        data: Samples,
        *,
        batch_size: int | None,
        strategy: str,
        chains: int,
        anchor: bool,
        seed: int,
    ) -> Prepared:
        """Look at w*, and choose the strategy where that is wanted.

        Raises:
            TypeError, ValueError: as :func:`mechlib.llc.estimate.estimate_llc` for data and loss.
        """
        noise, pilot_noise, order, pilot_order, others = (
            torch.Generator(flat.device).manual_seed(5 * seed + i) for i in range(5)
        )
        loss_fn, size = data.loss(loss_fn), data.size(batch_size)
        batches, pilot_batches = Batches(data.parts, size, order), Batches(data.parts, size, pilot_order)
        chunk = batches.size * (1 if batches.full else chains)
        serial = Surface(flat, loss_fn, "serial")
        start = at_start(serial, batches, chunk)
        if strategy == "auto":
            rows = flat.w_star.repeat(chains + (anchor and not batches.full), 1)
            surface = faster(flat, loss_fn, rows, next(pilot_batches))
        else:
            surface = Surface(flat, loss_fn, strategy)
        chance = gaussian(noise), gaussian(pilot_noise), others
        return cls(serial, surface, start, batches, pilot_batches, *chance, size, chunk, anchor)

    def posterior(self, chains: int, *, pilot: bool = False) -> Posterior:
        """So many chains, all at w*; those of a pilot on batches of their own."""
        batches = self.pilot_batches if pilot else self.batches
        return Posterior(self.surface, batches, self.start, chains=chains, anchor=self.anchor)

    def precision(self, w: Float[Tensor, "chain param"], step: Scale, read: Batches) -> Precision:
        """What rounding does to the loss on ``read`` where the chains are."""
        if self.start.random:
            return Precision(w.dtype)
        return precision(self.serial, w, step, next(read.chunks(self.chunk)), read.samples)
