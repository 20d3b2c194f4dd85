"""One stream of prompts from several families of functions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from mechlib.icl.tasks import Task


@dataclass(frozen=True)
class Mixture(Task):
    """Several families in turn: prompt ``j`` of a batch is of family ``j % len(families)``, its values scaled.

    ``task`` holds what was drawn for each family, in their order: that of family ``i`` belongs to the prompts
    ``i, i + len(families), ...``. Noise is the mixture's own, added after scaling.
    """

    families: tuple[Task, ...] = ()
    scales: tuple[float, ...] = ()
    """What the values of each family are multiplied by."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.families or len(self.families) != len(self.scales):
            raise ValueError(
                f"a mixture needs families and a scale for each, got {len(self.families)} and {len(self.scales)}"
            )
        if odd := [family for family in self.families if family.d != self.d or family.noise]:
            raise ValueError(f"families have the mixture's dimension, {self.d}, and no noise of their own: {odd[0]}")

    def draw_task(self, batch: int, generator: Generator) -> tuple:
        n = len(self.families)
        if batch < n:
            raise ValueError(f"a batch of {n} families has at least {n} prompts, got {batch}")
        return tuple(family.draw_task(len(range(i, batch, n)), generator) for i, family in enumerate(self.families))

    def evaluate(self, task: tuple, x: Float[Tensor, "batch n_points d"]) -> Float[Tensor, "batch n_points"]:
        n, y = len(self.families), torch.empty_like(x[..., 0])
        for i, (family, drawn, scale) in enumerate(zip(self.families, task, self.scales, strict=True)):
            y[i::n] = scale * family.evaluate(drawn, x[i::n])
        return y
