"""Running a model without some of its heads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge, require_bridge
from mechlib.heads.patterns import Head
from mechlib.running import (
    Hook,
    at_rest,
    checked_tokens,
    few_sequences,
    head_output_hooks,
    require_head,
    run_reading,
)

Mode = Literal["mean", "zero", "resample"]
Outputs = Float[Tensor, "batch pos head d_head"]


@contextmanager
def ablate(
    model: TransformerBridge,
    heads: Iterable[Head],
    *,
    mode: Mode = "mean",
    reference: Int[Tensor, "row pos"] | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[TransformerBridge]:
    """Inside the ``with`` block, every forward pass replaces what ``heads`` hand to ``W_O``.

    - ``"mean"``: by each head's mean output over the rows and positions of a run on ``reference``; without one, over
      those of the running batch, later positions included.
    - ``"zero"``: by zeros.
    - ``"resample"``: by the outputs at the same positions in another row, the same row for all heads: one of
      ``reference``, drawn for every row in every pass; without one, the running batch's rows trade places, and none
      keeps its own.

    The run on ``reference`` is made on entry, with the hooks that are there then: a block inside another measures it
    with the outer block's heads ablated. Blocks nest; leaving one removes its hooks and no others, also after an
    exception. Gradients flow as they would without the hooks, except through the replaced outputs of ``reference``.

    Args:
        heads: pairs ``(layer, head)``; none at all leaves the model as it is.
        reference: token ids ``[row, pos]``, for ``"resample"`` at least as long as what is run.
        generator: on the CPU, of the draws of ``"resample"``; seeded with 0 when left out.

    Raises:
        TypeError: if ``reference`` is no integer tensor.
        ValueError: if a head is out of range, or ``mode`` is unknown; if ``reference`` is no token ids of the model;
            inside the block, if ``"resample"`` has no other row to take, or ``reference`` is too short.
    """
    if mode not in get_args(Mode):
        raise ValueError(f"mode is one of {', '.join(get_args(Mode))}, not {mode!r}")
    by_layer = _by_layer(model, heads)
    names = head_output_hooks(model)
    kept = {} if reference is None else _outputs(model, by_layer, reference)
    replace = {"mean": _mean, "zero": _zero, "resample": _resample(min(by_layer, default=0), generator)}[mode]
    hooks = [(names[layer], _replacing(chosen, replace, layer, kept.get(layer))) for layer, chosen in by_layer.items()]
    with model.hooks(fwd_hooks=hooks):
        yield model


Replace = Callable[[int, Outputs, Outputs | None], Tensor]
"""``(layer, running outputs, outputs on reference) -> what to put there``, of a shape that broadcasts."""


def _mean(layer: int, running: Outputs, reference: Outputs | None) -> Tensor:
    return (running if reference is None else reference).mean((0, 1))


def _zero(layer: int, running: Outputs, reference: Outputs | None) -> Tensor:
    return torch.zeros_like(running)


def _resample(first_layer: int, generator: torch.Generator | None) -> Replace:
    """Rows are drawn at the first ablated layer of a forward pass, and kept for its other layers."""
    generator = generator or torch.Generator().manual_seed(0)
    rows = torch.empty(0, dtype=torch.long)

    def replace(layer: int, running: Outputs, reference: Outputs | None) -> Tensor:
        nonlocal rows
        if layer == first_layer:
            rows = _other_rows(len(running), None if reference is None else len(reference), generator)
        if reference is None:
            return running[rows]
        pos = running.shape[1]
        if reference.shape[1] < pos:
            raise ValueError(f"reference has {reference.shape[1]} positions, and what is run has {pos}")
        return reference[rows, :pos]

    return replace


def _other_rows(batch: int, n_reference: int | None, generator: torch.Generator) -> Int[Tensor, " batch"]:
    """For each row the one that it takes: of the reference, or of the batch along one random cycle through it."""
    if n_reference is not None:
        return torch.randint(n_reference, (batch,), generator=generator)
    if batch < 2:
        raise ValueError("resample takes another row: run at least two, or give a reference")
    cycle = torch.randperm(batch, generator=generator)
    return torch.empty_like(cycle).scatter_(0, cycle, cycle.roll(1))


def _replacing(chosen: list[int], replace: Replace, layer: int, reference: Outputs | None) -> Hook:
    def hook(outputs: Outputs, hook: object) -> Tensor:
        edited = outputs.clone()
        edited[:, :, chosen] = replace(layer, outputs[:, :, chosen], reference).to(outputs.dtype)
        return edited

    return hook


def _outputs(model: TransformerBridge, by_layer: dict[int, list[int]], reference: Tensor) -> dict[int, Outputs]:
    """What the chosen heads hand to ``W_O`` in a run on ``reference``, for each layer."""
    reference = checked_tokens(model, reference)
    names = head_output_hooks(model)
    caught: dict[int, list[Tensor]] = {layer: [] for layer in by_layer}

    def catching(layer: int) -> Hook:
        def catch(outputs: Outputs, hook: object) -> None:
            caught[layer].append(outputs[:, :, by_layer[layer]].clone())

        return catch

    with at_rest(model):
        for sequences in few_sequences(reference):
            run_reading(model, reference[sequences], [(names[layer], catching(layer)) for layer in by_layer])
    return {layer: torch.cat(parts) for layer, parts in caught.items()}


def _by_layer(model: TransformerBridge, heads: Iterable[Head]) -> dict[int, list[int]]:
    require_bridge(model)
    grouped = defaultdict(set)
    for layer, head in heads:
        require_head(layer, head, n_layers=model.cfg.n_layers, n_heads=model.cfg.n_heads)
        grouped[layer].add(head)
    return {layer: sorted(grouped[layer]) for layer in sorted(grouped)}
