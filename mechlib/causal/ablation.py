"""Running a model without some of its heads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mechlib.bridge import TransformerBridge, require_bridge
from mechlib.places import Head, require_head
from mechlib.stream.hooks import Hook, head_output_hooks
from mechlib.stream.inputs import checked_mask, checked_tokens
from mechlib.stream.running import at_rest, few_sequences, run_reading

Mode = Literal["mean", "zero", "resample"]
Mask = Bool[Tensor, "row pos"] | Int[Tensor, "row pos"] | None


@contextmanager
def ablate(
    model: TransformerBridge,
    heads: Iterable[Head],
    *,
    mode: Mode = "mean",
    reference: Int[Tensor, "row pos"] | None = None,
    generator: torch.Generator | None = None,
    attention_mask: Mask = None,
) -> Iterator[TransformerBridge]:
    """Inside the ``with`` block, every forward pass replaces what ``heads`` hand to ``W_O``.

    - ``"mean"``: by each head's mean output over the rows and positions of a run on ``reference``; without one, over
      those of the running batch, later positions included. Pads do not count.
    - ``"zero"``: by zeros.
    - ``"resample"``: by the outputs at the same positions in another row, the same row for all heads: one of
      ``reference``, drawn for every row in every pass; without one, the running batch's rows trade places, and none
      keeps its own. Positions are counted from a row's first token that is no pad.

    The running batch is what one forward pass takes, and most functions of this library take a few sequences at a time:
    give a ``reference`` where that matters. A pass brings the mask of its own pads, as ``model(tokens,
    attention_mask=...)`` or an ``attention_mask`` of the library's functions.

    The run on ``reference`` is made on entry, with the hooks that are there then: a block inside another measures it
    with the outer block's heads ablated. Blocks nest; leaving one removes its hooks and no others, also after an
    exception. Gradients flow as they would without the hooks, except through the replaced outputs of ``reference``.

    Args:
        heads: pairs ``(layer, head)``; none at all leaves the model as it is.
        reference: token ids ``[row, pos]``, for ``"resample"`` at least as long as what is run.
        generator: on the CPU, of the draws of ``"resample"``; seeded with 0 when left out.
        attention_mask: of ``reference``, 0 or false at the pads before or behind a row's tokens. Without a reference it
            is that of the running batch, for passes that bring none.

    Raises:
        TypeError: if ``reference`` is no integer tensor.
        ValueError: if a head is out of range, or ``mode`` is unknown; if ``reference`` is no token ids of the model;
            if ``attention_mask`` is none of its tokens, or ``"resample"`` is to take rows with pads; inside the block,
            if ``"resample"`` has no other row to take or rows of unequal length, if ``reference`` is too short, or if
            ``attention_mask`` is of another shape than a running batch without a mask.
    """
    if mode not in get_args(Mode):
        raise ValueError(f"mode is one of {', '.join(get_args(Mode))}, not {mode!r}")
    by_layer = _by_layer(model, heads)
    names = head_output_hooks(model)
    kept = {} if reference is None else _outputs(model, by_layer, reference, attention_mask)
    if mode == "resample" and any(outputs.mask is not None for outputs in kept.values()):
        raise ValueError(
            "resample takes the outputs at every position of a reference row: give a reference without pads"
        )
    replace = {"mean": _mean, "zero": _zero, "resample": _resample(min(by_layer, default=0), generator)}[mode]
    with _running_masks(model, attention_mask if reference is None else None) as mask_of:
        hooks = [
            (names[layer], _replacing(chosen, replace, layer, mask_of, kept.get(layer)))
            for layer, chosen in by_layer.items()
        ]
        with model.hooks(fwd_hooks=hooks):
            yield model


@dataclass(frozen=True)
class _Outputs:
    """What some heads hand to ``W_O``, and where that is text."""

    values: Float[Tensor, "batch pos head d_head"]
    mask: Bool[Tensor, "batch pos"] | None
    """False at pads; ``None`` where there are none."""


Replace = Callable[[int, _Outputs, _Outputs | None], Tensor]
"""``(layer, running outputs, outputs on reference) -> what to put there``, of a shape that broadcasts."""


def _mean(layer: int, running: _Outputs, reference: _Outputs | None) -> Tensor:
    outputs = running if reference is None else reference
    return outputs.values.mean((0, 1)) if outputs.mask is None else outputs.values[outputs.mask].mean(0)


def _zero(layer: int, running: _Outputs, reference: _Outputs | None) -> Tensor:
    return torch.zeros_like(running.values)


def _resample(first_layer: int, generator: torch.Generator | None) -> Replace:
    """Rows are drawn at the first ablated layer of a forward pass, and kept for its other layers."""
    generator = generator or torch.Generator().manual_seed(0)
    rows = torch.empty(0, dtype=torch.long)

    def replace(layer: int, running: _Outputs, reference: _Outputs | None) -> Tensor:
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


@contextmanager
def _running_masks(model: TransformerBridge, given: Mask) -> Iterator[Callable[[Tensor], Tensor | None]]:
    """``mask_of(outputs)``: the mask of the pass in which it is asked for, or ``given`` where that brings none."""
    brought: Tensor | None = None

    def catch(module: nn.Module, args: tuple, options: dict) -> None:
        nonlocal brought
        brought = options.get("attention_mask")

    def mask_of(outputs: Tensor) -> Tensor | None:
        if brought is None or brought.dim() != 2:
            return checked_mask(given, outputs[..., 0, 0])
        mask = brought[:, -outputs.shape[1] :].bool()  # that of a pass beside a cache is longer
        return None if mask.all() else mask

    handle = model.original_model.register_forward_pre_hook(catch, with_kwargs=True)
    try:
        yield mask_of
    finally:
        handle.remove()


def _replacing(
    chosen: list[int],
    replace: Replace,
    layer: int,
    mask_of: Callable[[Tensor], Tensor | None],
    reference: _Outputs | None,
) -> Hook:
    def hook(outputs: Float[Tensor, "batch pos head d_head"], hook: object) -> Tensor:
        edited = outputs.clone()
        running = _Outputs(outputs[:, :, chosen], mask_of(outputs))
        edited[:, :, chosen] = replace(layer, running, reference).to(outputs.dtype)
        return edited

    return hook


def _outputs(
    model: TransformerBridge, by_layer: dict[int, list[int]], reference: Tensor, attention_mask: Mask
) -> dict[int, _Outputs]:
    """What the chosen heads hand to ``W_O`` in a run on ``reference``, for each layer."""
    reference = checked_tokens(model, reference)
    mask = checked_mask(attention_mask, reference)
    names = head_output_hooks(model)
    caught: dict[int, list[Tensor]] = {layer: [] for layer in by_layer}

    def catching(layer: int) -> Hook:
        def catch(outputs: Float[Tensor, "batch pos head d_head"], hook: object) -> None:
            caught[layer].append(outputs[:, :, by_layer[layer]].clone())

        return catch

    with at_rest(model):
        for rows in few_sequences(reference):
            hooks = [(names[layer], catching(layer)) for layer in by_layer]
            run_reading(model, reference[rows], hooks, None if mask is None else mask[rows])
    return {layer: _Outputs(torch.cat(parts), mask) for layer, parts in caught.items()}


def _by_layer(model: TransformerBridge, heads: Iterable[Head]) -> dict[int, list[int]]:
    require_bridge(model)
    grouped = defaultdict(set)
    for layer, head in heads:
        require_head(layer, head, n_layers=model.cfg.n_layers, n_heads=model.cfg.n_heads)
        grouped[layer].add(head)
    return {layer: sorted(grouped[layer]) for layer in sorted(grouped)}
