"""What is put into a model: integers of any size, wherever tokens are taken."""

import numpy as np
import pytest
import torch

from mechlib import causal, heads, stream
from mechlib.bridge import Shape
from mechlib.stream.inputs import checked_ids, checked_tokens
from mechlib.widgets import attention_explorer, lens_explorer
from mechlib.widgets.attention import attention_patterns
from mechlib.zoo.decoder import Decoder
from mechlib.zoo.evaluation import token_losses
from tests.models import untrained

SHAPE = Shape(n_layers=2, d_model=12, n_heads=2, d_head=6, d_mlp=20, n_ctx=12, d_vocab=2048)
"""More tokens than a byte can tell apart."""

TORCH = (
    torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32, torch.uint32, torch.int64, torch.uint64,
)  # fmt: skip
NUMPY = (np.uint8, np.int8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)


@pytest.fixture(scope="module")
def model():
    return untrained(SHAPE)


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(128, (3, 9), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dtype", TORCH, ids=str)
def test_a_tensor_of_any_integer_type(model, tokens, dtype):
    read = checked_tokens(model, tokens.to(dtype))
    assert read.dtype == torch.long and torch.equal(read, tokens)


@pytest.mark.parametrize("dtype", NUMPY)
def test_an_array_of_any_integer_type(model, tokens, dtype):
    read = checked_tokens(model, tokens.numpy().astype(dtype))
    assert read.dtype == torch.long and torch.equal(read, tokens)
    assert torch.equal(checked_tokens(model, tokens[0].numpy().astype(dtype)), tokens[:1])


def explored(explorer, model, tokens) -> dict:
    return explorer(model, tokens[0], token_strings=lambda ids: [str(i) for i in ids]).data


CALLS = {
    "logit_lens": lambda m, t: stream.logit_lens(m, t, targets=t).target_log_prob,
    "layer_log_probs": stream.layer_log_probs,
    "residual_entries": stream.residual_entries,
    "tuned lens": lambda m, t: stream.fit_tuned_lens(m, t, steps=2, rows=4, progress=False).kl_after,
    "head_scores": lambda m, t: heads.head_scores(m, t).induction,
    "pattern_mask": lambda m, t: heads.pattern_mask(t, "induction").float(),
    "run_with_edit": lambda m, t: causal.run_with_edit(m, t, 1, torch.neg),
    "entries_with_edit": lambda m, t: causal.entries_with_edit(m, t, 1, torch.neg),
    "prefix_invariance": lambda m, t: stream.prefix_invariance(m, t, lengths=[4]).scale,
    "continue_text": lambda m, t: stream.continue_text(m, t, 2).logits,
    "prediction": stream.prediction,
    "empty_prompt": lambda m, t: stream.empty_prompt(m, bos=t[0, 0]),
    "attention_patterns": lambda m, t: attention_patterns(m, t[0]),
    "attention_explorer": lambda m, t: torch.tensor(explored(attention_explorer, m, t)["patterns"][1][0][8]),
    "lens_explorer": lambda m, t: torch.tensor(explored(lens_explorer, m, t)["rank"]),
}


def ablated(model, tokens):
    with causal.ablate(model, [(0, 1)], reference=tokens):
        return stream.residual_entries(model, tokens)


@pytest.mark.parametrize("call", [*CALLS.values(), ablated], ids=[*CALLS, "ablate"])
@pytest.mark.parametrize("narrow", [lambda t: t.to(torch.uint8), lambda t: t.to(torch.uint16), lambda t: t.numpy()])
def test_wherever_tokens_are_taken(model, tokens, call, narrow):
    torch.testing.assert_close(call(model, narrow(tokens)), call(model, tokens), atol=0, rtol=0)


@pytest.mark.parametrize("dtype", TORCH, ids=str)
def test_losses_on_rows_of_any_integer_type(tokens, dtype):
    decoder = Decoder(SHAPE, 0)
    assert torch.equal(token_losses(decoder, tokens.to(dtype)), token_losses(decoder, tokens))


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (torch.tensor([[3, 200]], dtype=torch.uint8), ValueError, r"hold 200 at \[0, 1\]; token ids are from 0 to 149"),
        (torch.tensor([[3, -1]], dtype=torch.int8), ValueError, r"hold -1 at \[0, 1\]"),
        (np.array([[3, 2048]], dtype=np.uint16), ValueError, r"hold 2048 at \[0, 1\]"),
        (np.array([[0.0]]), TypeError, r"integers; these, of shape \(1, 1\), are float64"),
        (np.array([[True]]), TypeError, "are bool"),
        (np.zeros((2, 0), dtype=int), ValueError, r"\(2, 0\) are empty"),
        ([[1, 2]], TypeError, "a tensor of token ids, not list"),
    ],
)
def test_what_is_out_of_range_in_its_type_or_no_integers(bad, error, message):
    with pytest.raises(error, match=message):
        checked_ids("tokens", bad, 150)


def test_one_target_of_numpy(model, tokens):
    ours, expected = (stream.logit_lens(model, tokens, targets=target).target_rank for target in (np.uint16(300), 300))
    assert torch.equal(ours, expected)
