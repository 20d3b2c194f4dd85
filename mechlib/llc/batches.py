"""Minibatches in shuffled epochs, drawn on the device where the data lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat

import torch
from torch import Tensor

from mechlib.llc.surface import Batch

__all__ = ["Batches", "checked_data", "n_samples"]

AHEAD = 16
"""Batches whose samples are gathered at once."""


def checked_data(data: Tensor | Sequence[Tensor] | None, device: torch.device, name: str = "data") -> Batch:
    """The data on the device: a tensor, a tuple of tensors with one leading sample axis, or None.

    Raises:
        TypeError: if it is anything else.
        ValueError: if it is empty, or its tensors have different numbers of samples.
    """
    if data is None:
        return None
    parts = (data,) if isinstance(data, Tensor) else data
    if not isinstance(parts, (tuple, list)) or not all(isinstance(part, Tensor) for part in parts):
        raise TypeError(f"{name} is a tensor, a tuple of tensors or None, not {type(data).__name__}")
    shapes = [tuple(part.shape) for part in parts]
    if not parts or not all(shapes) or 0 in {shape[0] for shape in shapes}:
        raise ValueError(f"{name} is empty: shapes {shapes}; at least one sample on the leading axis is needed")
    if len({shape[0] for shape in shapes}) > 1:
        raise ValueError(f"the tensors of {name} have different numbers of samples: shapes {shapes}")
    moved = tuple(part.detach().to(device) for part in parts)
    return moved[0] if isinstance(data, Tensor) else moved


def n_samples(data: Batch) -> int:
    """The length of the leading axis; 1 without data, where the loss is that of the population."""
    if data is None:
        return 1
    return len(data if isinstance(data, Tensor) else data[0])


class Batches(Iterator[Batch]):
    """An endless stream of batches: each epoch in a new order, what is left of it at the end let go.

    With ``batch_size=None`` or all samples, every batch is the data itself.

    Raises:
        ValueError: if ``batch_size`` is below 1, larger than the data, or given without data.
    """

    def __init__(self, data: Batch, batch_size: int | None, generator: torch.Generator):
        samples = n_samples(data)
        if batch_size is not None and data is None:
            raise ValueError(f"batch_size={batch_size} without data: a population loss has no batches")
        if batch_size is not None and not 1 <= batch_size <= samples:
            raise ValueError(f"batch_size is from 1 to {samples}, the number of samples, not {batch_size}")
        self.data, self.size, self.samples = data, batch_size or samples, samples
        self.full = self.size == samples
        """Whether every batch is the whole of the data."""
        self._generator = generator
        self._stream = repeat(data) if self.full else self._epochs()

    def __next__(self) -> Batch:
        return next(self._stream)

    def _epochs(self) -> Iterator[Batch]:
        """Samples are gathered for ``AHEAD`` batches at once: on small models a gather takes as long as a layer."""
        whole = self.samples - self.samples % self.size
        while True:
            order = torch.randperm(self.samples, generator=self._generator, device=self._generator.device)[:whole]
            for rows in order.split(AHEAD * self.size):
                if isinstance(self.data, Tensor):
                    yield from self.data.index_select(0, rows).split(self.size)
                else:
                    yield from zip(*(part.index_select(0, rows).split(self.size) for part in self.data), strict=True)

    def chunks(self, samples: int) -> Iterator[Batch]:
        """All of the data once, in order, at most so many samples at a time."""
        if self.data is None:
            yield None
        elif isinstance(self.data, Tensor):
            yield from self.data.split(samples)
        else:
            yield from zip(*(part.split(samples) for part in self.data), strict=True)
