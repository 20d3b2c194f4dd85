"""Where a fetched model is kept, and whether what lies there is that model."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from mechlib.zoo.cards import Card
from mechlib.zoo.fetched.source import Source
from mechlib.zoo.reading import read_card

CACHE = "MECHLIB_CACHE"
"""The variable of the environment that names another folder than the user's cache."""


def cache_folder() -> Path:
    """What is made once and kept: the user's cache, or the folder that the variable ``MECHLIB_CACHE`` names."""
    cache = os.environ.get(CACHE) or platformdirs.user_cache_path("mechlib", appauthor=False)
    return Path(cache).expanduser()


def folder_of(source: Source) -> Path:
    """The folder of a model in :func:`cache_folder`."""
    return cache_folder() / "zoo" / source.name


def card_of(source: Source) -> Card | None:
    """The card of a fetched model, ``None`` where nothing has been fetched. Its files have not been looked at.

    Raises:
        ValueError: if there is something else in its place, such as a folder whose writing was broken off.
    """
    folder = folder_of(source)
    if not os.path.lexists(folder):
        return None
    try:
        card = read_card(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ValueError(
            f"{folder / 'card.json'} is not the card of {source.name} ({reason}); nothing was loaded; get the model "
            f"again: {source.command}"
        ) from error
    if (card.name, card.data) != (source.name, source.data):
        raise ValueError(
            f"{folder / 'card.json'} is of another model, {card.name!r} with {card.data}, where {source.name} has "
            f"{source.data}; nothing was loaded; get the model again: {source.command}"
        )
    return card


def not_fetched(source: Source) -> OSError:
    """The error of a model that is not there."""
    return FileNotFoundError(
        f"{source.name} is not on this machine; get it once, {source.megabytes} MB of the package index: "
        f"{source.command}"
    )
