"""Language models trained here on Python source."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mechlib import bridge, text
from mechlib.bridge import Shape
from mechlib.training import Updates
from mechlib.zoo.cards import Card
from mechlib.zoo.data import PACKAGES, Batches
from mechlib.zoo.decoder import Decoder
from mechlib.zoo.evaluation import measure, token_losses, windows
from mechlib.zoo.kinds.kind import TrainedKind
from mechlib.zoo.kinds.language_recipes import RECIPES
from mechlib.zoo.recipe import Recipe

CURVE_ROWS = 192
"""Passages of the held-out files on which a line of the log is measured, spread evenly over them."""
MEASURED_ROWS = 400
"""Rows of each kind of text on which a checkpoint is measured."""


class Language(TrainedKind[Decoder, Batches]):
    """A :class:`Decoder` while it trains, a bridge of TransformerLens when it is loaded."""

    word = "language"
    columns = ("layers", "d_model", "heads", "d_mlp", "context")
    legend = "Loss: nats per token on held-out files."
    recipes = RECIPES

    def shape(self, fields: dict[str, Any]) -> Shape:
        return Shape(**fields)

    def sizes(self, card: Card) -> tuple[object, ...]:
        shape = card.shape
        return shape.n_layers, shape.d_model, shape.n_heads, shape.d_mlp or "none", shape.n_ctx

    def build(self, shape: Shape, seed: int) -> Decoder:
        return Decoder(shape, seed)

    def batches(self, recipe: Recipe, cache: Path) -> Batches:
        return Batches(recipe, cache)

    def updates(self, recipe: Recipe, model: Decoder, batches: Batches) -> Updates:
        device = next(model.parameters()).device
        return Updates(
            steps=recipe.steps,
            batch=lambda step: batches[step].to(device),
            losses=next_token_loss,
            optimisers=list(_optimisers(model, recipe)),
            rate=recipe.training.rate,
            clip=lambda: nn.utils.clip_grad_norm_(model.parameters(), 1.0),
        )

    def meter(self, recipe: Recipe, batches: Batches) -> TextMeter:
        return TextMeter(recipe, batches)

    def seen(self, recipe: Recipe) -> int:
        return recipe.data.total * recipe.shape.n_ctx

    def settings(self, recipe: Recipe) -> dict[str, Any]:
        told = {"rows": asdict(recipe.data), **asdict(recipe.training), "seed": recipe.seed}
        return told | {"tokens_per_step": self.seen(recipe), "precision": "bfloat16 autocast, float32 weights"}

    def told(self, recipe: Recipe, batches: Batches) -> dict[str, Any]:
        data: dict[str, Any] = {
            "stdlib": f"CPython {platform.python_version()}, tests included, 7 files of 8",
            "stdlib_tokens": len(batches.stdlib),
            "stdlib_fingerprint": text.fingerprint(text.files("train", tests=True)),
        }
        if recipe.data.packages:
            distributions = importlib.metadata.packages_distributions()
            data["packages"] = {
                f"{name} ({distributions[name][0]})": importlib.metadata.version(distributions[name][0])
                for name in PACKAGES
            }
            data["packages_tokens"] = len(batches.packages)
        return data

    def notes(self, recipe: Recipe) -> tuple[str, ...]:
        rows = recipe.data
        notes = [
            f"Not natural text alone: {rows.repeated} of the {rows.total} rows of every batch "
            f"({rows.repeated / rows.total:.1%}) are random tokens repeated with a random period. They make induction "
            "heads form early; their strength here says nothing about models trained on natural text."
            if rows.repeated
            else f"Natural text alone: none of the {rows.total} rows of a batch are random tokens repeated."
        ]
        if rows.packages:
            notes.append(
                f"{rows.packages} rows of a batch are the source of pinned packages, {rows.stdlib} the standard "
                "library; package files that repeat held-out files were removed."
            )
        if recipe.training.decay_from is None:
            notes.append(
                "The learning rate is constant after the warm-up: no change in training is the schedule's doing."
            )
        return tuple(notes)

    def placed(
        self, card: Card, weights: dict[str, Tensor], *, device: str | torch.device, dtype: torch.dtype
    ) -> bridge.TransformerBridge:
        model = bridge.native(card.shape, weights, name=card.name, device=device, tokenizer=text.for_transformers)
        return model.to(dtype=dtype, print_details=False)


def next_token_loss(model: nn.Module, tokens: Int[Tensor, "row pos"]) -> Float[Tensor, " model"]:
    """Mean loss in nats on every token but the first, from a forward pass in bfloat16."""
    with torch.autocast(tokens.device.type, dtype=torch.bfloat16):
        logits = model(tokens[:, :-1])
    return F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten()).reshape(1)


@dataclass(frozen=True)
class TextMeter:
    """Losses on the held-out files, CPython's tests included, and on the text of training."""

    recipe: Recipe
    batches: Batches

    def line(self, model: Decoder) -> dict[str, float]:
        passages = self._held_out
        return measure(model, self.recipe.shape, passages[:: max(1, len(passages) // CURVE_ROWS)])

    def held_out(self, model: Decoder) -> float:
        return _loss(model, _sample(self._held_out))

    def metrics(self, model: Decoder) -> dict[str, float]:
        found = {
            "held_out": _loss(model, self._held_out),
            "held_out_without_tests": _loss(model, self._cut(text.stream(text.files("held_out")))),
            "training_stdlib": _loss(model, _sample(self._cut(self.batches.stdlib))),
        }
        if self.recipe.data.packages:
            found["training_packages"] = _loss(model, _sample(self._cut(self.batches.packages)))
        return found

    @cached_property
    def _held_out(self) -> Int[Tensor, "row pos"]:
        return self._cut(text.stream(text.files("held_out", tests=True)))

    def _cut(self, stream: Int[Tensor, " pos"]) -> Int[Tensor, "row pos"]:
        return windows(stream, self.recipe.shape.n_ctx + 1)


def _loss(model: nn.Module, rows: Int[Tensor, "row pos"]) -> float:
    return round(token_losses(model, rows).mean().item(), 4)


def _sample(rows: Int[Tensor, "row pos"]) -> Int[Tensor, "row pos"]:
    return rows[:: max(1, len(rows) // MEASURED_ROWS)].long()


def _optimisers(model: nn.Module, recipe: Recipe) -> Iterator[torch.optim.Optimizer]:
    decay = recipe.training.weight_decay
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and name.startswith("layers.")]
    embeddings = [p for name, p in model.named_parameters() if p.dim() == 2 and not name.startswith("layers.")]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    if recipe.training.optimiser == "muon":
        yield torch.optim.Muon(matrices, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
        matrices = []
    groups = [{"params": matrices + embeddings, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    yield torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
