"""Minibatches in shuffled epochs: of data in memory drawn on the device where it lies, of others read one by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import repeat

import torch
from jaxtyping import Int
from torch import Tensor

from mechlib.llc.recording import Batch
from mechlib.llc.streams import Stream

__all__ = ["Batches", "n_samples"]

AHEAD = 16
"""Batches whose samples are gathered at once."""


def n_samples(data: Batch | Stream) -> int:
    """The length of the leading axis; 1 without data, where the loss is that of the population."""
    if data is None:
        return 1
    return len(data if isinstance(data, (Tensor, Stream)) else data[0])


class Batches(Iterator[Batch]):
    """An endless stream of batches: each epoch in a new order, what is left of it at the end let go.

    With ``batch_size=None`` or all samples, every batch is the data itself.

    Raises:
        ValueError: if ``batch_size`` is below 1, larger than the data, or given without data; or if all samples of a
            stream at once are too large.
    """

    def __init__(self, data: Batch | Stream, batch_size: int | None, generator: torch.Generator):
        samples = n_samples(data)
        if batch_size is not None and data is None:
            raise ValueError(f"batch_size={batch_size} without data: a population loss has no batches")
        if batch_size is not None and not 1 <= batch_size <= samples:
            raise ValueError(f"batch_size is from 1 to {samples}, the number of samples, not {batch_size}")
        self.size, self.samples = batch_size or samples, samples
        self.full = self.size == samples
        """Whether every batch is the whole of the data."""
        if self.full and isinstance(data, Stream):
            data = data.whole()
        self.data = data
        self._rows: Int[Tensor, " sample"] | None = None
        self._taken = 0
        """Of the samples whose numbers are ``_rows``, the batches that have been handed out."""
        self._generator = generator
        self._stream = self._epochs() if isinstance(data, Stream) or not self.full else repeat(data)

    def __next__(self) -> Batch:
        batch = next(self._stream)
        self._taken += 1
        return batch

    @property
    def numbers(self) -> Int[Tensor, " sample"] | None:
        """Those of the samples in the last batch; None where it is all of the data."""
        last = slice((self._taken - 1) * self.size, self._taken * self.size)
        return None if self._rows is None else self._rows[last]

    def _epochs(self) -> Iterator[Batch]:
        """Samples are gathered for ``AHEAD`` batches at once: on small models a gather takes as long as a layer."""
        if isinstance(self.data, Stream):
            yield from self._read(self.data)
            return
        for order in self._orders():
            for rows in order.split(AHEAD * self.size):
                self._rows, self._taken = rows, 0
                if isinstance(self.data, Tensor):
                    yield from self.data.index_select(0, rows).split(self.size)
                else:
                    parts = self.data or ()
                    yield from zip(*(part.index_select(0, rows).split(self.size) for part in parts), strict=True)

    def _read(self, stream: Stream) -> Iterator[Batch]:
        """The batches of a stream, which may ask for the samples of some before it hands out the first."""
        asked: deque[Tensor] = deque()

        def noted() -> Iterator[list[int]]:
            for order in self._orders():
                for rows in order.split(self.size):
                    asked.append(rows)
                    yield rows.tolist()

        for batch in stream.batches(noted()):
            self._rows, self._taken = asked.popleft(), 0
            yield batch

    def _orders(self) -> Iterator[Tensor]:
        """The samples of each epoch, so many as are whole batches."""
        whole = self.samples - self.samples % self.size
        while True:
            yield torch.randperm(self.samples, generator=self._generator, device=self._generator.device)[:whole]

    def chunks(self, samples: int) -> Iterator[Batch]:
        """All of the data once, in order, at most so many samples at a time."""
        if self.data is None:
            yield None
        elif isinstance(self.data, Stream):
            yield from self.data.in_order(samples)
        elif isinstance(self.data, Tensor):
            yield from self.data.split(samples)
        else:
            yield from zip(*(part.split(samples) for part in self.data), strict=True)
