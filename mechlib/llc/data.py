"""What the data of a loss may be, and how a loss sees a batch of it.

Inside, a batch is a tensor or a tuple of tensors. Data of another structure, such as a dict, are taken apart into a
tuple, and each batch is put together again before the loss sees it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from mechlib.llc.arguments import number
from mechlib.llc.coins import own_coins
from mechlib.llc.recording import Batch
from mechlib.llc.streams import LARGE, Rows, Stream, read_by
from mechlib.llc.surface import LossFn

__all__ = ["Data", "Samples", "take"]

Data = Tensor | np.ndarray | Sequence | Mapping[str, Any] | Dataset | DataLoader | None
"""A tensor or array with a leading sample axis; a tuple or dict of them; a dataset with a length; a loader; or None."""

Layout = int | tuple | dict[Any, Any]
"""The structure of a batch, with the number of each tensor in its place."""


@dataclass(frozen=True)
class Samples:
    """Data, checked and on the device."""

    parts: Batch | Stream
    """All samples in memory, or where they come from."""
    layout: Layout = 0
    batch_size: int | None = None
    """That of a loader."""

    @property
    def plain(self) -> bool:
        """Whether a batch is for a loss as it is inside: a tensor, or a tuple of tensors."""
        return self.layout == 0 or (type(self.layout) is tuple and self.layout == tuple(range(len(self.layout))))

    def loss(self, loss_fn: LossFn) -> LossFn:
        """``loss_fn`` for batches as they are inside."""
        if self.plain:
            return loss_fn
        return functools.partial(_on_parts, loss_fn, self.layout)

    def size(self, batch_size: Any) -> int | None:
        """How many samples a batch has: as wanted, or as a loader has it; None for all.

        Raises:
            ValueError: if what is wanted is no whole number.
        """
        batch_size = number(batch_size)
        if not isinstance(batch_size, Integral | None):
            raise ValueError(f"batch_size is a whole number of samples or None, not {batch_size!r}")
        return self.batch_size if batch_size is None else int(batch_size)

    def refuse_other_structure(self, others: Samples) -> None:
        """Refuse data of which a loss would see batches of another structure than it sees of these.

        Raises:
            ValueError: if that is so.
        """
        if others.layout != self.layout and not (self.plain and others.plain):
            raise ValueError(
                f"loss_fn gets batches of eval_data as of data, and they are made up otherwise: {others.layout} and "
                f"{self.layout}, by the number of each tensor"
            )

    def whole(self) -> Batch:
        """All samples, in memory.

        Raises:
            ValueError: if they come from a dataset, and are too large for that.
        """
        return self.parts.whole() if isinstance(self.parts, Stream) else self.parts


def take(data: Data, device: torch.device, dtype: torch.dtype | None = None, name: str = "data") -> Samples:
    """The data as samples on the device.

    Tensors stay of their type; floating-point numbers of NumPy become ``dtype``, that of the model. Datasets, loaders
    and arrays that lie on disk are read sample by sample, when they are wanted.

    Raises:
        TypeError: if it is anything else.
        ValueError: if it is empty, its tensors have different numbers of samples, or a loader hands out samples twice.
    """
    if data is None:
        return Samples(None)
    _refuse_once_through(data, name)
    if isinstance(data, DataLoader):
        rows, size, reading = read_by(data, name)
        return _streamed(data.dataset, rows, reading, device, dtype, name, size)
    if _is_dataset(data):
        dataset: Any = data
        return _streamed(dataset, range(len(dataset)), {}, device, dtype, name)
    if isinstance(data, list) and any(isinstance(part, (tuple, list, Mapping)) for part in data):
        raise TypeError(
            f"{name} is a list of {type(data[0]).__name__}s, it seems of samples: give "
            "torch.utils.data.default_collate(...) of it, or a tuple of tensors that have the samples along axis 0"
        )
    leaves: list[Any] = []
    layout = _taken_apart(data, leaves, name)
    count = _count(leaves, name)
    if any(isinstance(leaf, np.memmap) and leaf.nbytes > LARGE for leaf in leaves):
        pick = functools.partial(_picked, layout)
        return _streamed(Rows(leaves, count, pick), range(count), {"collate_fn": _as_it_is}, device, dtype, name)
    return Samples(_on_device(layout, leaves, device, dtype), layout)


def _on_parts(loss_fn: LossFn, layout: Layout, f: Any, parts: Batch) -> Tensor:
    return loss_fn(f, _put_together(layout, (parts,) if isinstance(parts, Tensor) else parts or ()))


def _picked(layout: Layout, leaves: list[Any], rows: np.ndarray) -> Any:
    return _put_together(layout, [leaf[rows] for leaf in leaves])


def _as_it_is(batch: Any) -> Any:
    return batch


def _refuse_once_through(data: Any, name: str) -> None:
    """Refuse what hands out its samples in its own order and once."""
    source = data.dataset if isinstance(data, DataLoader) else data
    if isinstance(source, IterableDataset) or hasattr(source, "__next__"):
        raise TypeError(
            f"{name} is a {type(source).__name__}, which hands out its samples once and in its own order; L(w*) is "
            "taken over all of them, and minibatches at random: give a dataset with a length and a sample for each "
            "number, or read it first: torch.utils.data.default_collate(list(...))"
        )


def _is_dataset(data: Any) -> bool:
    known = isinstance(data, (Tensor, Mapping, list, tuple, str, bytes)) or hasattr(data, "__array__")
    return isinstance(data, Dataset) or (not known and hasattr(data, "__getitem__") and hasattr(data, "__len__"))


def _streamed(
    dataset: Any,
    rows: Sequence[int],
    reading: dict[str, Any],
    device: torch.device,
    dtype: torch.dtype | None,
    name: str,
    batch_size: int | None = None,
) -> Samples:
    """A dataset as a stream; its first sample says how a batch is made up."""
    if not len(rows):
        raise ValueError(f"{name} is empty: at least one sample is needed")

    def to_batch(batch: Any, samples: int) -> Batch:
        leaves: list[Any] = []
        found = _taken_apart(batch, leaves, f"a batch of {name}")
        if layout not in ([], [found]):
            raise ValueError(f"the batches of {name} differ in what they are made of: {layout[0]} and {found}")
        layout[:] = [found]
        if _count(leaves, f"a batch of {name}") != samples:
            shapes = [tuple(leaf.shape) for leaf in leaves]
            raise ValueError(f"a batch of {samples} samples of {name} has shapes {shapes}: samples go along axis 0")
        return _on_device(found, leaves, device, dtype)

    layout: list[Layout] = []
    stream = Stream(dataset, rows, to_batch, reading, name)
    with own_coins(0, torch.device("cpu")):
        next(stream.in_order(1))
    return Samples(stream, layout[0], None if batch_size is None else min(batch_size, len(rows)))


def _taken_apart(value: Any, leaves: list[Any], name: str) -> Layout:
    """The structure of a value; its tensors and arrays are appended to ``leaves``."""
    if isinstance(value, Mapping):
        return {key: _taken_apart(part, leaves, f"{name}[{key!r}]") for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        parts = [_taken_apart(part, leaves, f"{name}[{number}]") for number, part in enumerate(value)]
        kind: Any = type(value)
        return kind._make(parts) if hasattr(value, "_fields") else tuple(parts)
    if not isinstance(value, Tensor):
        value = _array(value, name)
    leaves.append(value)
    return len(leaves) - 1


def _array(value: Any, name: str) -> np.ndarray:
    if not hasattr(value, "__array__"):
        raise TypeError(
            f"{name} is a tensor, an array, a tuple or dict of these, a Dataset, a DataLoader or None, "
            f"not {type(value).__name__}"
        )
    found = value if isinstance(value, np.memmap) else np.asarray(value)
    if found.dtype.kind not in "biufc":
        raise TypeError(f"{name} holds numbers, not {found.dtype}: what is no number cannot go into a batch")
    return found


def _put_together(layout: Layout, parts: Sequence[Any]) -> Any:
    if isinstance(layout, int):
        return parts[layout]
    if isinstance(layout, dict):
        return {key: _put_together(part, parts) for key, part in layout.items()}
    found = [_put_together(part, parts) for part in layout]
    kind: Any = type(layout)
    return kind._make(found) if hasattr(layout, "_fields") else tuple(found)


def _count(leaves: Sequence[Any], name: str) -> int:
    """The number of samples, which all tensors share."""
    shapes = [tuple(leaf.shape) for leaf in leaves]
    if not leaves or not all(shapes) or 0 in {shape[0] for shape in shapes}:
        raise ValueError(f"{name} is empty: shapes {shapes}; at least one sample on the leading axis is needed")
    if len({shape[0] for shape in shapes}) > 1:
        raise ValueError(f"the tensors of {name} have different numbers of samples: shapes {shapes}")
    return shapes[0][0]


def _on_device(layout: Layout, leaves: Sequence[Any], device: torch.device, dtype: torch.dtype | None) -> Batch:
    moved = tuple(
        leaf.detach().to(device) if isinstance(leaf, Tensor) else _of_numpy(leaf, device, dtype) for leaf in leaves
    )
    return moved[0] if layout == 0 else moved


def _of_numpy(array: np.ndarray, device: torch.device, dtype: torch.dtype | None) -> Tensor:
    native = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    return torch.tensor(native, dtype=dtype if array.dtype.kind == "f" else None, device=device)
