"""What a notebook does without: the real model, or what is made from it, where a machine does not have it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from mechlib.zoo.fetched import SOURCES
from mechlib.zoo.loading import load
from mechlib.zoo.recipe import unknown_model
from mechlib.zoo.shelf import card

Found = TypeVar("Found")


def at_hand(name: str, *, device: str | torch.device = "auto", dtype: torch.dtype = torch.float32) -> Any:
    """A model of ``mechlib.zoo.fetched`` if it has been fetched; else ``None``, and a line that says what to run.

    Nothing is downloaded. ``device`` and ``dtype`` are those of :func:`mechlib.zoo.load`.

    Raises:
        FileNotFoundError: if it is absent and the environment has ``CI=true``: there a notebook does not run in part.
        ValueError: for another name; if a file is damaged, which the message names.
    """
    if name not in SOURCES:
        raise ValueError(unknown_model(name, SOURCES))

    def here() -> Any:
        card(name)
        return load(name, device=device, dtype=dtype)

    return or_say(here)


def or_say(find: Callable[[], Found]) -> Found | None:
    """What ``find`` finds; ``None`` where that is missing, and the message of its error as a line.

    Raises:
        FileNotFoundError: that of ``find``, if the environment has ``CI=true``.
    """
    try:
        return find()
    except FileNotFoundError as error:
        if os.environ.get("CI", "").lower() == "true":
            raise
        print(error)
        return None
