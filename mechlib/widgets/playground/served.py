"""The files beside a static page with rooms: scripts, their style, and the weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mechlib.widgets import assets
from mechlib.widgets.playground import models, rooms

ROOMS: dict[str, type[rooms.Room]] = {
    "explorer": rooms.TextExplorer,
    "game": rooms.TokenGame,
    "loom": rooms.Loom,
    "regression": rooms.RegressionRoom,
}
"""By the name that an element of a page gives in ``data-room``."""


def write(folder: Path) -> None:
    """Write into ``folder`` all that a page with rooms reads: nothing of it is committed, since the zoo has it.

    The page loads ``page.js`` as a module, and marks the place of a room by ``data-room``, one of ``ROOMS``.

    Raises:
        ValueError: if a file of weights is missing or damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "page.js").write_text(assets.rooms(), encoding="utf-8")
    for name, room in ROOMS.items():
        (folder / f"{name}.js").write_text(room._esm, encoding="utf-8")
        (folder / f"{name}.css").write_text(room._css, encoding="utf-8")
    (folder / "rooms.json").write_text(json.dumps(traits()), encoding="utf-8")
    for name in (*models.LANGUAGE, models.REGRESSION):
        (folder / f"{name}.safetensors").write_bytes(models.weights(name))


def traits() -> dict[str, dict[str, Any]]:
    """What the traits of every room are on a page at first, by the room's name; what all have is under ``shared``."""
    return {"shared": {"tokenizer": models.tokenizer()}} | {name: _told(room()) for name, room in ROOMS.items()}


def own_traits(room: type[rooms.Room]) -> list[str]:
    """The names of the traits of a kind of room that are ours, not of every widget."""
    ours = [each for each in room.mro() if issubclass(each, rooms.Room)]
    return [name for each in reversed(ours) for name in each.class_own_traits(sync=True) if name[0] != "_"]


def _told(room: rooms.Room) -> dict[str, Any]:
    """The traits of ours, without weights, which the page fetches, and without the table that all share."""
    return {name: getattr(room, name) for name in own_traits(type(room)) if name != "tokenizer"} | {"weights": {}}
