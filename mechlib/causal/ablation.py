"""Running a model without some of its heads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mechlib.bridge import TransformerBridge, require_bridge
from mechlib.causal.sites import Unit, checked_heads
from mechlib.causal.sources import Activations, Mask, Mode, Replace, caught_on, replacing
from mechlib.stream.hooks import Hook, head_output_hooks
from mechlib.stream.inputs import checked_mask, checked_tokens


@contextmanager
def ablate(
    model: TransformerBridge,
    heads: Iterable[Unit],
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
        heads: pairs ``(layer, head)``, or places as :meth:`PatchingResult.largest` names them; none at all leaves the
            model as it is.
        reference: token ids ``[row, pos]``, for ``"resample"`` at least as long as what is run.
        generator: on the CPU, of the draws of ``"resample"``; seeded with 0 when left out.
        attention_mask: of ``reference``, 0 or false at the pads before or behind a row's tokens. Without a reference it
            is that of the running batch, for passes that bring none.

    Raises:
        TypeError: if ``reference`` is no integer tensor, or ``heads`` holds something else than pairs of integers.
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
    replace = replacing(mode, min(by_layer, default=0), generator)
    with _running_masks(model, attention_mask if reference is None else None) as mask_of:
        hooks = [
            (names[layer], _replacing(chosen, replace, layer, mask_of, kept.get(layer)))
            for layer, chosen in by_layer.items()
        ]
        with model.hooks(fwd_hooks=hooks):
            yield model


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
    reference: Activations | None,
) -> Hook:
    def hook(outputs: Float[Tensor, "batch pos head d_head"], hook: object) -> Tensor:
        edited = outputs.clone()
        running = Activations(outputs[:, :, chosen], mask_of(outputs))
        edited[:, :, chosen] = replace(layer, running, reference).to(outputs.dtype)
        return edited

    return hook


def _outputs(
    model: TransformerBridge, by_layer: dict[int, list[int]], reference: Tensor, attention_mask: Mask
) -> dict[int, Activations]:
    """What the chosen heads hand to ``W_O`` in a run on ``reference``, for each layer."""
    reference = checked_tokens(model, reference)
    mask = checked_mask(attention_mask, reference)
    names = head_output_hooks(model)
    points = {names[layer]: partial(_of_heads, chosen) for layer, chosen in by_layer.items()}
    caught = caught_on(model, points, reference, mask)
    return {layer: Activations(caught[names[layer]], mask) for layer in by_layer}


def _of_heads(
    chosen: list[int], outputs: Float[Tensor, "batch pos head d_head"]
) -> Float[Tensor, "batch pos chosen d_head"]:
    return outputs[:, :, chosen]


def _by_layer(model: TransformerBridge, heads: Iterable[Unit]) -> dict[int, list[int]]:
    require_bridge(model)
    grouped = defaultdict(list)
    given = list(heads)
    for layer, head in checked_heads(model, given, "heads") if given else []:
        grouped[layer].append(head)
    return dict(grouped)
