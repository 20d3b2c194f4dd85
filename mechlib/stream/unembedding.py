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
    logits = transformed(model, raw_logits(model, final_norm(model, residual)))
    return logits.to(single_or_double(logits.dtype))


def final_norm(model: TransformerBridge, residual: Float[Tensor, "*rest d_model"]) -> Float[Tensor, "*rest d_model"]:
    return model.ln_final(residual.reshape(1, -1, residual.shape[-1])).reshape(residual.shape)


def raw_logits(model: TransformerBridge, normed: Float[Tensor, "*rest d_model"]) -> Float[Tensor, "*rest d_vocab"]:
    """The logits before the model multiplies or caps them: affine in ``normed``."""
    rows = projected(model, normed.reshape(1, -1, normed.shape[-1]))
    return model.unembed(rows).reshape(*normed.shape[:-1], -1)


def projected(model: TransformerBridge, normed: Float[Tensor, "*rest d_model"]) -> Float[Tensor, "*rest width"]:
    """What the unembedding takes: less in an OPT whose embedding is narrower than its stream."""
    return model.project_out(normed) if hasattr(model, "project_out") else normed


def transformed(model: TransformerBridge, logits: Float[Tensor, "*rest"]) -> Float[Tensor, "*rest"]:
    """What the model makes of its logits, each by itself: a multiple of them, or a value below a cap."""
    return model.adapter.apply_output_logits_transform(logits)


def require_own_readout(model: TransformerBridge) -> None:
    parts = [part for part in ("ln_final", "project_out", "unembed") if hasattr(model, part)]
    if points := hooked_points(model, *parts):
        raise ValueError(
            f"there are hooks on the model's final norm or unembedding, which take residual stream vectors by the row "
            f"here and not as positions of a text: {', '.join(points)}. Remove them, or run the model itself"
        )


def single_or_double(dtype: torch.dtype) -> torch.dtype:
    """The precision in which results from numbers of this one are given: single at least."""
    return torch.promote_types(dtype, torch.float32)
