"""Samples that are made when they are asked for, so that no more of them is in memory than a batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, RandomSampler, SequentialSampler, SubsetRandomSampler

from mechlib.llc.recording import Batch

__all__ = ["LARGE", "Rows", "Stream", "read_by"]

LARGE = 2**28
"""Bytes of samples made on demand from which on they are not read into memory as a whole, and of an array on disk from
which on it stays there."""

READING = (
    "collate_fn", "multiprocessing_context", "num_workers", "pin_memory", "prefetch_factor", "timeout",
    "worker_init_fn",
)  # fmt: skip
"""How a loader reads a batch, whichever samples it is asked for."""


class Rows(Dataset):
    """The rows of arrays that lie on disk, read many at once."""

    def __init__(self, arrays: Any, count: int, pick: Callable[[Any, np.ndarray], Any]):
        self._arrays, self._count, self._pick = arrays, count, pick

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, row: int) -> Any:
        return self.__getitems__([row])

    def __getitems__(self, rows: list[int]) -> Any:
        return self._pick(self._arrays, np.asarray(rows))


class Stream:
    """Some samples of a dataset, by number, as batches of any numbers that are asked for.

    Args:
        dataset: with a length, and a sample at each number below it.
        rows: the samples that count.
        to_batch: makes a batch on the device of what the loader has put together.
        reading: arguments of torch's ``DataLoader`` that say how a batch is read.
    """

    def __init__(
        self,
        dataset: Dataset,
        rows: Sequence[int],
        to_batch: Callable[[Any, int], Batch],
        reading: dict[str, Any],
        name: str = "data",
    ):
        self.dataset, self.rows, self.name = dataset, rows, name
        self._to_batch, self._reading = to_batch, reading
        self._whole: Batch = None

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, numbers: Iterable[Sequence[int]]) -> Iterator[Batch]:
        """The batches of these samples, in turn; of an endless row of numbers, as many as are taken."""
        asked: deque[int] = deque()

        def noted() -> Iterator[list[int]]:
            for batch in numbers:
                asked.append(len(batch))
                yield [self.rows[number] for number in batch]

        chance = torch.Generator().manual_seed(0)  # or the loader would draw from the caller's
        for batch in DataLoader(self.dataset, batch_sampler=noted(), generator=chance, **self._reading):
            yield self._to_batch(batch, asked.popleft())

    def in_order(self, size: int) -> Iterator[Batch]:
        """All samples once, in order, at most so many at a time."""
        yield from self.batches(range(at, min(at + size, len(self))) for at in range(0, len(self), size))

    def whole(self) -> Batch:
        """All samples as one batch, kept from then on.

        Raises:
            ValueError: if they are made on demand, and ``LARGE``.
        """
        if self._whole is None:
            one = next(self.in_order(1))
            parts = (one,) if isinstance(one, torch.Tensor) else one or ()
            total = len(self) * sum(part.nbytes for part in parts)
            if total > LARGE and not isinstance(self.dataset, Rows):
                raise ValueError(
                    f"all the {len(self)} samples of {self.name} at once are {total / 2**20:.0f} MB, and at most "
                    f"{LARGE / 2**20:.0f} MB are read into memory: set batch_size (or give tensors)"
                )
            self._whole = next(self.in_order(len(self)))
        return self._whole


def read_by(loader: DataLoader, name: str) -> tuple[Sequence[int], int, dict[str, Any]]:
    """The samples that a loader hands out, how many at a time, and how it reads them.

    Without shuffling and with ``drop_last``, the last samples never come, and do not count. With shuffling all do.

    Raises:
        ValueError: if the loader hands out samples more than once, or what is no batch of samples.
    """
    reading = {setting: getattr(loader, setting) for setting in READING}
    if loader.batch_sampler is None:
        raise ValueError(
            f"{name} is a DataLoader with batch_size=None, which does not say how many samples it hands out at a time: "
            "give it a batch_size, or a dataset of samples"
        )
    dataset: Any = loader.dataset
    every = range(len(dataset))
    rows: Sequence[int]
    if loader.batch_size is None:  # a batch sampler of the user's own
        batches = [list(batch) for batch in _drawn(loader.batch_sampler, len(every))]
        rows, size = [row for batch in batches for row in batch], max(map(len, batches), default=0)
    else:
        rows, size = _sampled(loader, every), loader.batch_size
        if loader.drop_last and not isinstance(loader.sampler, (RandomSampler, SubsetRandomSampler)):
            rows = rows[: len(rows) - len(rows) % size]
    if len(set(rows)) < len(rows):
        raise ValueError(
            f"the {type(loader.sampler).__name__} of {name} draws samples more than once ({len(rows)} draws of "
            f"{len(set(rows))} samples): give the dataset itself, or a Subset, of which batches are drawn by seed"
        )
    return rows, size, reading


def _sampled(loader: DataLoader, every: Sequence[int]) -> Sequence[int]:
    if isinstance(loader.sampler, (SequentialSampler, RandomSampler)):
        return every
    if isinstance(loader.sampler, SubsetRandomSampler):
        return list(loader.sampler.indices)
    return _drawn(loader.sampler, len(every))


def _drawn(sampler: Iterable, most: int) -> list:
    """What a sampler draws, up to one more than it may, torch's random numbers being as before."""
    with torch.random.fork_rng(devices=[]):
        return list(islice(sampler, most + 1))
