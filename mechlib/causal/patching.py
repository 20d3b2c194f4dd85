"""Activation patching: which places carry what makes two prompts differ.

The model runs on one prompt while an activation at one place is replaced by its value on the other prompt, and a metric
of the logits says how far that goes towards the other answer (Meng et al. 2022; Zhang and Nanda, "Towards Best
Practices of Activation Patching", 2023, arXiv:2309.16042). Clean into corrupt is called denoising: what a place
suffices for. Corrupt into clean is noising: what it is needed for.

Two heads of this model look back at what followed the present token before. In the corrupt prompt something else
followed, and what these heads hand on at the last position brings the clean answer back:

>>> import torch
>>> from mechlib import zoo
>>> from mechlib.causal.metrics import logit_difference
>>> model = zoo.load("code-2l", device="cpu")
>>> clean = torch.randint(300, 2000, (1, 12), generator=torch.Generator().manual_seed(0))[:, [*range(12), 5]]
>>> corrupt = clean.clone()
>>> corrupt[:, 6] = 1234
>>> metric = logit_difference(clean[:, 6], 1234)
>>> patched = activation_patching(model, clean, corrupt, metric, site="head", positions=-1, progress=False)
>>> print(f"{patched.base.item():.1f} {patched.giver.item():.1f}")
-3.0 2.8
>>> for cell in patched.largest(2):
...     print(cell, f"{patched.mean()[tuple(cell.values())]:.1f}")
{'layer': 1, 'head': 2, 'pos': 0} 3.3
{'layer': 1, 'head': 1, 'pos': 0} 2.1
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.causal.metrics import Metric, evaluated, label
from mechlib.causal.pairs import Into, Pair, Source, checked_pair
from mechlib.causal.replacements import Given, given
from mechlib.causal.results import PatchingResult, position_labels
from mechlib.causal.sites import Site, SiteName, checked_site
from mechlib.causal.sources import Mask
from mechlib.causal.sweep import HooksOf, metric_of_run, metrics_of_variants
from mechlib.places import Head
from mechlib.stream.hooks import Hook
from mechlib.stream.inputs import Positions, checked_positions


def activation_patching(
    model: TransformerBridge,
    clean: Int[Tensor, "row pos"],
    corrupt: Int[Tensor, "row pos"] | None,
    metric: Metric,
    *,
    site: SiteName = "residual",
    source: Source = "clean",
    into: Into | None = None,
    by_position: bool = True,
    positions: Positions = None,
    only: Iterable[int | Head] | None = None,
    at: int | None = -1,
    reference: Int[Tensor, "row pos"] | None = None,
    generator: torch.Generator | None = None,
    attention_mask: Mask = None,
    progress: bool = True,
) -> PatchingResult:
    """The metric with one place patched, for every place of a site: one run more of each row for each of them.

    Patched runs share the batch of a forward pass, and only what the metric reads is unembedded. The model runs in eval
    mode without gradients; its weights, mode and hooks are left as they were.

    Agrees with the functions ``get_act_patch_resid_pre``, ``_mlp_out``, ``_attn_head_out_by_pos``,
    ``_attn_head_out_all_pos``, ``_attn_head_pattern_by_pos`` and ``_attn_head_pattern_all_pos`` of
    ``transformer_lens.patching``, which run one place at a time and know no pads; ``"residual"`` has the last entry
    besides, where all positions together are the whole run. Keys and values may be shared by heads: what a head hands
    on is its own.

    Args:
        clean, corrupt: token ids ``[row, pos]`` of one shape; ``corrupt`` may be ``None`` where it takes no part.
        metric: a function of logits, as in ``mechlib.causal.metrics``.
        site: ``"residual"`` stream entries, outputs of a ``"head"`` before ``W_O``, the attention ``"pattern"`` of a
            head by query position, or what an ``"mlp"`` adds.
        source: what is put there: the ``"clean"`` or ``"corrupt"`` run's, zeros (``"zero"``), the ``"mean"`` over rows
            and positions, or another row's (``"resample"``), the same row for all places.
        into: the run that is patched: the other one of the two, or the clean one.
        by_position: patch each position by itself; ``False`` patches them together, in one run for each place.
        positions: those to patch; all when left out, and negative ones count from the end.
        only: the entries or layers, or the heads ``(layer, head)``, to patch; all when left out.
        at: the position whose logits the metric gets, ``[row, d_vocab]``, counted among a row's tokens: the last when
            left out. ``None``: all positions, ``[row, pos, d_vocab]``, NaN at pads.
        reference: token ids without pads for ``"mean"`` and ``"resample"``; without one, of the rows that are patched.
        generator: on the CPU, of the rows that ``"resample"`` draws; seeded with 0 when left out.
        attention_mask: for rows of unequal length, as for ``mechlib.stream.logit_lens``, the same for both prompts.
        progress: show a bar.

    Raises:
        TypeError: if tokens, positions or places are no integers; if the metric gives no floating-point tensor.
        ValueError: if prompts, mask, positions, places, ``site``, ``source``, ``into`` or ``at`` do not fit the model
            or each other; if the metric does not give one number for each row; if the model has no such places, or
            shows patterns that it does not use; if ``"mean"`` or ``"resample"`` has nothing to take.
    """
    place = checked_site(model, site)
    pair = checked_pair(model, clean, corrupt, source=source, into=into, at=at, attention_mask=attention_mask)
    cells = checked_cells(model, place, pair, only, positions, by_position=by_position)
    new = given(model, place, pair, reference, generator)
    hooks_of = cells.hooks_of(place.points(model), new)
    values = metrics_of_variants(model, pair, len(cells.units), hooks_of, metric, progress=progress)
    return cells.result(model, pair, metric, values, metric_of_run(model, pair, metric), new)


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

    def hooks_of(self, points: list[str], new: Given) -> HooksOf:
        """Hooks that put what is given in the place of each variant's cell."""

        def hooks_of(variant: Int[Tensor, " chosen"], row: Int[Tensor, " chosen"]) -> list[tuple[str, Hook]]:
            layers = self.units[variant, 0]
            return [
                (points[layer], self._patching(variant, row, layers == layer, new.values[layer]))
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
        """The values in their places; NaN at others, and at pads."""
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
            giver=None if new.logits is None else evaluated(metric, new.logits),
            metric=label(metric),
            title=f"{self.site.name}: {pair.source} into {pair.into}",
        )


def checked_cells(
    model: TransformerBridge,
    site: Site,
    pair: Pair,
    only: Iterable[int | Head] | None,
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
