"""What the benchmark of the lens compares gives the same outputs, on a small random model."""

import torch

from mechlib.bridge import Shape, native
from mechlib.zoo.decoder import Decoder
from tests.benchmarks import lens


@torch.no_grad()
def test_all_methods_agree():
    shape = Shape(n_layers=2, d_model=32, n_heads=2, d_head=16, d_mlp=64, n_ctx=24, d_vocab=211)
    generator = torch.Generator().manual_seed(0)
    weights = {k: 0.2 * torch.randn(w.shape, generator=generator) for k, w in Decoder(shape, 0).state_dict().items()}
    model = native(shape, weights, device="cpu")
    rows = torch.randint(shape.d_vocab, (3, 25), generator=generator)
    results = {name: method(model, rows[:, :-1], rows[:, 1:]) for name, method in lens.METHODS.items()}
    assert results.pop("floor") is None
    lens.agree(results)
    assert {len(outputs) for outputs in results.values()} == {4, 5}
