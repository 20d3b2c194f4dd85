"""What the end of a model makes of residual stream vectors: its final norm and unembedding."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.bridge import TransformerBridge, require_bridge
from mechlib.stream.hooks import hooked_points


def read_out(model: TransformerBridge, residual: Float[Tensor, "*rest d_model"]) -> Float[Tensor, "*rest d_vocab"]:
    """The logits of residual stream vectors: the model's final norm and unembedding, differentiable in ``residual``.

    What else a model does to its logits is done too: a factor, a soft cap, a projection before the unembedding.

    ``read_out(model, residual_entries(model, tokens)[-1])`` equals ``model(tokens)``. Logits are in single precision
    at least. They take ``d_vocab / d_model`` times the room of ``residual``.

    Raises:
        ValueError: if the last axis of ``residual`` is not ``d_model``; if hooks are on the model's final norm or its
            unembedding, which would take these vectors for positions of a text.
    """
    require_bridge(model)
    if residual.dim() == 0 or residual.shape[-1] != model.cfg.d_model:
        raise ValueError(
            f"the last axis of residual is d_model = {model.cfg.d_model}; its shape is {tuple(residual.shape)}"
        )
    require_own_readout(model)
    return unembed(model, residual)


def unembed(model: TransformerBridge, residual: Float[Tensor, "*rest d_model"]) -> Float[Tensor, "*rest d_vocab"]:
    rows = residual.reshape(1, -1, residual.shape[-1])
    normed = model.ln_final(rows)
    if hasattr(model, "project_out"):  # an OPT whose embedding is narrower than its stream
        normed = model.project_out(normed)
    logits = model.adapter.apply_output_logits_transform(model.unembed(normed))
    return logits.to(at_least_single(logits.dtype)).reshape(*residual.shape[:-1], -1)


def require_own_readout(model: TransformerBridge) -> None:
    parts = [part for part in ("ln_final", "project_out", "unembed") if hasattr(model, part)]
    if points := hooked_points(model, *parts):
        raise ValueError(
            f"there are hooks on the model's final norm or unembedding, which take residual stream vectors by the row "
            f"here and not as positions of a text: {', '.join(points)}. Remove them, or run the model itself"
        )


def at_least_single(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
