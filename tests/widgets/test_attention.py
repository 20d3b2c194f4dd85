"""The attention explorer's data against patterns computed by hand, its size, and what it refuses."""

import json

import pytest
import torch

from mechlib.bridge import Shape, native
from mechlib.widgets import attention_explorer
from mechlib.widgets.attention import attention_patterns, percentages
from mechlib.zoo.decoder import Decoder
from tests.models import untrained

SHAPE = Shape(n_layers=3, d_model=24, n_heads=2, d_head=12, d_mlp=0, n_ctx=64, d_vocab=50)


def strings(ids):
    return [f"<{i}>" for i in ids]


@pytest.fixture(scope="module")
def model():
    return untrained(SHAPE, seed=1)


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(SHAPE.d_vocab, (12,), generator=torch.Generator().manual_seed(3))


def by_hand(tokens):
    """The patterns of layer 0, from the plain module's weights: softmax of the causal scores."""
    plain = Decoder(SHAPE, 1)
    block, attention = plain.layers[0], plain.layers[0].attn
    x = block.ln1(plain.tok_embed(tokens) + plain.pos.weight[: len(tokens)])
    query, key = (linear(x).view(len(tokens), 2, 12).transpose(0, 1) for linear in (attention.q, attention.k))
    scores = query @ key.mT / 12**0.5
    future = torch.ones(len(tokens), len(tokens)).triu(1).bool()
    return scores.masked_fill(future, -torch.inf).softmax(-1)


def test_the_patterns_are_softmaxes_of_causal_scores(model, tokens):
    patterns = attention_patterns(model, tokens)
    assert patterns.shape == (3, 2, 12, 12)
    torch.testing.assert_close(patterns[0], by_hand(tokens), atol=1e-6, rtol=1e-5)


def test_a_row_holds_the_tokens_up_to_itself_in_per_cent(model, tokens):
    shares = percentages(model, tokens)
    expected = by_hand(tokens)
    for head in range(2):
        for query in range(12):
            row = shares[0][head][query]
            assert len(row) == query + 1 and all(isinstance(share, int) for share in row)
            assert row == pytest.approx((100 * expected[head, query, : query + 1]).tolist(), abs=0.51)


def test_everything_is_in_the_synchronised_state_and_small(model):
    widget = attention_explorer(model, torch.arange(64) % SHAPE.d_vocab, token_strings=strings, head=(2, 1))
    state = widget.get_state()
    assert {"data", "layer", "head", "position", "_esm", "_css"} <= state.keys()
    assert (state["layer"], state["head"], state["position"]) == (2, 1, 63)
    assert len(json.dumps(state)) < 300_000


def test_the_passage_is_shown_in_the_readers_strings(model, tokens):
    assert attention_explorer(model, tokens, token_strings=strings).data["tokens"] == strings(tokens.tolist())


@pytest.mark.parametrize("shape", [(0,), (2, 5)])
def test_one_passage_is_needed(model, shape):
    with pytest.raises(ValueError, match="one passage"):
        attention_explorer(model, torch.zeros(shape, dtype=torch.long), token_strings=strings)


@pytest.mark.parametrize("head", [(3, 0), (0, 2), (-1, 0)])
def test_a_head_out_of_range_is_told_what_there_is(model, tokens, head):
    with pytest.raises(ValueError, match="3 layers of 2 heads"):
        attention_explorer(model, tokens, token_strings=strings, head=head)


@pytest.mark.parametrize("position", [-1, 12])
def test_a_position_out_of_range_is_told_what_there_is(model, tokens, position):
    with pytest.raises(ValueError, match="positions 0 to 11"):
        attention_explorer(model, tokens, token_strings=strings, position=position)


def test_a_passage_longer_than_the_context_is_refused(model):
    with pytest.raises(ValueError, match="context of 64"):
        attention_explorer(model, torch.zeros(65, dtype=torch.long), token_strings=strings)


def test_attention_that_is_no_number_is_named():
    weights = Decoder(SHAPE, 1).state_dict()
    weights["pos.weight"][4] = torch.nan
    with pytest.raises(ValueError, match="the attention of head 0 in layer 0 from position 4 is NaN"):
        percentages(native(SHAPE, weights, device="cpu"), torch.arange(9))
