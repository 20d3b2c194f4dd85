"""The single places of a site that are patched, the hooks that do it, and where what is found belongs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.causal.metrics import Metric, evaluated, label
from mechlib.causal.pairs import Pair
from mechlib.causal.replacements import Given
from mechlib.causal.results import PatchingResult, position_labels
from mechlib.causal.sites import Site, Unit
from mechlib.causal.sweep import HooksOf
from mechlib.stream.hooks import Hook
from mechlib.stream.inputs import Positions, checked_positions


@dataclass(frozen=True)
class Cells:
    """The places to patch, each a unit of a site at some positions."""

    site: Site
    units: Int[Tensor, "cell axis"]
    positions: Int[Tensor, "cell pos"]
    group: Int[Tensor, " cell"]
    """Where each stands along the axis of positions."""
    selected: Int[Tensor, " selected"]
    by_position: bool

    def where(self, chosen: Bool[Tensor, " cell"]) -> Cells:
        """Some of the cells."""
        return replace(self, units=self.units[chosen], positions=self.positions[chosen], group=self.group[chosen])

    def hooks_of(self, points: list[str], new: list[Tensor]) -> HooksOf:
        """Hooks that put what is given for each point in the place of each variant's cell."""

        def hooks_of(variant: Int[Tensor, " chosen"], row: Int[Tensor, " chosen"]) -> list[tuple[str, Hook]]:
            layers = self.units[variant, 0]
            return [
                (points[layer], self._patching(variant, row, layers == layer, new[layer]))
                for layer in layers.unique().tolist()
            ]

        return hooks_of

    def _patching(self, variant: Tensor, row: Tensor, here: Tensor, values: Tensor) -> Hook:
        batch = here.nonzero()[:, 0]
        cell = variant[here]
        heads, positions = self.units[cell, -1], self.positions[cell]
        to, source = (self.site.index(rows, positions, heads) for rows in (batch, row[here]))

        def patch(activation: Tensor, hook: object) -> Tensor:
            patched = activation.clone()
            patched[to] = values[source].to(activation.dtype)
            return patched

        return patch

    def result(
        self,
        model: TransformerBridge,
        pair: Pair,
        metric: Metric,
        values: Float[Tensor, "cell row"],
        base: Float[Tensor, " row"],
        new: Given,
    ) -> PatchingResult:
        """The values in their places; NaN at others, and at pads.

        Raises:
            ValueError: if the metric is not finite in a run.
        """
        giver = None if new.logits is None else evaluated(metric, new.logits)
        self._require_finite(metric, {"run that is patched": base, "run that gives": giver, "patched runs": values})
        shape = (*self.site.shape(model), *([len(self.selected)] if self.by_position else []))
        every = values.new_full((*shape, values.shape[1]), torch.nan)
        place = (*self.units.unbind(1), self.group) if self.by_position else self.units.unbind(1)
        every[place] = values
        if self.by_position and pair.mask is not None:
            every = every.masked_fill(~pair.mask[:, self.selected].T, torch.nan)
        labels = self.site.labels(model)
        if self.by_position:
            of_all = position_labels(model, pair.tokens)
            labels |= {"pos": tuple(of_all[position] for position in self.selected.tolist())}
        return PatchingResult(
            axes=("row", *labels),
            labels=labels,
            values=every.movedim(-1, 0),
            base=base,
            giver=giver,
            metric=label(metric),
            title=f"{self.site.name}: {pair.source} into {pair.into}",
        )

    def _require_finite(self, metric: Metric, runs: Mapping[str, Float[Tensor, "*cell row"] | None]) -> None:
        """NaN is what a result has where nothing was patched, and infinity less infinity would be that too."""
        for name, found in runs.items():
            if found is None or found.isfinite().all():
                continue
            *cell, row = (~found.isfinite()).nonzero()[0].tolist()
            numbers = [*zip(self.site.axes, self.units[cell[0]].tolist(), strict=True)] if cell else []
            where = "".join(f", {axis} {number}" for axis, number in numbers)
            raise ValueError(
                f"the {label(metric)} is {found[(*cell, row)].item()} in the {name}, for row {row}{where}: it is a "
                f"finite number for every row, off logits that are finite where it reads"
            )


def checked_cells(
    model: TransformerBridge,
    site: Site,
    pair: Pair,
    only: Iterable[Unit] | None,
    positions: Positions,
    *,
    by_position: bool,
) -> Cells:
    """The cells of a site at the positions that are selected, in the order of their layers."""
    units = site.units(model, only).to(pair.tokens.device)
    selected = checked_positions(positions, pair.tokens.shape[1]).to(pair.tokens.device)
    groups = selected[:, None] if by_position else selected[None]
    unit, group = torch.cartesian_prod(torch.arange(len(units)), torch.arange(len(groups))).T
    return Cells(site, units[unit], groups[group], group.to(units.device), selected, by_position)
