"""What a kind of model is: everything in which models of the zoo differ, so that nothing else has to ask.

The loop, the folder of a run, the card, the files and their hashes are the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from mechlib.training import Updates
from mechlib.zoo import files
from mechlib.zoo.cards import Card
from mechlib.zoo.recipe import Recipe

Model = TypeVar("Model", bound=nn.Module)
"""What a kind trains."""
Measured = TypeVar("Measured", bound=nn.Module, contravariant=True)


class Batches(Protocol):
    """The batches of a recipe."""

    def __getitem__(self, step: int) -> Any:
        """The batch of update number ``step``, from 0: the same at every call."""
        ...


Made = TypeVar("Made", bound=Batches)
"""The batches of a kind."""


class Meter(Protocol[Measured]):
    """What is measured of the models of one recipe, on data that no batch holds."""

    def line(self, model: Measured) -> dict[str, float]:
        """A line of the log, while the model trains."""
        ...

    def held_out(self, model: Measured) -> float:
        """The loss that stands beside a checkpoint."""
        ...

    def metrics(self, model: Measured) -> dict[str, float]:
        """What the card says of the last weights."""
        ...


class Kind(ABC):
    """One kind of model: how its weights become a model in memory, and how it is listed."""

    word: ClassVar[str]
    """What cards and ``zoo.names`` call it."""
    columns: ClassVar[tuple[str, ...]]
    """The sizes in the table of ``mechlib zoo list``, by their headings."""
    legend: ClassVar[str]
    """What is said below the table."""
    recipes: ClassVar[Mapping[str, Recipe]] = {}
    """By name; none of a kind that is not trained here."""

    @abstractmethod
    def shape(self, fields: dict[str, Any]) -> Any:
        """The sizes, from the fields that ``dataclasses.asdict`` made of them."""

    @abstractmethod
    def sizes(self, card: Card) -> tuple[object, ...]:
        """What stands in ``columns``."""

    @abstractmethod
    def load(self, card: Card, step: int | None, *, device: str | torch.device, dtype: torch.dtype) -> nn.Module:
        """The model of a card in eval mode, after ``step`` updates; the last weights for ``None``.

        Raises:
            ValueError: if there are no weights of that step, or a file is damaged; the message names it.
        """


class TrainedKind(Kind, Generic[Model, Made]):
    """A kind that is trained from recipes: what its batches, losses and measures are."""

    @abstractmethod
    def build(self, shape: Any, seed: int) -> Model:
        """What is trained, before it is; the seed decides its weights."""

    @abstractmethod
    def batches(self, recipe: Recipe, cache: Path) -> Made:
        """The batches of a recipe. ``cache`` is a folder for what several runs can share, made when missing."""

    @abstractmethod
    def updates(self, recipe: Recipe, model: Model, batches: Made) -> Updates:
        """What the loop makes updates of."""

    @abstractmethod
    def meter(self, recipe: Recipe, batches: Made) -> Meter[Model]:
        """What measures the models of a recipe."""

    @abstractmethod
    def seen(self, recipe: Recipe) -> int:
        """Tokens or examples that each model sees in one update."""

    @abstractmethod
    def settings(self, recipe: Recipe) -> dict[str, Any]:
        """The recipe as its card keeps it."""

    @abstractmethod
    def told(self, recipe: Recipe, batches: Made) -> dict[str, Any]:
        """What the card says of the data."""

    @abstractmethod
    def notes(self, recipe: Recipe) -> tuple[str, ...]:
        """What a user must know, before the recipe's own remarks."""

    def outputs(self, recipe: Recipe, models: Iterator[Model]) -> dict[str, Tensor]:
        """What ships of a recipe that stores outputs: predictions of its ``models``, one for each look."""
        raise TypeError(f"models of kind {self.word!r} store no outputs, as {recipe.name} would")

    @abstractmethod
    def placed(
        self, card: Card, weights: dict[str, Tensor], *, device: str | torch.device, dtype: torch.dtype
    ) -> nn.Module:
        """The model in eval mode with these weights, each given once."""

    def load(self, card: Card, step: int | None, *, device: str | torch.device, dtype: torch.dtype) -> nn.Module:
        checkpoint = card.checkpoint(step)
        if checkpoint.step:
            weights = files.tensors(card, checkpoint.file)
        else:
            weights = files.weights_once(self.build(card.shape, card.recipe["seed"]))
        return self.placed(card, weights, device=device, dtype=dtype)
