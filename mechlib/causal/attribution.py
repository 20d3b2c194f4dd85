"""Attribution patching: what exact patching would find if the metric were linear in every activation.

To first order, putting ``a'`` in the place of ``a`` changes the metric by ``(a' - a)`` times its gradient at ``a``
(Nanda 2023; Syed et al. 2023, arXiv:2310.10348; Kramár et al. 2024, arXiv:2403.00745). One run that gives, and one run
that is patched with its gradient, estimate every place of every layer at once. The estimate is exact where what follows
is linear, as from the last entry to a logit difference without the final norm, and poor where attention or a norm
saturates; so the places that it finds are patched in earnest beside it:

>>> import torch
>>> from mechlib import zoo
>>> from mechlib.causal.metrics import logit_difference
>>> from mechlib.causal.patching import activation_patching
>>> model = zoo.load("code-2l", device="cpu")
>>> clean = torch.randint(300, 2000, (1, 12), generator=torch.Generator().manual_seed(0))[:, [*range(12), 5]]
>>> corrupt = clean.clone()
>>> corrupt[:, 6] = 1234
>>> metric = logit_difference(clean[:, 6], 1234)
>>> here = {"site": "head", "positions": -1}
>>> estimate = attribution_patching(model, clean, corrupt, metric, **here)
>>> exact = activation_patching(model, clean, corrupt, metric, **here, only=estimate.largest(3), progress=False)
>>> print(estimate.beside(exact))
place: logit difference (nats)  to first order  exact
layer 1, head 2, pos ·using               3.33   3.31
layer 1, head 1, pos ·using               2.03   2.06
layer 1, head 3, pos ·using              0.316  0.306
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.bridge.norms import at_least_single
from mechlib.causal.cells import Cells, checked_cells
from mechlib.causal.metrics import Metric, evaluated, label
from mechlib.causal.pairs import Into, Pair, Source, checked_pair, turned_left
from mechlib.causal.replacements import Given, given
from mechlib.causal.results import PatchingResult
from mechlib.causal.sites import Site, SiteName, Unit, checked_site
from mechlib.causal.sources import Mask
from mechlib.stream.hooks import Hook
from mechlib.stream.inputs import Positions
from mechlib.stream.running import at_rest, few_sequences


@torch.inference_mode(False)
def attribution_patching(
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
) -> PatchingResult:
    """The metric with one place patched, to first order, for every place of a site.

    Costs a forward pass of the run that gives, and a forward and a backward pass of the run that is patched, whatever
    the number of places; the backward pass takes no gradients of weights. Of places together
    (``by_position=False``) the estimate is the sum of theirs. What a caller's hook keeps from the metric has no slope.

    Agrees with ``attribution_patch`` of ``transformer_lens.tools.analysis`` on heads and MLPs, which wants MLPs and
    knows neither entries nor patterns nor pads.

    Args and errors are those of :func:`mechlib.causal.activation_patching`, and one more:

    Raises:
        ValueError: if the metric has no gradient.
    """
    place = checked_site(model, site)
    pair = checked_pair(model, clean, corrupt, source=source, into=into, at=at, attention_mask=attention_mask)
    cells = checked_cells(model, place, pair, only, positions, by_position=by_position)
    behind, turns = pair.padded_behind()
    new = given(model, place, behind, reference, generator)
    effects, base = _first_order(model, place, behind, new, metric)
    effects = torch.stack([_turned_back(of_point, turns) for of_point in effects])
    result = cells.result(model, pair, metric, base + _of_cells(cells, effects), base, new)
    return replace(result, title=f"{result.title}, to first order")


def _turned_back(effects: Float[Tensor, "row pos *head"], turns: Int[Tensor, " row"]) -> Tensor:
    """The effects at the positions that their tokens had."""
    rows_last = effects.reshape(*effects.shape[:2], -1)
    return torch.stack([turned_left(of_head, -turns) for of_head in rows_last.unbind(-1)], -1).view_as(effects)


def _of_cells(cells: Cells, effects: Float[Tensor, "point row pos *head"]) -> Float[Tensor, "cell row"]:
    """The effect at each cell, summed over its positions."""
    at_units = effects[cells.units[:, 0]]
    if cells.site.of_heads:
        at_units = at_units[torch.arange(len(cells.units), device=effects.device), ..., cells.units[:, 1]]
    return at_units.gather(2, cells.positions[:, None].expand(-1, at_units.shape[1], -1)).sum(2)


def _first_order(
    model: TransformerBridge, site: Site, pair: Pair, new: Given, metric: Metric
) -> tuple[Float[Tensor, "point row pos *head"], Float[Tensor, " row"]]:
    """What the metric changes by to first order, at every place of the site, and the metric as it is."""
    effects, base = [], []
    with at_rest(model):
        for rows in few_sequences(pair.tokens):
            kept = _Kept(site.points(model))
            with torch.enable_grad():
                values = _of_rows(metric, pair.logits(model, pair.tokens, rows, kept.hooks), rows, len(pair.tokens))
                if not values.requires_grad:
                    raise ValueError(f"attribution follows the gradient of the metric, and {label(metric)} has none")
                gradients = torch.autograd.grad(
                    values.sum(), kept.activations, allow_unused=True, materialize_grads=True
                )
            base.append(values.detach())
            effects.append(
                torch.stack(
                    [
                        _effect(site, to[rows], activation.detach(), gradient)
                        for to, activation, gradient in zip(new.values, kept.activations, gradients, strict=True)
                    ]
                )
            )
    every = torch.cat(effects, 1)
    if pair.mask is not None:
        every = every.masked_fill(~pair.mask.reshape(1, *pair.mask.shape, *[1] * (every.dim() - 3)), 0.0)
    return every, torch.cat(base)


def _effect(site: Site, new: Tensor, old: Tensor, gradient: Tensor) -> Float[Tensor, "row pos *head"]:
    change = at_least_single(new) - at_least_single(old)
    return site.rows_and_positions((change * gradient).sum(-1))


def _of_rows(
    metric: Metric, logits: Float[Tensor, "chosen *pos d_vocab"], rows: slice, n_rows: int
) -> Float[Tensor, " chosen"]:
    """The metric of some rows, which depends on their logits alone; those of the other rows are 0 here."""
    every = logits.new_zeros(n_rows, *logits.shape[1:])
    every[rows] = logits
    return evaluated(metric, every)[rows]


class _Kept:
    """The activations of a run at some points, such that gradients can be taken with respect to them."""

    def __init__(self, points: list[str]) -> None:
        self.activations: list[Tensor] = []
        self.hooks: list[tuple[str, Hook]] = [(name, self._keep) for name in points]

    def _keep(self, activation: Tensor, hook: object) -> Tensor:
        kept = activation if activation.requires_grad else activation.detach().requires_grad_()
        self.activations.append(kept)
        return kept
