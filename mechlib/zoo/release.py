"""From a finished run to a model that ships: measure it, write its card, put it beside the others."""

from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from mechlib.training import Loop
from mechlib.zoo import files
from mechlib.zoo.cards import Card, Checkpoint, StoredOutputs
from mechlib.zoo.kinds.kind import Batches, Meter, TrainedKind
from mechlib.zoo.recipe import Recipe
from mechlib.zoo.shelf import SHIPPED, shipped

LOG = "metrics.jsonl"
"""The file in a run's folder that training adds lines to."""
OUTPUTS = "outputs.safetensors"


def write_card(kind: TrainedKind[Any, Any], recipe: Recipe, batches: Batches, meter: Meter[Any], loop: Loop) -> Card:
    """Save the weights that ship, measure them as they ship, and write ``card.json`` beside them.

    Args:
        loop: of a finished run, in its folder.
    """
    checkpoints = tuple(_checkpoint(kind, recipe, loop, step, meter) for step in (0, *recipe.shipped))
    written = Card(
        name=recipe.name,
        about=recipe.about,
        shape=recipe.shape,
        recipe=kind.settings(recipe),
        data=kind.told(recipe, batches),
        metrics=meter.metrics(_as_shipped(kind, recipe, loop, recipe.steps)),
        notes=(*kind.notes(recipe), *recipe.remarks),
        checkpoints=checkpoints,
        log=_log(loop.folder, recipe),
        versions={"python": platform.python_version(), "torch": torch.__version__},
        folder=loop.folder,
        outputs=_outputs(kind, recipe, loop) if recipe.stores_outputs else None,
        kind=kind.word,
    )
    written.write()
    return written


def install(trained: Card) -> Path:
    """Copy a card and its weights to where the shipped models lie; an older model of that name is replaced whole."""
    target = SHIPPED / trained.name
    fresh = target.with_name(f".{trained.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for file in ("card.json", *trained.files):
        shutil.copyfile(trained.folder / file, fresh / file)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    shipped.cache_clear()
    return target


def _log(folder: Path, recipe: Recipe) -> dict[str, tuple[float, ...]]:
    """The columns of a run's log; of a step that was measured twice, as a resumed run does, the later line counts."""
    lines = {line["step"]: line for line in map(json.loads, (folder / LOG).read_text().splitlines())}
    kept = [lines[step] for step in recipe.looks]
    return {key: tuple(line[key] for line in kept) for key in kept[-1] if key != "time"}


def _checkpoint(kind: TrainedKind[Any, Any], recipe: Recipe, loop: Loop, step: int, meter: Meter[Any]) -> Checkpoint:
    file, digest = "", ""
    if step:
        model = _as_shipped(kind, recipe, loop, step)
        file = f"step-{step:06d}.safetensors"
        digest = files.save_half(files.weights_once(model), loop.folder / file)
    else:
        model = kind.build(recipe.shape, recipe.seed).eval()
    return Checkpoint(
        step=step, tokens=step * kind.seen(recipe), held_out_loss=meter.held_out(model), file=file, sha256=digest
    )


def _as_shipped(kind: TrainedKind[Any, Any], recipe: Recipe, loop: Loop, step: int) -> nn.Module:
    """The model after ``step`` updates, its weights rounded to half precision."""
    model = kind.build(recipe.shape, recipe.seed)
    model.load_state_dict({name: value.half().float().cpu() for name, value in loop.weights(step).items()})
    return model.eval()


def _outputs(kind: TrainedKind[Any, Any], recipe: Recipe, loop: Loop) -> StoredOutputs:
    models = (_as_shipped(kind, recipe, loop, step) for step in recipe.looks)
    save_file(kind.outputs(recipe, models), loop.folder / OUTPUTS)
    return StoredOutputs(recipe.looks, OUTPUTS, files.sha256(loop.folder / OUTPUTS))
