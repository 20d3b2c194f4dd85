"""Small models of both formats, every parameter random."""

import pytest
import torch

from mechlib.bridge import Shape, TransformerBridge, from_transformers, native
from mechlib.zoo.decoder import Decoder

SHAPE = Shape(n_layers=3, d_model=24, n_heads=2, d_head=8, d_mlp=40, n_ctx=20, d_vocab=83)


def random_native(shape: Shape) -> TransformerBridge:
    """Biases and norms random too, attention far from uniform."""
    generator = torch.Generator().manual_seed(0)
    weights = Decoder(shape, 0).state_dict()
    return native(shape, {k: 0.4 * torch.randn(w.shape, generator=generator) for k, w in weights.items()}, device="cpu")


@pytest.fixture(scope="session", params=["native", "attention only", "gpt2", "gpt2, folded"])
def model(request, gpt2_folder) -> TransformerBridge:
    if request.param == "native":
        return random_native(SHAPE)
    if request.param == "attention only":
        return random_native(Shape(n_layers=2, d_model=24, n_heads=4, d_head=6, d_mlp=0, n_ctx=20, d_vocab=83))
    bridge = from_transformers(gpt2_folder, device="cpu")
    if request.param == "gpt2, folded":
        with torch.no_grad():
            bridge.enable_compatibility_mode()
    return bridge


@pytest.fixture(scope="session")
def small() -> TransformerBridge:
    return random_native(SHAPE)


@pytest.fixture
def without_patterns() -> TransformerBridge:
    """A model whose second layer has no point at which attention could be read or replaced."""
    model = random_native(SHAPE)
    gone = ("blocks.1.attn.hook_pattern", "blocks.1.attn.hook_z")
    there = {name: point for name, point in model.hook_dict.items() if name not in gone}
    model.__class__ = type("Attentionless", (TransformerBridge,), {"hook_dict": property(lambda self: there)})
    return model


@pytest.fixture(scope="session")
def tokens() -> torch.Tensor:
    """Few token types, so that chance repeats abound: ``[batch, pos]`` over the full context."""
    return torch.randint(7, (5, 20), generator=torch.Generator().manual_seed(1))
