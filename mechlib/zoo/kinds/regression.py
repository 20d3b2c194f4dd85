"""Models and populations that learn regression in context: they predict values of functions from examples."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.bridge import resolve_device
from mechlib.icl import predictors, training
from mechlib.icl.compare import ridge_dmmse_projection
from mechlib.icl.prompts import Prompts
from mechlib.icl.tasks import LinearRegression, Task
from mechlib.training import Updates
from mechlib.zoo import files
from mechlib.zoo.cards import Card
from mechlib.zoo.kinds.kind import TrainedKind
from mechlib.zoo.kinds.regression_recipes import REGRESSIONS, described
from mechlib.zoo.recipe import Recipe
from mechlib.zoo.regressors import RegressionModel, Regressor, regressor

MEASURED = 4096
"""Prompts of each task on which a model is measured."""
STORED = 128
"""Prompts whose predictions are stored."""
MEASURE_SEED, STORE_SEED = 31_337, 73_313
"""Seeds of prompts that no training batch holds."""


class Regression(TrainedKind[RegressionModel, training.Batches]):
    """An ``ICLTransformer`` or a ``LinearSelfAttention``, alone or many at once.

    Everything is measured on weights in half precision, as they ship.
    """

    word = "regression"
    columns = ("models", "parameters", "layers", "d", "points")
    legend = "Learning regression in context. Parameters: of each model. Loss: half the squared error on fresh prompts."
    recipes = REGRESSIONS

    def shape(self, fields: dict[str, Any]) -> Regressor:
        return regressor(fields)

    def sizes(self, card: Card) -> tuple[object, ...]:
        shape = card.shape
        n_points = card.recipe["training"]["n_points"]
        return shape.n_models, shape.parameters, shape.sizes.n_layers, shape.sizes.d, n_points

    def build(self, shape: Regressor, seed: int) -> RegressionModel:
        return shape.build(seed)

    def batches(self, recipe: Recipe, cache: Path) -> training.Batches:
        return training.Batches(recipe.data.tasks, recipe.training)

    def updates(self, recipe: Recipe, model: RegressionModel, batches: training.Batches) -> Updates:
        return training.updates(model, batches)

    def meter(self, recipe: Recipe, batches: training.Batches) -> _Meter:
        return _Meter(self, recipe)

    def seen(self, recipe: Recipe) -> int:
        return recipe.training.batch * recipe.training.n_points

    def settings(self, recipe: Recipe) -> dict[str, Any]:
        """The seed of the weights, the training, the tasks."""
        told = asdict(recipe.training)
        if math.isinf(recipe.training.clip):
            del told["clip"]
        return {"seed": recipe.seed, "training": told, "tasks": [described(task) for task in recipe.data.tasks]}

    def told(self, recipe: Recipe, batches: training.Batches) -> dict[str, Any]:
        return {"models": list(recipe.data.labels), "pools": [_fingerprint(task) for task in recipe.data.tasks]}

    def notes(self, recipe: Recipe) -> tuple[str, ...]:
        return (
            "Trained on synthetic prompts alone: what it does in context says nothing by itself about models trained "
            "on text.",
        )

    @torch.no_grad()
    def outputs(self, recipe: Recipe, models: Iterator[RegressionModel]) -> dict[str, Tensor]:
        """Predictions on prompts of fresh Gaussian tasks, with the noise of training."""
        task = recipe.data.tasks[0]
        fresh = LinearRegression(task.d, noise=task.noise)
        prompts = fresh.sample(STORED, recipe.training.n_points, generator=_seeded(STORE_SEED))
        seen = torch.stack([model(prompts.x, prompts.y) for model in models])
        return {"x": prompts.x, "y": prompts.y, "predictions": seen.half()}

    def placed(
        self, card: Card, weights: dict[str, Tensor], *, device: str | torch.device, dtype: torch.dtype
    ) -> RegressionModel:
        model = self.build(card.shape, card.recipe["seed"])
        files.put(weights, model)
        return model.to(resolve_device(device), dtype).eval()


@dataclass(frozen=True)
class _Meter:
    kind: Regression
    recipe: Recipe

    def line(self, model: RegressionModel) -> dict[str, float]:
        return measure(self.recipe, self._as_shipped(model), self._sets)

    def held_out(self, model: RegressionModel) -> float:
        return self.line(model)["held_out"]

    def metrics(self, model: RegressionModel) -> dict[str, float]:
        return self.line(model)

    @cached_property
    def _sets(self) -> list[FreshSet]:
        n_points = self.recipe.training.n_points
        return [fresh_set(task, MEASURED, n_points, _seeded(MEASURE_SEED)) for task in self.recipe.data.tasks]

    def _as_shipped(self, model: RegressionModel) -> RegressionModel:
        rounded = self.kind.build(self.recipe.shape, self.recipe.seed)
        files.put({name: value.half().float().cpu() for name, value in files.weights_once(model).items()}, rounded)
        return rounded.eval()


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
def measure(recipe: Recipe, model: RegressionModel, sets: list[FreshSet]) -> dict[str, float]:
    """One line of a card's log: half the mean squared error, and on pools the projection, rounded to five places.

    Args:
        sets: of the one task, or of each model's.
    """
    x, y = (torch.stack([getattr(given.prompts, axis) for given in sets]) for axis in "xy")
    predictions = model(x, y) if len(sets) > 1 else model(x[0], y[0])
    predictions = predictions.reshape(recipe.shape.n_models, len(y[0]), -1)
    losses = 0.5 * (predictions - y[..., -predictions.shape[-1] :]).square().mean((1, 2))
    line = {"held_out": losses.mean().item()}
    if len(losses) > 1:
        line |= {f"held_out {label}": loss.item() for label, loss in zip(recipe.data.labels, losses, strict=True)}
    for label, given, own in zip(recipe.data.labels, sets, predictions, strict=False):
        if given.ridge is not None and given.dmmse is not None:
            line[f"projection {label}"] = ridge_dmmse_projection(own, given.ridge, given.dmmse)
    return {key: round(value, 5) for key, value in line.items()}


def _pool(task: Task) -> Tensor | None:
    return getattr(task, "pool", None)


def _fingerprint(task: Task) -> str:
    """The hash of a pool in tenths, by which another machine can tell that it draws the same one; empty without a pool.

    The last digits of a draw depend on the processor.
    """
    pool = _pool(task)
    return "" if pool is None else hashlib.sha256((10 * pool).round().to(torch.int8).numpy().tobytes()).hexdigest()


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
