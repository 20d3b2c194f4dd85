"""Training predictors on prompts: one loop for one model or a population, resumable, with progress."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from mechlib.icl.optimisers import optimisers
from mechlib.icl.runs import STATE, claim, described, write
from mechlib.icl.shifts import Shift
from mechlib.icl.tasks import Task

SAVE_EVERY = 500


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
    """After the warm-up: constant, or falling along a cosine to zero at the last step."""
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
        folder: where the state is saved every 500 steps and at the end; a run that finds its own there goes on from
            it, to the same weights as a run that was never stopped. The weights of every look are kept there too, and
            ``watch`` is called on them again, so that nothing is handed out that another ``watch`` found. A folder
            belongs to one run: to this recipe, these tasks with all that they hold, this model at these weights.

    Raises:
        ValueError: if there are not as many tasks as models; or ``folder`` holds another run, with what differs, or
            its own without the weights of a step of ``watch_at`` that is past.
        FloatingPointError: if the loss stops being finite; the state saved last is kept.
    """
    run = _Run(model, tasks, recipe, folder)
    run.resume(watch, watch_at)
    steps = tqdm(range(run.step, recipe.steps), initial=run.step, total=recipe.steps, disable=not progress, leave=False)
    for step in steps:
        run.look(watch, watch_at)
        loss = run.update()
        if step % SAVE_EVERY == 0:
            steps.set_postfix(loss=f"{loss.mean():.4f}", refresh=False)
        if run.step % SAVE_EVERY == 0:
            run.save()
    run.look(watch, watch_at)
    run.save()
    return History(torch.stack(run.losses), run.watched)


class _Run:
    def __init__(self, model: nn.Module, tasks: Any, recipe: Recipe, folder: Path | None):
        self.model, self.recipe = model, recipe
        self.parameters = list(model.parameters())
        self.tasks = tasks if isinstance(tasks, Sequence) else [tasks]
        self.n_models = len(self.parameters[0])
        if isinstance(tasks, Sequence) and len(tasks) != self.n_models:
            raise ValueError(f"one task for each of the {self.n_models} models is needed, got {len(tasks)}")
        self.optimisers = list(optimisers(model, recipe.optimiser, recipe.learning_rate, recipe.betas))
        self.losses: list[Tensor] = []
        self.watched: dict[int, Any] = {}
        self.folder = None if folder is None else Path(folder)

    @property
    def step(self) -> int:
        return len(self.losses)

    def look(self, watch: Callable[[nn.Module], Any] | None, steps: Collection[int]) -> None:
        if watch is None or self.step not in steps or self.step in self.watched:
            return
        if self.folder is not None:
            write(self.model.state_dict(), self._look_file(self.step))
        with torch.no_grad():
            self.watched[self.step] = watch(self.model)

    def update(self) -> Float[Tensor, " model"]:
        x, y = self._prompts()
        loss = self._losses(self.model(x, y), y)
        if not torch.isfinite(loss).all():
            raise FloatingPointError(f"the loss is {loss.tolist()} at step {self.step}; try a smaller learning rate")
        self.model.zero_grad(set_to_none=True)
        loss.sum().backward()
        self._clip()
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.recipe.rate(self.step)
            optimiser.step()
        self.losses.append(loss.detach().cpu())
        return self.losses[-1]

    def save(self) -> None:
        if self.folder is not None:
            state = {
                "model": self.model.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
                "losses": self.losses,
            }
            write(state, self.folder / STATE)

    def resume(self, watch: Callable[[nn.Module], Any] | None, steps: Collection[int]) -> None:
        """Go on from the state in the folder if it is this run's: look again at what is past, then take its weights."""
        if self.folder is None:
            return
        claim(self.folder, self._determined_by())
        if not (self.folder / STATE).exists():
            return
        state = self._load(self.folder / STATE)
        for step in sorted(set(steps) & set(range(len(state["losses"])))) if watch is not None else ():
            if not (file := self._look_file(step)).exists():
                raise ValueError(
                    f"the run in {self.folder} has passed step {step} of watch_at and kept no weights there; "
                    "look at the steps of its first call, or train again in another folder"
                )
            self.model.load_state_dict(self._load(file))
            with torch.no_grad():
                self.watched[step] = watch(self.model)
        self.model.load_state_dict(state["model"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.losses = state["losses"]

    @torch.no_grad()
    def _determined_by(self) -> dict[str, Any]:
        """The recipe; the tasks, and what they draw first; the model, and what it says to that."""
        x, y = self._prompts()
        modes = [(module, module.training) for module in self.model.modules()]
        predictions = self.model.eval()(x, y)  # in training a model may draw at random, or change
        for module, training in modes:
            module.training = training
        return {
            "recipe": self.recipe,
            "task": {**dict(enumerate(self.tasks)), "first x": x, "first y": y},
            "model": {**described(self.model), "first predictions": predictions},
        }

    def _look_file(self, step: int) -> Path:
        return self.folder / f"look-{step:06d}.pt"

    def _load(self, file: Path) -> dict[str, Any]:
        return torch.load(file, map_location=self.parameters[0].device, weights_only=True)

    def _prompts(self) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + self.step)
        drawn = [task.sample(self.recipe.batch, self.recipe.n_points, generator=generator) for task in self.tasks]
        device = self.parameters[0].device
        if len(drawn) == 1:
            return drawn[0].x.to(device), drawn[0].y.to(device)
        return torch.stack([p.x for p in drawn]).to(device), torch.stack([p.y for p in drawn]).to(device)

    def _losses(self, predictions: Tensor, y: Tensor) -> Float[Tensor, " model"]:
        every_point = predictions.dim() - (self.n_models > 1) == 2
        errors = predictions - (y if every_point else y[..., -1])
        return 0.5 * errors.square().reshape(self.n_models, -1).mean(1)

    def _clip(self) -> None:
        if self.recipe.clip == math.inf:
            return
        norm = torch.stack([p.grad.flatten(1).square().sum(1) for p in self.parameters]).sum(0).sqrt()
        factor = (self.recipe.clip / norm).clamp(max=1)
        for p in self.parameters:
            p.grad.mul_(factor.view(-1, *[1] * (p.dim() - 1)))
