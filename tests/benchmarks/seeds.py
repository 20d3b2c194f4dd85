"""Other seeds for code that names its own: every seed is moved by one offset."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import wraps

import numpy as np
import torch

STRIDE = 1_000_003
"""What one unit of offset adds to a seed: far apart, so that no shifted seed is another test's own."""


def moved(seed: object, offset: int) -> object:
    """A seed, or a sequence of them, ``offset`` strides further; what is no whole number is left alone."""
    if isinstance(seed, bool) or offset == 0:
        return seed
    if isinstance(seed, int | np.integer):
        return (int(seed) + STRIDE * offset) % 2**32
    if isinstance(seed, list | tuple):
        return [moved(part, offset) for part in seed]
    return seed


def shift(offset: int) -> None:
    """Move the seeds of torch, NumPy and ``random`` for the rest of this process; by 0, leave everything as it is.

    Call it before anything else is imported that takes these names from their modules. Generators without a seed, and
    other processes, are left alone.
    """
    if offset == 0:
        return

    def with_seed_first(function: Callable) -> Callable:
        @wraps(function)
        def call(seed=None, *args, **kwargs):
            return function(moved(seed, offset), *args, **kwargs)

        return call

    class Generator(torch.Generator):
        def manual_seed(self, seed: int) -> torch.Generator:
            return super().manual_seed(moved(seed, offset))

    class RandomState(np.random.RandomState):
        def __init__(self, seed=None):
            super().__init__(moved(seed, offset))

    class Random(random.Random):
        def __init__(self, x=None):
            super().__init__(moved(x, offset))

    torch.Generator = Generator
    torch.manual_seed = torch.random.manual_seed = with_seed_first(torch.manual_seed)
    np.random.RandomState, random.Random = RandomState, Random
    for module, name in ((np.random, "default_rng"), (np.random, "seed"), (random, "seed")):
        setattr(module, name, with_seed_first(getattr(module, name)))
