"""Training a model of the zoo: resumable, reproducible from its recipe, with progress throughout."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from mechlib.bridge import resolve_device
from mechlib.training import Loop
from mechlib.zoo.cards import Card
from mechlib.zoo.fetched import SOURCES
from mechlib.zoo.kinds import TrainedKind, kind_named, recipe_named
from mechlib.zoo.recipe import Recipe
from mechlib.zoo.release import LOG, write_card
from mechlib.zoo.shelf import card, names


def train(name: str, *, folder: Path, device: str = "auto", progress: bool = True) -> Card:
    """Train a model of the zoo from its recipe, or go on from where an earlier run in ``folder`` stopped.

    Args:
        folder: holds the run while it trains, and its weights and card afterwards. Text as tokens is kept beside it, in
            ``folder.parent / "tokens"``, for other runs.

    Returns:
        The card, as written to ``folder / "card.json"``.

    Raises:
        ValueError: for a name without a recipe, with the nearest ones; for a folder that holds another run, with what
            differs.
        FloatingPointError: if the loss stops being finite.
    """
    if name in (*names(), *SOURCES) and not isinstance(kind_named(card(name).kind), TrainedKind):
        raise ValueError(f"{name} was not trained here, so it has no recipe; it comes from {card(name).source}")
    kind, recipe = recipe_named(name)
    return train_recipe(kind, recipe, folder=Path(folder), device=device, progress=progress)


def train_recipe(
    kind: TrainedKind[Any, Any], recipe: Recipe, *, folder: Path, device: str = "auto", progress: bool = True
) -> Card:
    """As :func:`train`, with a recipe that need not be among those of its kind.

    Beside what :class:`mechlib.training.Loop` keeps there, the folder holds ``metrics.jsonl``: a line of what the kind
    measures for every look of the recipe.
    """
    batches = kind.batches(recipe, folder.parent / "tokens")
    model = kind.build(recipe.shape, recipe.seed).to(resolve_device(device))
    loop = Loop(model, kind.updates(recipe, model, batches))
    loop.enter(folder, {"recipe": recipe.deciding, "first batch": batches[0]})
    meter, looks = kind.meter(recipe, batches), set(recipe.looks)
    kept = looks if recipe.stores_outputs else set(recipe.shipped)
    for step in loop.run(name=recipe.name, progress=progress):
        if step in kept:
            loop.keep()
        if step in looks:
            line = meter.line(model)
            loop.shown["held_out"] = line["held_out"]
            with (folder / LOG).open("a") as log:
                log.write(json.dumps({"step": step, "time": time.time(), **line}) + "\n")
    return write_card(kind, recipe, batches, meter, loop)
