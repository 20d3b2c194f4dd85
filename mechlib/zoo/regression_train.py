"""Training a model of regression in context: from its recipe to weights, stored outputs and a card."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

from mechlib.bridge import resolve_device
from mechlib.icl import predictors
from mechlib.icl.compare import ridge_dmmse_projection
from mechlib.icl.prompts import Prompts
from mechlib.icl.tasks import LinearRegression, Task
from mechlib.icl.training import train
from mechlib.zoo.cards import Card, Checkpoint, StoredOutputs
from mechlib.zoo.regression_recipes import RegressionRecipe
from mechlib.zoo.regressors import RegressionModel

MEASURED = 4096
"""Prompts of each task on which a checkpoint is measured."""
STORED = 128
"""Prompts whose predictions are stored."""
MEASURE_SEED, STORE_SEED = 31_337, 73_313
"""Seeds of prompts that no training batch holds."""
OUTPUTS = "outputs.safetensors"


def train_regression(recipe: RegressionRecipe, *, folder: Path, device: str = "auto", progress: bool = True) -> Card:
    """Train a recipe's models, or go on from where an earlier run in ``folder`` stopped, and write their card there.

    At each look the weights are kept in half precision; all that is measured and stored is of these.

    Raises:
        ValueError: if ``folder`` holds another run, with what differs.
    """
    model = recipe.regressor.build(recipe.seed).to(resolve_device(device))
    tasks = recipe.tasks[0] if len(recipe.tasks) == 1 else recipe.tasks
    history = train(
        model, tasks, recipe.training, watch=_halved, watch_at=recipe.looks, folder=folder, progress=progress
    )
    return write_regression_card(recipe, folder, history.watched)


def write_regression_card(recipe: RegressionRecipe, folder: Path, weights: dict[int, dict[str, Tensor]]) -> Card:
    """Measure the weights of every look, save those that ship, and write ``card.json`` beside them.

    Args:
        weights: state dicts by the number of updates, of all of ``recipe.looks``.
    """
    sets = [fresh_set(task, MEASURED, recipe.training.n_points, _seeded(MEASURE_SEED)) for task in recipe.tasks]
    log = [measure(recipe, _loaded(recipe, weights[step]), sets) for step in recipe.looks]
    held_out = dict(zip(recipe.looks, (line["held_out"] for line in log), strict=True))
    checkpoints = tuple(
        Checkpoint(step, recipe.examples_per_step * step, held_out[step], *_saved(folder, step, weights))
        for step in (0, *recipe.shipped)
    )
    card = Card(
        name=recipe.name,
        about=recipe.about,
        shape=recipe.regressor,
        recipe=recipe.settings(),
        data={"models": list(recipe.labels), "pools": [_fingerprint(task) for task in recipe.tasks]},
        metrics=log[-1],
        notes=(SYNTHETIC, *recipe.remarks),
        checkpoints=checkpoints,
        log={"step": recipe.looks} | {key: tuple(line[key] for line in log) for key in log[0]},
        versions={"python": platform.python_version(), "torch": torch.__version__},
        folder=folder,
        outputs=_stored(recipe, folder, weights) if recipe.stores_outputs else None,
    )
    card.write()
    return card


SYNTHETIC = (
    "Trained on synthetic prompts alone: what it does in context says nothing by itself about models trained on text."
)


@dataclass(frozen=True)
class FreshSet:
    """Prompts of one task, and what two algorithms predict on them where the task has a pool."""

    prompts: Prompts
    ridge: Float[Tensor, "batch n_points"] | None
    """Ridge regression at the noise's variance."""
    dmmse: Float[Tensor, "batch n_points"] | None
    """The posterior mean over the pool."""


def fresh_set(task: Task, batch: int, n_points: int, generator: torch.Generator) -> FreshSet:
    """Prompts to measure on, with the predictions that a projection needs."""
    prompts = task.sample(batch, n_points, generator=generator)
    if (pool := _pool(task)) is None:
        return FreshSet(prompts, None, None)
    ridge = predictors.ridge(prompts.x, prompts.y, lam=task.noise**2)
    return FreshSet(prompts, ridge, predictors.dmmse(prompts.x, prompts.y, pool=pool, noise_var=task.noise**2))


@torch.no_grad()
def measure(recipe: RegressionRecipe, model: RegressionModel, sets: list[FreshSet]) -> dict[str, float]:
    """One line of a card's log: half the mean squared error, and on pools the projection, rounded to five places.

    Args:
        sets: of the one task, or of each model's.
    """
    x, y = (torch.stack([getattr(given.prompts, axis) for given in sets]) for axis in "xy")
    predictions = model(x, y) if len(sets) > 1 else model(x[0], y[0])
    predictions = predictions.reshape(recipe.regressor.n_models, len(y[0]), -1)
    losses = 0.5 * (predictions - y[..., -predictions.shape[-1] :]).square().mean((1, 2))
    line = {"held_out": losses.mean().item()}
    if len(losses) > 1:
        line |= {f"held_out {label}": loss.item() for label, loss in zip(recipe.labels, losses, strict=True)}
    for label, given, own in zip(recipe.labels, sets, predictions, strict=False):
        if given.dmmse is not None:
            line[f"projection {label}"] = ridge_dmmse_projection(own, given.ridge, given.dmmse)
    return {key: round(value, 5) for key, value in line.items()}


def _halved(model: RegressionModel) -> dict[str, Tensor]:
    return {name: value.half().cpu().clone() for name, value in model.state_dict().items()}


def _loaded(recipe: RegressionRecipe, weights: dict[str, Tensor]) -> RegressionModel:
    model = recipe.regressor.build(recipe.seed)
    model.load_state_dict({name: value.float() for name, value in weights.items()})
    return model.eval()


def _saved(folder: Path, step: int, weights: dict[int, dict[str, Tensor]]) -> tuple[str, str]:
    if not step:
        return "", ""
    file = f"step-{step:06d}.safetensors"
    save_file({name: value.contiguous() for name, value in weights[step].items()}, folder / file)
    return file, hashlib.sha256((folder / file).read_bytes()).hexdigest()


@torch.no_grad()
def _stored(recipe: RegressionRecipe, folder: Path, weights: dict[int, dict[str, Tensor]]) -> StoredOutputs:
    task = recipe.tasks[0]
    fresh = LinearRegression(task.d, noise=task.noise)
    prompts = fresh.sample(STORED, recipe.training.n_points, generator=_seeded(STORE_SEED))
    seen = torch.stack([_loaded(recipe, weights[step])(prompts.x, prompts.y) for step in recipe.looks])
    save_file({"x": prompts.x, "y": prompts.y, "predictions": seen.half()}, folder / OUTPUTS)
    return StoredOutputs(recipe.looks, OUTPUTS, hashlib.sha256((folder / OUTPUTS).read_bytes()).hexdigest())


def _pool(task: Task) -> Tensor | None:
    return getattr(task, "pool", None)


def _fingerprint(task: Task) -> str:
    """The hash of a pool, by which another machine can tell that it draws the same one; empty without a pool."""
    pool = _pool(task)
    return "" if pool is None else hashlib.sha256(pool.numpy().tobytes()).hexdigest()


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
