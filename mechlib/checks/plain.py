"""What is handed in for an open task, as plain data: numbers, text, arrays, and lists and mappings of those."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection, Mapping
from typing import TypeVar

import numpy as np
from torch import Tensor

from mechlib.checks.values import Unreadable, as_tensor

__all__ = ["MOST_NUMBERS", "Plain", "plain"]

Plain = None | bool | int | float | str | Tensor | list["Plain"] | dict[str, "Plain"]
"""Numbers and text as they are, arrays as tensors in double precision on the CPU."""

DEEPEST = 6
LONGEST = 20_000
"""Characters of one text."""
MOST_NUMBERS = 10**6
"""Numbers of one array."""
MOST_PARTS = 10_000
"""Parts of one list or mapping."""


def plain(value: object, depth: int = 0) -> Plain:
    """Plain data of the same content.

    Raises:
        Unreadable: for anything else, or for more of it than is read; the message completes "you hand in ...".
    """
    if depth > DEEPEST:
        raise Unreadable(f"lists in lists, more than {DEEPEST} deep")
    if value is None or isinstance(value, (bool, np.bool_)):
        return value if value is None else bool(value)
    if isinstance(value, str):
        if len(value) > LONGEST:
            raise Unreadable(f"a text of {len(value)} characters; at most {LONGEST} are read")
        return str(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, (Tensor, np.ndarray)) or hasattr(value, "__array__"):
        return _array(value)
    if isinstance(value, Mapping):
        return {_name(key): plain(part, depth + 1) for key, part in _few(value).items()}
    if isinstance(value, (set, frozenset)):
        return plain(sorted(_few(value), key=repr), depth)
    if isinstance(value, (list, tuple, range)):
        return [plain(part, depth + 1) for part in _few(value)]
    raise Unreadable(f"something of the type {type(value).__name__}, which is neither number, text, array nor list")


def _array(value: object) -> Plain:
    shape = getattr(value, "shape", ())
    if (count := math.prod(shape)) > MOST_NUMBERS:
        raise Unreadable(f"an array of {count} numbers; at most {MOST_NUMBERS} are read")
    array = as_tensor(value)
    return array if shape else array.item()


Parts = TypeVar("Parts", bound=Collection)


def _few(parts: Parts) -> Parts:
    if len(parts) > MOST_PARTS:
        raise Unreadable(f"{len(parts)} parts in one list; at most {MOST_PARTS} are read")
    return parts


def _name(key: object) -> str:
    if not isinstance(key, str) or len(key) > LONGEST:
        raise Unreadable("a mapping whose keys are no texts")
    return key
