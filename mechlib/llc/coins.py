"""Torch's own random numbers, kept apart from the caller's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["own_coins"]


@contextmanager
def own_coins(seed: int, device: torch.device) -> Iterator[None]:
    """Torch's own random numbers, which a loss may draw, start from ``seed`` here and are as before afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
