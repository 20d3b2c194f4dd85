"""The columns of prefixes: exact where exactness is due, and not where the mask is gone."""

import copy

import pytest
import torch

from mechlib.bridge import Shape, from_transformers
from mechlib.stream import prefix_invariance, residual_entries, without_mask
from tests.models import random_native

SHAPE = Shape(n_layers=3, d_model=12, n_heads=2, d_head=5, d_mlp=20, n_ctx=24, d_vocab=31)
PRECISIONS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@pytest.fixture(scope="module")
def model():
    return random_native(SHAPE, seed=1)


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(SHAPE.d_vocab, (4, 23), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
def test_another_future_changes_no_bit_and_a_shorter_run_only_rounds(model, tokens, dtype):
    rounded = copy.deepcopy(model).to(dtype, print_details=False)
    result = prefix_invariance(rounded, tokens)
    assert result.lengths.tolist() == list(range(1, 23))
    assert result.shorter.shape == result.other_future.shape == (22, SHAPE.n_layers + 1, 4)
    assert result.epsilon == torch.finfo(dtype).eps
    assert (result.other_future == 0).all()
    assert (result.shorter[:, 0] == 0).all()  # the embedding sums nothing
    assert (result.rounding < 100).all()


def test_the_gap_is_the_one_of_two_runs_by_hand(model, tokens):
    result = prefix_invariance(model, tokens[:2], lengths=[5, 9], seed=3)
    longer, shorter = residual_entries(model, tokens[:2]), residual_entries(model, tokens[:2, :9])
    expected = (longer[:, :, :9] - shorter).abs().flatten(2).max(-1).values
    torch.testing.assert_close(result.shorter[1], expected.double())
    torch.testing.assert_close(result.scale, longer.abs().flatten(2).max(-1).values.double())
    torch.testing.assert_close(result.rounding, result.shorter / result.scale / 2**-23)


def test_without_the_mask_the_future_shows_and_the_mask_comes_back(model, tokens):
    before = model(tokens)
    with without_mask(model):
        result = prefix_invariance(model, tokens, lengths=[1, 11])
        assert (result.other_future[:, 0] == 0).all()
        assert (result.other_future[:, 1:] > 0.01).all()
        assert (result.shorter[:, 1:] > 0.01).all()
    assert torch.equal(model(tokens), before)
    with pytest.raises(RuntimeError, match="inside"), without_mask(model):
        raise RuntimeError("inside")
    assert torch.equal(model(tokens), before)


def test_attention_without_the_mask_is_the_softmax_of_all_scores(model, tokens):
    with without_mask(model):
        _, cache = model.run_with_cache(tokens, names_filter=lambda name: "attn.hook_pattern" in name)
    attention, stream = model.blocks[0].attn, residual_entries(model, tokens)[0]
    normed = model.blocks[0].ln1(stream)[:, None]
    query, key = (normed @ w + b[:, None] for w, b in ((attention.W_Q, attention.b_Q), (attention.W_K, attention.b_K)))
    expected = (query @ key.mT / SHAPE.d_head**0.5).softmax(-1)
    torch.testing.assert_close(cache["blocks.0.attn.hook_pattern"], expected, atol=1e-5, rtol=1e-4)


def test_a_hook_that_carries_the_future_back_is_seen(model, tokens):
    """A planted leak: from layer 1 on, each column gets a little of the next one."""

    def leak(stream, hook):
        return stream + 0.01 * stream.roll(-1, 1)

    with model.hooks(fwd_hooks=[("blocks.1.hook_resid_post", leak)]):
        result = prefix_invariance(model, tokens, lengths=[7])
    assert (result.other_future[0, :2] == 0).all()
    assert (result.other_future[0, 2:] > 1e-6).all()


def test_a_model_in_gpt2_format(gpt2_folder):
    model = from_transformers(gpt2_folder, device="cpu")
    result = prefix_invariance(model, torch.arange(20) * 4)
    assert (result.other_future == 0).all()
    assert (result.rounding < 100).all()
    with (
        pytest.raises(ValueError, match=r"no attention whose mask can be switched off.*zoo\.names"),
        without_mask(model),
    ):
        pass


@pytest.mark.parametrize(
    ("lengths", "message"),
    [([0], "1 to 22 of them, not 0"), ([3, 23], "1 to 22 of them, not 23"), ([], "lengths are empty")],
)
def test_lengths_that_are_no_prefix(model, tokens, lengths, message):
    with pytest.raises(ValueError, match=message):
        prefix_invariance(model, tokens, lengths=lengths)


def test_tokens_without_a_prefix(model, tokens):
    with pytest.raises(ValueError, match="have 1 position"):
        prefix_invariance(model, tokens[:, :1])
    with pytest.raises(ValueError, match="context of 24"):
        prefix_invariance(model, tokens.repeat(1, 2))
