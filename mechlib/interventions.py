"""Editing the residual stream while a model runs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.running import at_rest, checked_tokens, hook_name, slices

Edit = Callable[[Float[Tensor, "batch pos d_model"]], Float[Tensor, "batch pos d_model"]]


def run_with_edit(
    model: TransformerBridge, tokens: Int[Tensor, "batch pos"], entry: int, edit: Edit, *, batch: int = 64
) -> Float[Tensor, "batch pos d_vocab"]:
    """The logits when residual-stream entry ``entry`` is replaced by ``edit`` of itself; later layers run on that.

    ``edit`` sees at most ``batch`` rows at a time, in order; pass ``batch=len(tokens)`` to see all at once.
    No hook is left behind, also after an exception.

    Raises:
        TypeError: if the tokens are no integer tensor, or ``edit`` returns no tensor.
        ValueError: if the tokens do not fit the model, the model has no such entry, ``batch`` is below 1, or ``edit``
            returns another shape.
    """
    tokens = checked_tokens(model, tokens)
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

    with at_rest(model):
        return torch.cat(
            [model.run_with_hooks(tokens[rows], fwd_hooks=[(name, hook)]) for rows in slices(len(tokens), batch)]
        )
