"""What builds a model that learns regression in context: sizes and a seed, as a card keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mechlib.icl.linear_attention import LinearSelfAttention
from mechlib.icl.models import Architecture, ICLTransformer

RegressionModel = ICLTransformer | LinearSelfAttention


@dataclass(frozen=True)
class LinearLayers:
    """Sizes of a ``LinearSelfAttention``."""

    d: int
    """Dimension of the inputs."""
    n_layers: int = 1
    looped: bool = False
    """Whether all layers share their weights."""


@dataclass(frozen=True)
class Regressor:
    """One model of regression, or a population of models that trained together."""

    sizes: Architecture | LinearLayers
    """Those of an ``ICLTransformer``, or of a ``LinearSelfAttention``."""
    n_models: int = 1

    def build(self, seed: int) -> RegressionModel:
        """The untrained model; the seed decides its weights."""
        if isinstance(self.sizes, Architecture):
            return ICLTransformer(self.sizes, seed=seed, n_models=self.n_models)
        return LinearSelfAttention(
            self.sizes.d, n_layers=self.sizes.n_layers, looped=self.sizes.looped, n_models=self.n_models, seed=seed
        )

    @property
    def parameters(self) -> int:
        """How many numbers training sets in each model."""
        return sum(p.numel() for p in self.build(0).parameters()) // self.n_models


def regressor(fields: dict[str, Any]) -> Regressor:
    """A ``Regressor`` from the fields that ``dataclasses.asdict`` made of it."""
    kind = LinearLayers if "looped" in fields["sizes"] else Architecture
    return Regressor(kind(**fields["sizes"]), fields["n_models"])
