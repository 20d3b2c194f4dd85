"""Reading a card from the folder in which it lies."""

from __future__ import annotations

import json
from pathlib import Path

from mechlib.zoo.cards import Card, Checkpoint, StoredOutputs
from mechlib.zoo.kinds import kind_named


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
