"""What every place of a run is to be replaced by, worked out before the run is patched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.causal.pairs import Pair
from mechlib.causal.sites import Site
from mechlib.causal.sources import Activations, Caught, Mode, caught_on, replacing
from mechlib.stream.inputs import checked_tokens
from mechlib.stream.running import at_rest, few_sequences


@dataclass(frozen=True)
class Given:
    """What the source gives."""

    values: list[Tensor]
    """For each point of a site, of the shape of its activation in the run that is patched."""
    logits: Float[Tensor, "row *pos d_vocab"] | None
    """What the metric reads in the run that gives, where there is one."""


def given(
    model: TransformerBridge,
    site: Site,
    pair: Pair,
    reference: Int[Tensor, "row pos"] | None,
    generator: torch.Generator | None,
) -> Given:
    """What the source of the pair gives at every place of a site.

    A mean is over rows and positions, of patterns over rows alone; rows of a resampled reference are taken as in
    ``ablate``.

    Raises:
        TypeError: if ``reference`` is no integer tensor.
        ValueError: if it is no token ids of the model, or not wanted; if ``"resample"`` has no other row to take; if
            a mean or another row of patterns is wanted of rows with pads, or of a reference that is too short.
    """
    if pair.giver is not None:
        if reference is not None:
            raise ValueError(f"a reference is of the sources mean and resample; the {pair.source} run needs none")
        return _of_a_run(model, site, pair, pair.giver)
    points = dict.fromkeys(site.points(model), site.rows_and_positions)
    on_tokens = caught_on(model, points, pair.tokens, pair.mask)
    kept = None if reference is None else caught_on(model, points, checked_tokens(model, reference), None)
    replace = replacing(cast(Mode, pair.source), 0, generator)
    values = []
    for layer, name in enumerate(points):
        running = Activations(on_tokens[name], pair.mask)
        on_reference = None if kept is None else Activations(kept[name], None)
        if site.name == "pattern" and pair.source != "zero":
            running, on_reference = _same_keys(running, on_reference)
        if site.name == "pattern" and pair.source == "mean":
            new = (running if on_reference is None else on_reference).values.mean(0)
        else:
            new = replace(layer, running, on_reference)
        values.append(site.rows_and_positions(new.expand_as(running.values)))
    return Given(values, None)


def _of_a_run(model: TransformerBridge, site: Site, pair: Pair, tokens: Int[Tensor, "row pos"]) -> Given:
    caught = Caught(dict.fromkeys(site.points(model), torch.clone))
    with at_rest(model):
        logits = [pair.logits(model, tokens, rows, caught.hooks) for rows in few_sequences(tokens)]
    return Given([caught[name] for name in site.points(model)], torch.cat(logits))


def _same_keys(running: Activations, reference: Activations | None) -> tuple[Activations, Activations | None]:
    """Patterns of a reference cut to the positions of what is run."""
    if running.mask is not None:
        raise ValueError("a mean of patterns, or another row's, is taken position by position: give rows without pads")
    if reference is None:
        return running, None
    n_pos = running.values.shape[1]
    if reference.values.shape[1] < n_pos:
        raise ValueError(f"reference has {reference.values.shape[1]} positions, and what is run has {n_pos}")
    return running, Activations(reference.values[:, :n_pos, :, :n_pos], None)
