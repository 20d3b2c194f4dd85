"""Training a model of the zoo: resumable, reproducible from its recipe, with progress throughout."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Int
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm.auto import tqdm

from mechlib import text
from mechlib.bridge import resolve_device
from mechlib.icl.runs import STATE, claim, write
from mechlib.zoo.cards import Card, unknown_model
from mechlib.zoo.data import Batches
from mechlib.zoo.decoder import Decoder
from mechlib.zoo.evaluation import measure, windows
from mechlib.zoo.recipes import RECIPES, Recipe
from mechlib.zoo.regression_recipes import REGRESSIONS
from mechlib.zoo.regression_train import train_regression
from mechlib.zoo.release import LOG, weights_file, write_card

SAVE_EVERY = 250
CURVE_ROWS = 192


def train(name: str, *, folder: Path, device: str = "auto", progress: bool = True) -> Card:
    """Train a model of the zoo from its recipe, or go on from where an earlier run in ``folder`` stopped.

    Args:
        folder: holds the run while it trains, and its weights and card afterwards.

    Returns:
        The card, as written to ``folder / "card.json"``.

    Raises:
        ValueError: for a name without a recipe, with the nearest ones; for a folder that holds another run, with what
            differs.
    """
    if name in REGRESSIONS:
        return train_regression(REGRESSIONS[name], folder=Path(folder), device=device, progress=progress)
    if name not in RECIPES:
        raise ValueError(unknown_model(name, (*RECIPES, *REGRESSIONS)))
    trainer = Trainer(RECIPES[name], Path(folder), device=str(resolve_device(device)), progress=progress)
    trainer.run()
    return write_card(trainer.recipe, trainer.batches, trainer.folder)


@dataclass
class Trainer:
    """One run of a recipe in a folder of its own.

    The folder holds ``run.pt`` (the recipe and the first batch, by which another run is told and refused), ``state.pt``
    (all that a resumed run needs, rewritten every 250 steps), ``metrics.jsonl`` (one line of ``evaluation.measure`` per
    250 steps and per checkpoint) and ``step-NNNNNN.safetensors`` (half precision) for each checkpoint of the recipe.
    """

    recipe: Recipe
    folder: Path
    device: str = "cpu"
    progress: bool = True

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.batches = Batches(self.recipe, self.folder.parent / "tokens")
        self.model = Decoder(self.recipe.shape, self.recipe.seed).to(self.device)
        self.optimisers = list(_optimisers(self.model, self.recipe))
        self.step = 0
        settings = {
            name: value for name, value in vars(self.recipe).items() if name not in ("name", "about", "remarks")
        }
        claim(self.folder, {"recipe": settings, "text": self.batches[0]})
        if (state := self.folder / STATE).exists():
            self._restore(torch.load(state, map_location=self.device))

    def run(self, until: int | None = None) -> None:
        """Train to the step ``until``, or to the end of the recipe."""
        end = self.recipe.steps if until is None else min(until, self.recipe.steps)
        bar = tqdm(
            total=self.recipe.steps, initial=self.step, desc=self.recipe.name, disable=not self.progress, mininterval=5
        )
        if self.step == 0:
            self._log()
        while self.step < end:
            loss = self._update()
            bar.update()
            if shipped := self.step in self.recipe.checkpoints:
                self._export()
            if (due := self.step % SAVE_EVERY == 0 or self.step == end) or shipped:
                measured = self._log()
            if due:
                bar.set_postfix(loss=f"{loss:.3f}", held_out=f"{measured['held_out']:.3f}")
                self._save()
        bar.close()

    @cached_property
    def _curve(self) -> Int[Tensor, "row pos"]:
        held_out = windows(text.stream(text.files("held_out", tests=True)), self.recipe.shape.n_ctx + 1)
        return held_out[:: max(1, len(held_out) // CURVE_ROWS)]

    def _update(self) -> float:
        tokens = self.batches[self.step].to(self.device)
        with torch.autocast(self.device, dtype=torch.bfloat16):
            logits = self.model(tokens[:, :-1])
        loss = F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
            for group in optimiser.param_groups:
                group["lr"] = self.recipe.rate(self.step)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
        self.step += 1
        return loss.item()

    def _save(self) -> None:
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }
        write(state, self.folder / STATE)

    def _restore(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step = state["step"]

    def _export(self) -> None:
        state = self.model.state_dict()
        if self.recipe.shape.tied:
            del state["head.weight"]
        save_file(
            {key: value.half().cpu().contiguous() for key, value in state.items()},
            self.folder / weights_file(self.step),
        )

    def _log(self) -> dict[str, float]:
        line = {"step": self.step, "time": time.time(), **measure(self.model, self.recipe.shape, self._curve)}
        with (self.folder / LOG).open("a") as log:
            log.write(json.dumps(line) + "\n")
        return line


def _optimisers(model: nn.Module, recipe: Recipe) -> Iterator[torch.optim.Optimizer]:
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and name.startswith("layers.")]
    embeddings = [p for name, p in model.named_parameters() if p.dim() == 2 and not name.startswith("layers.")]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    if recipe.optimiser == "muon":
        yield torch.optim.Muon(matrices, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw")
        matrices = []
    elif recipe.optimiser != "adamw":
        raise ValueError(f"optimiser is 'adamw' or 'muon', not {recipe.optimiser!r}")
    groups = [
        {"params": matrices + embeddings, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    yield torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
