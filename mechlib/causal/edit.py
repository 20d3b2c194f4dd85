"""Editing the residual stream while a model runs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.stream.hooks import Hook, hook_name
from mechlib.stream.inputs import checked_mask, checked_tokens
from mechlib.stream.running import at_rest, run, run_reading, slices

Edit = Callable[[Float[Tensor, "batch pos d_model"]], Float[Tensor, "batch pos d_model"]]


def run_with_edit(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    entry: int,
    edit: Edit,
    *,
    batch: int = 64,
    attention_mask: Bool[Tensor, "batch pos"] | Int[Tensor, "batch pos"] | None = None,
) -> Float[Tensor, "batch pos d_vocab"]:
    """The logits when residual-stream entry ``entry`` is replaced by ``edit`` of itself; later layers run on that.

    ``edit`` sees at most ``batch`` rows at a time, in order; pass ``batch=len(tokens)`` to see all at once.
    No hook is left behind, also after an exception. ``attention_mask`` is for rows of unequal length, as for
    ``mechlib.stream.logit_lens``: the edit sees pads, whose stream means nothing, and logits there are NaN.

    Raises:
        TypeError: if the tokens are no integer tensor, or ``edit`` returns no tensor.
        ValueError: if the tokens do not fit the model or ``attention_mask`` not the tokens, the model has no such
            entry, ``batch`` is below 1, or ``edit`` returns another shape.
    """
    tokens, mask, hook = _checked(model, tokens, entry, edit, batch, attention_mask)
    parts = [(tokens[rows], None if mask is None else mask[rows]) for rows in slices(len(tokens), batch)]
    with at_rest(model):
        logits = torch.cat([run(model, part, [hook], real) for part, real in parts])
    return logits if mask is None else logits.masked_fill_(~mask[..., None], torch.nan)


def entries_with_edit(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    entry: int,
    edit: Edit,
    *,
    batch: int = 64,
    attention_mask: Bool[Tensor, "batch pos"] | Int[Tensor, "batch pos"] | None = None,
) -> Float[Tensor, "entry batch pos d_model"]:
    """The residual stream at all entries when entry ``entry`` is replaced by ``edit`` of itself, as ``run_with_edit``.

    What later layers write of themselves is a later entry minus this one; entries before it are as they were. The
    stream at pads is NaN. Arguments and errors are those of ``run_with_edit``.
    """
    tokens, mask, hook = _checked(model, tokens, entry, edit, batch, attention_mask)
    parts = []
    with at_rest(model):
        for rows in slices(len(tokens), batch):
            caught: list[Tensor] = []

            def catch(residual: Tensor, hook: object, caught: list[Tensor] = caught) -> None:
                caught.append(residual.detach())

            catches: list[tuple[str, Hook]] = [(hook_name(model, e), catch) for e in range(model.cfg.n_layers + 1)]
            run_reading(model, tokens[rows], [hook, *catches], None if mask is None else mask[rows])
            parts.append(torch.stack(caught))
    entries = torch.cat(parts, 1)
    return entries if mask is None else entries.masked_fill_(~mask[..., None], torch.nan)


def _checked(
    model: TransformerBridge, tokens: Tensor, entry: int, edit: Edit, batch: int, attention_mask: Tensor | None
) -> tuple[Int[Tensor, "batch pos"], Bool[Tensor, "batch pos"] | None, tuple[str, Hook]]:
    """Tokens and mask as a model takes them, and the hook that edits."""
    tokens = checked_tokens(model, tokens)
    mask = checked_mask(attention_mask, tokens)
    name = hook_name(model, entry)
    if batch < 1:
        raise ValueError(f"batch is {batch}; it is a number of rows, at least 1")

    def hook(residual: Tensor, hook: object) -> Tensor:
        edited = edit(residual)
        if not isinstance(edited, Tensor):
            raise TypeError(f"edit returned {type(edited).__name__}; it returns the residual stream to go on with")
        if edited.shape != residual.shape:
            raise ValueError(f"edit returned the shape {tuple(edited.shape)} for a stream of {tuple(residual.shape)}")
        return edited

    return tokens, mask, (name, hook)
