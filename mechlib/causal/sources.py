"""What is put in the place of an activation: zeros, a mean, another row's, or what another run computes there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.stream.hooks import Hook
from mechlib.stream.running import at_rest, few_sequences, run_reading

Mode = Literal["mean", "zero", "resample"]
Mask = Bool[Tensor, "row pos"] | Int[Tensor, "row pos"] | None


@dataclass(frozen=True)
class Activations:
    """What some place of a model computes, and where that is text."""

    values: Float[Tensor, "row pos *rest"]
    mask: Bool[Tensor, "row pos"] | None
    """False at pads; ``None`` where there are none."""


Replace = Callable[[int, Activations, Activations | None], Tensor]
"""``(layer, running, on reference) -> what to put there``, of a shape that broadcasts."""


def replacing(mode: Mode, first_layer: int, generator: torch.Generator | None) -> Replace:
    """What ``mode`` puts in a place; a draw of rows is made at ``first_layer`` and kept for later ones."""
    return _resample(first_layer, generator) if mode == "resample" else {"mean": _mean, "zero": _zero}[mode]


def _mean(layer: int, running: Activations, reference: Activations | None) -> Tensor:
    given = running if reference is None else reference
    return given.values.mean((0, 1)) if given.mask is None else given.values[given.mask].mean(0)


def _zero(layer: int, running: Activations, reference: Activations | None) -> Tensor:
    return torch.zeros_like(running.values)


def _resample(first_layer: int, generator: torch.Generator | None) -> Replace:
    generator = generator or torch.Generator().manual_seed(0)
    rows = torch.empty(0, dtype=torch.long)

    def replace(layer: int, running: Activations, reference: Activations | None) -> Tensor:
        nonlocal rows
        batch, pos = running.values.shape[:2]
        if layer == first_layer:
            rows = _other_rows(batch, None if reference is None else len(reference.values), generator)
        if reference is None:
            if running.mask is not None:
                raise ValueError("resample takes another row's outputs: rows with pads need a reference without")
            return running.values[rows]
        positions = torch.arange(pos).expand(batch, -1) if running.mask is None else running.mask.long().cumsum(1) - 1
        if reference.values.shape[1] <= (longest := int(positions.max())):
            raise ValueError(f"reference has {reference.values.shape[1]} positions, and what is run has {longest + 1}")
        return reference.values[rows[:, None], positions.clamp(min=0).cpu()]

    return replace


def _other_rows(batch: int, n_reference: int | None, generator: torch.Generator) -> Int[Tensor, " batch"]:
    """For each row the one that it takes: of the reference, or of the batch along one random cycle through it."""
    if n_reference is not None:
        return torch.randint(n_reference, (batch,), generator=generator)
    if batch < 2:
        raise ValueError("resample takes another row: run at least two, or give a reference")
    cycle = torch.randperm(batch, generator=generator)
    return torch.empty_like(cycle).scatter_(0, cycle, cycle.roll(1))


class Caught:
    """What passes through hook points while a model runs, kept as it was."""

    def __init__(self, points: Mapping[str, Callable[[Tensor], Tensor]]) -> None:
        """Of the activation at each point, ``[row, ...]``, what its function picks is kept."""
        self._parts: dict[str, list[Tensor]] = {name: [] for name in points}
        self.hooks: list[tuple[str, Hook]] = [(name, self._catching(name, pick)) for name, pick in points.items()]

    def _catching(self, name: str, pick: Callable[[Tensor], Tensor]) -> Hook:
        def catch(activation: Tensor, hook: object) -> None:
            self._parts[name].append(pick(activation).detach().clone())

        return catch

    def __getitem__(self, name: str) -> Tensor:
        return torch.cat(self._parts[name])


def caught_on(
    model: TransformerBridge,
    points: Mapping[str, Callable[[Tensor], Tensor]],
    tokens: Int[Tensor, "row pos"],
    mask: Bool[Tensor, "row pos"] | None,
) -> Caught:
    """What passes through ``points`` in a run on ``tokens``, of which nothing else is wanted."""
    caught = Caught(points)
    with at_rest(model):
        for rows in few_sequences(tokens):
            run_reading(model, tokens[rows], caught.hooks, None if mask is None else mask[rows])
    return caught
