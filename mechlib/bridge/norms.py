"""Norms and constant factors: what stands between the residual stream and the matrices that read it and write to it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge

from mechlib.bridge.properties import kind_of

_IN_STREAM = {"do_layer_norm_before": False, "apply_residual_connection_post_layernorm": True}
"""Options, and the value with which the stream itself goes through the norms of every layer (OPT, Bloom)."""


@dataclass(frozen=True)
class Norm:
    """A LayerNorm or RMSNorm ``gain * C x / s(x) + bias``: what it does besides its division by ``s``.

    Numbers are in single precision at least.
    """

    gain: Float[Tensor, "*head width"]
    centres: bool
    """Whether ``C`` removes the mean; it is the identity otherwise."""
    bias: Float[Tensor, " width"] | None

    def undivided(self, x: Float[Tensor, "*rest width"]) -> Float[Tensor, "*rest width"]:
        """``gain * C x``, linear in ``x``."""
        return self.gain * (x - x.mean(-1, keepdim=True) if self.centres else x)

    def turned(self, y: Float[Tensor, "*rest width"]) -> Float[Tensor, "*rest width"]:
        """The transpose of :meth:`undivided`: ``turned(y) . x`` is ``y . undivided(x)``."""
        scaled = self.gain * y
        return scaled - scaled.mean(-1, keepdim=True) if self.centres else scaled


def norm_at(owner: nn.Module, name: str) -> Norm | None:
    """The norm that ``owner`` has under a name of TransformerLens; ``None`` if it has none, or one that does nothing.

    Raises:
        ValueError: if its parameters are not those of a LayerNorm or RMSNorm.
    """
    bridge = dict(owner.named_children()).get(name)
    if bridge is None or isinstance(bridge.original_component, nn.Identity):
        return None
    original = bridge.original_component
    weight, bias = (getattr(original, which, None) for which in ("weight", "bias"))
    if weight is None:
        if isinstance(original, nn.Module) and list(original.parameters()):
            raise ValueError(f"the norm {name}, a {type(original).__name__}, is not known here")
        return Norm(torch.ones(()), not bridge.uses_rms_norm, None)
    gain = at_least_single(weight)
    gain = gain + 1 if bridge.uses_weight_offset else gain
    return Norm(gain, not bridge.uses_rms_norm, None if bias is None else at_least_single(bias))


def norm_in_stream(model: TransformerBridge) -> str | None:
    """The option of a model whose stream itself goes through its norms, as ``"name=value"``; else ``None``."""
    config = getattr(model.original_model, "config", None)
    options = (f"{name}={value}" for name, value in _IN_STREAM.items() if getattr(config, name, None) is value)
    return next(options, None)


def factors(model: TransformerBridge) -> tuple[float, float, float]:
    """What the embedding, the outputs of attention and MLP, and the logits are multiplied by on their way."""
    kind, config = kind_of(model), getattr(model.original_model, "config", None)
    if config is None:
        return 1.0, 1.0, 1.0
    if kind == "granite":
        return config.embedding_multiplier, config.residual_multiplier, 1 / config.logits_scaling
    if kind.startswith("cohere"):
        return 1.0, 1.0, config.logit_scale
    if kind.startswith("gemma"):
        return float(model.embed.original_component.embed_scale), 1.0, 1.0
    return 1.0, 1.0, 1.0


def at_least_single(weight: Tensor) -> Tensor:
    """The numbers of ``weight`` in single precision, or in double where they are, without a gradient's history."""
    return weight.detach().to(torch.promote_types(weight.dtype, torch.float32))
