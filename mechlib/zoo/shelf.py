"""The shelf: where the models with cards stand, and how one is found by its name."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mechlib.zoo.cards import Card
from mechlib.zoo.fetched import SOURCES, card_of, not_fetched
from mechlib.zoo.kinds import kind_named
from mechlib.zoo.reading import read_card
from mechlib.zoo.recipe import unknown_model

SHIPPED = Path(__file__).parent / "weights"

shipped = cache(read_card)
"""The card in a folder that does not change, read once; what is in the user's cache may."""


def names(kind: str | None = None) -> tuple[str, ...]:
    """The models that ship with the book, in alphabetical order; those of one kind, where a kind is given.

    Raises:
        ValueError: if there is no such kind; the message lists them.
    """
    found = tuple(sorted(folder.parent.name for folder in SHIPPED.glob("*/card.json")))
    return found if kind is None else tuple(n for n in found if card(n).kind == kind_named(kind).word)


def card(name: str) -> Card:
    """The card of a model that ships or has been fetched.

    Raises:
        ValueError: for an unknown name, with the nearest ones; if there is something else in a fetched model's place.
        OSError: for a model that has not been fetched, with the command that does it.
    """
    if name in names():
        return shipped(SHIPPED / name)
    if name not in SOURCES:
        raise ValueError(unknown_model(name, [*names(), *SOURCES]))
    if (found := card_of(SOURCES[name])) is None:
        raise not_fetched(SOURCES[name])
    return found


def steps(name: str) -> tuple[int, ...]:
    """The steps of training whose weights can be loaded, ascending; step 0 is the untrained model.

    None of a model that was not trained here. Errors as :func:`card`.
    """
    return tuple(c.step for c in card(name).checkpoints)
