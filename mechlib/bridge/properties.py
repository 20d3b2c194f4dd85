"""What a model is asked before it is used: whether it is one, of which kind, and where it runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge

AT_ONCE = 2**22
"""Numbers that are turned to double precision at a time."""


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


_DIVISORS = {"GPTJAttention": "scale_attn", "CodeGenAttention": "scale_attn", "NativeAttention": "scale"}
"""What a kind of attention divides its scores by."""


def _attention_scale(model: TransformerBridge, layer: int) -> float:
    attention = getattr(getattr(model.blocks[layer], "attn", None), "original_component", None)
    name = type(attention).__name__
    for attribute in ("scaling", "inv_norm_factor", "softmax_scale"):
        if hasattr(attention, attribute):
            return float(getattr(attention, attribute))
    if name in _DIVISORS:
        return 1 / float(getattr(attention, _DIVISORS[name]))
    if name == "GPTNeoSelfAttention":
        return 1.0
    raise ValueError(f"how layer {layer} of a {kind_of(model)} scales its attention scores is not known here ({name})")


def weights_digest(model: nn.Module) -> str:
    """The sha256 of the weights as they are in memory: of each entry of the state dict, by name, its shape and numbers.

    Numbers are written in double precision, so that the type in which they are held makes no difference; but weights
    that were rounded are other weights. The digest of a bridge is by TransformerLens's names.
    """
    return tensors_digest(model.state_dict())


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """As :func:`weights_digest`, of tensors by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {list(tensor.shape)} ".encode())
        for part in tensor.detach().cpu().flatten().split(AT_ONCE):
            digest.update(part.to(torch.float64).numpy().astype("<f8", copy=False).tobytes())
    return digest.hexdigest()


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
