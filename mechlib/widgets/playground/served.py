"""The files beside a static page with rooms: scripts, their style, and the weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mechlib.widgets import assets
from mechlib.widgets.playground import models, rooms

ROOMS: dict[str, type[rooms.Room]] = {"explorer": rooms.TextExplorer}
"""By the name that an element of a page gives in ``data-room``."""


def write(folder: Path) -> None:
    """Write into ``folder`` all that a page with rooms reads: nothing of it is committed, since the zoo has it.

    The page loads ``page.js`` as a module, and marks the place of a room by ``data-room``, one of ``ROOMS``.

    Raises:
        ValueError: if a file of weights is missing or damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    script = (assets.HERE / "playground/page.js").read_text(encoding="utf-8")
    (folder / "page.js").write_text(script, encoding="utf-8")
    for name, room in ROOMS.items():
        (folder / f"{name}.js").write_text(room._esm, encoding="utf-8")
        (folder / f"{name}.css").write_text(room._css, encoding="utf-8")
    (folder / "rooms.json").write_text(json.dumps(traits()), encoding="utf-8")
    for name in (*models.LANGUAGE, models.REGRESSION):
        (folder / f"{name}.safetensors").write_bytes(models.weights(name))


def traits() -> dict[str, dict[str, Any]]:
    """What the traits of every room are on a page at first, by the room's name; what all have is under ``shared``."""
    found = {name: _defaults(room) | {"models": _described(room)} for name, room in ROOMS.items()}
    return {"shared": _defaults(rooms.Room) | {"tokenizer": models.tokenizer()}} | found


def _described(room: type[rooms.Room]) -> dict[str, Any]:
    return {name: models.described(name) for name in room.served}


def _defaults(room: type[rooms.Room]) -> dict[str, Any]:
    """The values with which the traits of ours begin; the tokeniser's table is the same for all."""
    ours = [each for each in room.mro() if issubclass(each, rooms.Room) and each is not rooms.Room] or [rooms.Room]
    named = {name: trait for each in reversed(ours) for name, trait in each.class_own_traits().items()}
    return {name: trait.default() for name, trait in named.items() if name != "tokenizer"}
