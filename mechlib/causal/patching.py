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

import torch
from jaxtyping import Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.causal.cells import checked_cells
from mechlib.causal.metrics import Metric
from mechlib.causal.pairs import Into, Source, checked_pair
from mechlib.causal.replacements import given
from mechlib.causal.results import PatchingResult
from mechlib.causal.sites import SiteName, Unit, checked_site
from mechlib.causal.sources import Mask
from mechlib.causal.sweep import metric_of_run, metrics_of_variants
from mechlib.stream.inputs import Positions


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
    only: Iterable[Unit] | None = None,
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
            and positions (of patterns over rows alone), or another row's (``"resample"``), the same row for all places.
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
    hooks_of = cells.hooks_of(place.points(model), new.values)
    values = metrics_of_variants(model, pair, len(cells.units), hooks_of, metric, progress=progress)
    return cells.result(model, pair, metric, values, metric_of_run(model, pair, metric), new)
