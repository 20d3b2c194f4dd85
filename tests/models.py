"""The small models of the tests."""

import torch
from torch import Tensor

from mechlib.bridge import NativeBridge, Shape, TransformerBridge, from_transformers, native
from mechlib.zoo.decoder import Decoder

SHAPE = Shape(n_layers=3, d_model=24, n_heads=2, d_head=8, d_mlp=40, n_ctx=20, d_vocab=83)
ATTENTION_ONLY = Shape(n_layers=2, d_model=24, n_heads=4, d_head=6, d_mlp=0, n_ctx=20, d_vocab=83)


def random_weights(shape: Shape = SHAPE, *, scale: float = 0.4, seed: int = 0) -> dict[str, Tensor]:
    """Every parameter from a normal distribution, so that no bias, norm or scale is trivial."""
    generator = torch.Generator().manual_seed(seed)
    return {k: scale * torch.randn(w.shape, generator=generator) for k, w in Decoder(shape, 0).state_dict().items()}


def random_native(shape: Shape = SHAPE, *, scale: float = 0.4, seed: int = 0) -> NativeBridge:
    """A model of random weights: its attention is far from uniform, its logits are several nats apart."""
    return native(shape, random_weights(shape, scale=scale, seed=seed), device="cpu")


def untrained(shape: Shape = SHAPE, seed: int = 0) -> NativeBridge:
    """A model as training starts with it."""
    return native(shape, Decoder(shape, seed).state_dict(), device="cpu")


def of_format(name: str, gpt2_folder: str) -> TransformerBridge:
    """A model of one of the formats that a lens or a score must fit."""
    if name == "native":
        return random_native()
    if name == "attention only":
        return random_native(ATTENTION_ONLY)
    bridge = from_transformers(gpt2_folder, device="cpu")
    if name == "gpt2, folded":
        with torch.no_grad():
            bridge.enable_compatibility_mode()
    return bridge


def attentionless() -> TransformerBridge:
    """A model whose second layer has no point at which attention could be read or replaced."""
    model = random_native()
    gone = ("blocks.1.attn.hook_pattern", "blocks.1.attn.hook_z")
    there = {name: point for name, point in model.hook_dict.items() if name not in gone}
    model.__class__ = type("Attentionless", (TransformerBridge,), {"hook_dict": property(lambda self: there)})
    return model
