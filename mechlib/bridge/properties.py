"""What a model is asked before it is used: whether it is one, of which kind, and where it runs."""

from __future__ import annotations

import torch
from transformer_lens.model_bridge import TransformerBridge


def resolve_device(device: str | torch.device) -> torch.device:
    """``"auto"`` is CUDA where there is one, else the CPU; anything else is itself."""
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def kind_of(model: TransformerBridge) -> str:
    """The kind of model as ``transformers`` names it (``"gpt2"``, ``"llama"``), or ``"native"``."""
    require_bridge(model)
    config = getattr(model.original_model, "config", None)
    return "native" if config is None else config.model_type


def attention_scales(model: TransformerBridge) -> list[float]:
    """What every layer multiplies its scores by: ``1 / sqrt(d_head)`` in most kinds of model, not in all.

    Raises:
        ValueError: if a layer has no attention, or a kind whose scale is not known here.
    """
    require_bridge(model)
    return [_attention_scale(model, layer) for layer in range(model.cfg.n_layers)]


def _attention_scale(model: TransformerBridge, layer: int) -> float:
    attention = getattr(getattr(model.blocks[layer], "attn", None), "original_component", None)
    name = type(attention).__name__
    for attribute in ("scaling", "inv_norm_factor", "softmax_scale"):
        if hasattr(attention, attribute):
            return float(getattr(attention, attribute))
    if name in ("GPTJAttention", "CodeGenAttention"):
        return 1 / float(attention.scale_attn)
    if name == "NativeAttention":
        return 1 / attention.scale
    if name == "GPTNeoSelfAttention":
        return 1.0
    raise ValueError(f"how layer {layer} of a {kind_of(model)} scales its attention scores is not known here ({name})")


def require_bridge(given: object) -> None:
    """Refuse what is not a model in TransformerLens's present form.

    Raises:
        TypeError: with what makes one.
    """
    if not isinstance(given, TransformerBridge):
        raise TypeError(
            f"model is a TransformerBridge, as zoo.load gives for a name or a folder of transformers, not "
            f"{type(given).__name__}"
        )
