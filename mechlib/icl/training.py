"""Training predictors on prompts: one model or a population, resumable, with progress."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mechlib.icl.shifts import Shift
from mechlib.icl.tasks import Task
from mechlib.training import Loop, Updates, clip_each, optimisers
from mechlib.training.runs import described


@dataclass(frozen=True)
class Recipe:
    """How to train, the same for every model of a population."""

    steps: int
    batch: int
    """Prompts of a step, for each model."""
    n_points: int
    learning_rate: float
    warmup: int = 0
    """Steps over which the rate rises from zero."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """After the warm-up: constant, or falling along a cosine that is zero behind the last step."""
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = math.inf
    """Largest gradient norm, of each model by itself."""
    seed: int = 0
    """Decides every prompt."""
    cycles: int = 1
    """How often warm-up and schedule are gone through, in ``steps / cycles`` steps each (Loshchilov & Hutter 2017)."""
    optimiser: Literal["adam", "muon"] = "adam"
    """``muon``: Muon for the matrices inside the blocks of an ``ICLTransformer``, Adam for everything else."""

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.n_points) < 1 or not self.learning_rate > 0 or not self.clip > 0:
            raise ValueError(
                f"steps, batch and n_points are at least 1, learning_rate and clip above 0, got {self.steps}, "
                f"{self.batch}, {self.n_points}, {self.learning_rate}, {self.clip}"
            )
        if self.cycles < 1 or self.steps % self.cycles:
            raise ValueError(f"cycles is at least 1 and divides steps={self.steps}, got {self.cycles}")
        if self.optimiser not in ("adam", "muon"):
            raise ValueError(f"optimiser is 'adam' or 'muon', got {self.optimiser!r}")
        if self.schedule not in ("constant", "cosine"):
            raise ValueError(f"schedule is 'constant' or 'cosine', got {self.schedule!r}")

    def rate(self, step: int) -> float:
        """The learning rate of the update number ``step``, from 0."""
        period = self.steps // self.cycles
        step %= period
        rate = self.learning_rate * min(1.0, (step + 1) / max(self.warmup, 1))
        if self.schedule == "constant" or step < self.warmup:
            return rate
        return rate * 0.5 * (1 + math.cos(math.pi * (step - self.warmup) / max(period - self.warmup, 1)))


@dataclass(frozen=True)
class History:
    """What was seen in training."""

    loss: Float[Tensor, "step model"]
    """Half the mean squared error of the training prompts of each step, before its update."""
    watched: dict[int, Any] = field(default_factory=dict)
    """What ``watch`` returned, by the number of updates made."""


def train(
    model: nn.Module,
    tasks: Task | Shift | Sequence[Task | Shift],
    recipe: Recipe,
    *,
    watch: Callable[[nn.Module], Any] | None = None,
    watch_at: Collection[int] = (),
    folder: Path | None = None,
    progress: bool = True,
) -> History:
    """Train a predictor of prompts in place, by Adam or Muon on half the squared error.

    Predictions for every point are all trained on; a model that predicts the last point alone is trained on that.

    Args:
        model: maps ``x`` and ``y`` to predictions; in a population every parameter has the model axis first, as in
            ``ICLTransformer`` and ``LinearSelfAttention``.
        tasks: one task, whose prompts all models see, or one for each model.
        watch: called without gradients at the steps of ``watch_at`` (0 is the untrained model), its results kept.
        folder: where the state is saved every 250 steps and at the end; a run that finds its own there goes on from
            it, to the same weights as a run that was never stopped. The weights of every look are kept there too, and
            ``watch`` is called on them again, so that nothing is handed out that another ``watch`` found. A folder
            belongs to one run: to this recipe, these tasks with all that they hold, this model at these weights.

    Raises:
        ValueError: if there are not as many tasks as models; or ``folder`` holds another run, with what differs, or
            its own without the weights of a step of ``watch_at`` that is past.
        FloatingPointError: if the loss stops being finite; the state saved last is kept.
    """
    if isinstance(tasks, Sequence) and len(tasks) != (n_models := _n_models(model)):
        raise ValueError(f"one task for each of the {n_models} models is needed, got {len(tasks)}")
    batches = Batches(tasks if isinstance(tasks, Sequence) else [tasks], recipe)
    loop = Loop(model, updates(model, batches))
    looks = set() if watch is None else set(watch_at)
    watched: dict[int, Any] = {}

    def look(step: int) -> None:
        if watch is not None:
            with torch.no_grad():
                watched[step] = watch(model)

    if folder is not None:
        loop.enter(Path(folder), _determined_by(model, batches))
        for step in loop.past(looks):
            look(step)
    for step in loop.run(progress=progress):
        if step in looks:
            loop.keep()
            look(step)
    return History(loop.losses, watched)


@dataclass(frozen=True)
class Batches:
    """The prompts of every update: ``batches[step]`` is ``x, y``, the same at every call."""

    tasks: Sequence[Task | Shift]
    """One whose prompts all models see, or one for each model."""
    recipe: Recipe

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        sizes = self.recipe.batch, self.recipe.n_points
        drawn = [task.sample(*sizes, generator=generator) for task in self.tasks]
        if len(drawn) == 1:
            return drawn[0].x, drawn[0].y
        return torch.stack([p.x for p in drawn]), torch.stack([p.y for p in drawn])


def updates(model: nn.Module, batches: Batches) -> Updates:
    """What :class:`mechlib.training.Loop` needs to train a model, or a population, as :func:`train` does."""
    recipe, parameters = batches.recipe, list(model.parameters())
    return Updates(
        steps=recipe.steps,
        batch=lambda step: _on_device_of(model, batches[step]),
        losses=_losses,
        optimisers=list(optimisers(model, recipe.optimiser, recipe.learning_rate, recipe.betas)),
        rate=recipe.rate,
        clip=lambda: clip_each(parameters, recipe.clip),
    )


def _losses(model: nn.Module, prompts: tuple[Tensor, Tensor]) -> Float[Tensor, " model"]:
    x, y = prompts
    predictions, n_models = model(x, y), _n_models(model)
    every_point = predictions.dim() - (n_models > 1) == 2
    errors = predictions - (y if every_point else y[..., -1])
    return 0.5 * errors.square().reshape(n_models, -1).mean(1)


@torch.no_grad()
def _determined_by(model: nn.Module, batches: Batches) -> dict[str, Any]:
    """The recipe; the tasks, and what they draw first; the model, and what it says to that."""
    x, y = _on_device_of(model, batches[0])
    modes = [(module, module.training) for module in model.modules()]
    predictions = model.eval()(x, y)  # in training a model may draw at random, or change
    for module, training in modes:
        module.training = training
    return {
        "recipe": batches.recipe,
        "task": {**dict(enumerate(batches.tasks)), "first x": x, "first y": y},
        "model": {**described(model), "first predictions": predictions},
    }


def _n_models(model: nn.Module) -> int:
    return len(next(model.parameters()))


def _on_device_of(model: nn.Module, prompts: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    device = next(model.parameters()).device
    return prompts[0].to(device), prompts[1].to(device)
