"""The shelf: where the models with cards stand, and how one is found by its name."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from mechlib.zoo.cards import Card, Checkpoint, StoredOutputs
from mechlib.zoo.kinds import kind_named
from mechlib.zoo.recipe import unknown_model

SHIPPED = Path(__file__).parent / "weights"


def read_card(folder: Path) -> Card:
    """The card in ``folder``.

    Raises:
        ValueError: if it is of a kind that is not known here.
    """
    fields = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    fields.setdefault("kind", "regression" if "sizes" in fields["shape"] else "language")  # the first two kinds
    fields["shape"] = kind_named(fields["kind"]).shape(fields["shape"])
    if outputs := fields.get("outputs"):
        fields["outputs"] = StoredOutputs(**outputs | {"steps": tuple(outputs["steps"])})
    fields["notes"] = tuple(fields["notes"])
    fields["log"] = {key: tuple(column) for key, column in fields["log"].items()}
    fields["checkpoints"] = tuple(Checkpoint(**c) for c in fields["checkpoints"])
    return Card(folder=folder, **fields)


def names(kind: str | None = None) -> tuple[str, ...]:
    """The models that ship with the book, in alphabetical order; those of one kind, where a kind is given.

    Raises:
        ValueError: if there is no such kind; the message lists them.
    """
    found = tuple(sorted(folder.parent.name for folder in SHIPPED.glob("*/card.json")))
    return found if kind is None else tuple(n for n in found if card(n).kind == kind_named(kind).word)


@cache
def card(name: str) -> Card:
    """The card of a shipped model.

    Raises:
        ValueError: for an unknown name; the message gives the nearest names.
    """
    if name not in names():
        raise ValueError(unknown_model(name, names()))
    return read_card(SHIPPED / name)


def steps(name: str) -> tuple[int, ...]:
    """The steps of training whose weights can be loaded, ascending; step 0 is the untrained model."""
    return tuple(c.step for c in card(name).checkpoints)
