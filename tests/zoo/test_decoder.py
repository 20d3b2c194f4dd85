import torch

from mechlib import bridge
from mechlib.zoo.decoder import Decoder

SHAPE = bridge.Shape(n_layers=3, d_model=24, n_heads=2, d_head=7, d_mlp=40, n_ctx=17, d_vocab=53)


def test_the_patterns_are_those_of_the_bridge():
    decoder = Decoder(SHAPE, seed=4).eval()
    model = bridge.native(SHAPE, decoder.state_dict(), device="cpu")
    tokens = torch.randint(SHAPE.d_vocab, (5, 11), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        _, cache = model.run_with_cache(tokens)
        patterns = decoder.patterns(tokens)
    assert patterns.shape == (3, 5, 2, 11, 11)
    for layer, pattern in enumerate(patterns):
        torch.testing.assert_close(pattern, cache["pattern", layer], rtol=1e-4, atol=1e-5)


def test_the_stream_is_that_of_the_bridge():
    decoder = Decoder(SHAPE, seed=4).eval()
    model = bridge.native(SHAPE, decoder.state_dict(), device="cpu")
    tokens = torch.randint(SHAPE.d_vocab, (5, 11), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        _, cache = model.run_with_cache(tokens)
        stream = list(decoder.stream(tokens))
    hooks = ["blocks.0.hook_resid_pre", *(f"blocks.{layer}.hook_resid_post" for layer in range(3))]
    for x, hook in zip(stream, hooks, strict=True):
        torch.testing.assert_close(x, cache[hook], rtol=1e-4, atol=1e-5)
