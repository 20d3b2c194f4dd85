"""From a finished run to a model that ships: measure it, write its card, put it beside the others."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import platform
import shutil
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from safetensors.torch import load_file
from torch import Tensor

from mechlib import text
from mechlib.zoo.cards import SHIPPED, Card, Checkpoint, card
from mechlib.zoo.data import Batches
from mechlib.zoo.decoder import Decoder
from mechlib.zoo.evaluation import token_losses, windows
from mechlib.zoo.recipes import PACKAGES, Recipe

MEASURED_ROWS = 400
"""Rows of each kind of text on which a checkpoint is measured, spread evenly over it."""


def weights_file(step: int) -> str:
    """The name of the file that holds the weights of a step."""
    return f"step-{step:06d}.safetensors"


LOG = "metrics.jsonl"
"""The file in a run's folder that training adds lines to."""


def write_card(recipe: Recipe, batches: Batches, folder: Path) -> Card:
    """Measure every checkpoint in ``folder`` and write ``card.json`` beside them."""
    length = recipe.shape.n_ctx + 1
    held_out = text.stream(text.files("held_out", tests=True))
    checkpoints = tuple(_measured(recipe, folder, step, _sample(held_out, length)) for step in (0, *recipe.checkpoints))
    final = _decoder(recipe, folder, recipe.steps)
    metrics = {
        "held_out": _loss(final, windows(held_out, length)),
        "held_out_without_tests": _loss(final, windows(text.stream(text.files("held_out")), length)),
        "training_stdlib": _loss(final, _sample(batches.stdlib, length)),
    }
    if recipe.rows.packages:
        metrics["training_packages"] = _loss(final, _sample(batches.packages, length))
    written = Card(
        name=recipe.name,
        about=recipe.about,
        shape=recipe.shape,
        recipe=_settings(recipe),
        data=_data(recipe, batches),
        metrics=metrics,
        notes=_notes(recipe),
        checkpoints=checkpoints,
        log=_log(folder, recipe.steps),
        versions={"python": platform.python_version(), "torch": torch.__version__},
        folder=folder,
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
    card.cache_clear()
    return target


def _log(folder: Path, last: int) -> dict[str, tuple[float, ...]]:
    """The columns of a run's log; of a step that was measured twice, as a resumed run does, the later line counts."""
    lines = {line["step"]: line for line in map(json.loads, (folder / LOG).read_text().splitlines())}
    kept = [lines[step] for step in sorted(lines) if step <= last]
    return {key: tuple(line[key] for line in kept) for key in ("step", "held_out", "in_context", "repeat")}


def _measured(recipe: Recipe, folder: Path, step: int, held_out: Int[Tensor, "row pos"]) -> Checkpoint:
    file = weights_file(step) if step else ""
    return Checkpoint(
        step=step,
        tokens=step * recipe.tokens_per_step,
        held_out_loss=_loss(_decoder(recipe, folder, step), held_out),
        file=file,
        sha256=hashlib.sha256((folder / file).read_bytes()).hexdigest() if file else "",
    )


def _decoder(recipe: Recipe, folder: Path, step: int) -> Decoder:
    model = Decoder(recipe.shape, recipe.seed)
    if step:
        state = load_file(folder / weights_file(step))
        model.load_state_dict({"head.weight": state["tok_embed.weight"]} | state)
    return model.eval()


def _loss(model: Decoder, rows: Int[Tensor, "row pos"]) -> float:
    return round(token_losses(model, rows).mean().item(), 4)


def _sample(stream: Int[Tensor, " pos"], length: int) -> Int[Tensor, "row pos"]:
    rows = windows(stream, length)
    return rows[:: max(1, len(rows) // MEASURED_ROWS)].long()


def _settings(recipe: Recipe) -> dict[str, Any]:
    settings = dataclasses.asdict(recipe)
    for elsewhere in ("name", "about", "shape", "checkpoints", "remarks"):
        del settings[elsewhere]
    return settings | {"tokens_per_step": recipe.tokens_per_step, "precision": "bfloat16 autocast, float32 weights"}


def _data(recipe: Recipe, batches: Batches) -> dict[str, Any]:
    data: dict[str, Any] = {
        "stdlib": f"CPython {platform.python_version()}, tests included, 7 files of 8",
        "stdlib_tokens": len(batches.stdlib),
        "stdlib_fingerprint": text.fingerprint(text.files("train", tests=True)),
    }
    if recipe.rows.packages:
        distributions = importlib.metadata.packages_distributions()
        data["packages"] = {
            f"{name} ({distributions[name][0]})": importlib.metadata.version(distributions[name][0])
            for name in PACKAGES
        }
        data["packages_tokens"] = len(batches.packages)
    return data


def _notes(recipe: Recipe) -> tuple[str, ...]:
    rows = recipe.rows
    notes = [
        f"Not natural text alone: {rows.repeated} of the {rows.total} rows of every batch "
        f"({rows.repeated / rows.total:.1%}) are random tokens repeated with a random period. They make induction "
        "heads form early; their strength here says nothing about models trained on natural text."
        if rows.repeated
        else f"Natural text alone: none of the {rows.total} rows of a batch are random tokens repeated."
    ]
    if rows.packages:
        notes.append(
            f"{rows.packages} rows of a batch are the source of pinned packages, {rows.stdlib} the standard library; "
            "package files that repeat held-out files were removed."
        )
    if recipe.decay_from is None:
        notes.append("The learning rate is constant after the warm-up: no change in training is the schedule's doing.")
    return (*notes, *recipe.remarks)
