"""The lens explorer's data against the full distributions, its size, and what it refuses."""

import json

import pytest
import torch

from mechlib.bridge import Shape
from mechlib.stream import layer_log_probs, logit_lens
from mechlib.widgets import lens_explorer
from mechlib.widgets.lens import explorer_data, telling_position
from tests.models import untrained

SHAPE = Shape(n_layers=3, d_model=16, n_heads=2, d_head=8, d_mlp=24, n_ctx=64, d_vocab=50)


def strings(ids):
    return [f"<{i}>" for i in ids]


@pytest.fixture(scope="module")
def model():
    return untrained(SHAPE, seed=1)


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(SHAPE.d_vocab, (12,), generator=torch.Generator().manual_seed(3))


def test_the_data_agrees_with_the_full_distributions(model, tokens):
    data = lens_explorer(model, tokens, token_strings=strings).data
    log_probs = layer_log_probs(model, tokens[:-1])[:, 0]
    assert data["tokens"] == strings(tokens.tolist())
    assert data["entries"] == ["embedding", "layer 0", "layer 1", "layer 2"]
    for entry, position in [(0, 0), (1, 7), (3, 10)]:
        p = log_probs[entry, position].exp()
        best = p.argsort(descending=True)[:5]
        shown = [data["vocabulary"][place] for place in data["guesses"][entry][position]]
        assert shown == strings(best.tolist())
        assert data["probabilities"][entry][position] == pytest.approx(p[best].tolist(), rel=6e-3)
        assert data["entropy"][entry][position] == pytest.approx(float(-(p * p.log()).sum()), rel=6e-3)
        true = tokens[position + 1]
        assert data["rank"][entry][position] == int((p > p[true]).sum())
        assert data["probability"][entry][position] == pytest.approx(float(p[true]), rel=6e-3)
        assert data["right"][entry][position] == (best == true).tolist()
        final = log_probs[-1, position]
        kl = float((final.exp() * (final - p.log())).sum())
        assert data["kl"][entry][position] == pytest.approx(kl, rel=6e-3, abs=1e-5)


def test_everything_is_in_the_synchronised_state_and_small(model):
    tokens = torch.arange(64) % SHAPE.d_vocab
    widget = lens_explorer(model, tokens, token_strings=strings)
    state = widget.get_state()
    assert {"data", "position", "entry", "colour", "_esm", "_css"} <= state.keys()
    assert len(json.dumps(state)) < 300_000


def test_a_lens_is_applied_before_reading(model, tokens):
    widget = lens_explorer(model, tokens, token_strings=strings, lens=lambda entries: entries[-1:].expand_as(entries))
    assert max(map(max, widget.data["kl"])) < 1e-5


def test_it_opens_coloured_by_probability_where_right_guesses_were_least_agreed_on(model, tokens):
    result = logit_lens(model, tokens[:-1], targets=tokens[1:], top_k=1)
    guesses = result.top_ids[:, 0, :, 0]
    guesses[:] = 7
    guesses[0, 4], guesses[1, 4] = 8, 9
    guesses[0, 2] = 8
    targets = torch.full_like(tokens[1:], 7)
    assert telling_position(result, targets) == 4
    targets[4] = 1  # there the last guess is wrong
    assert telling_position(result, targets) == 2
    targets[:] = 1  # and now everywhere
    assert telling_position(result, targets) == 4
    assert lens_explorer(model, tokens, token_strings=strings).colour == "probability"


@pytest.mark.parametrize("shape", [(1,), (2, 5)])
def test_one_passage_of_two_tokens_at_least(model, shape):
    with pytest.raises(ValueError, match="two tokens"):
        lens_explorer(model, torch.zeros(shape, dtype=torch.long), token_strings=strings)


def test_the_map_is_coloured_by_known_measures_only(model, tokens):
    widget = lens_explorer(model, tokens, token_strings=strings)
    with pytest.raises(Exception, match="colour"):
        widget.colour = "mood"


def test_what_is_infinite_can_be_sent(model, tokens):
    """KL is infinite where an entry rules out a token that the final distribution does not."""
    result = logit_lens(model, tokens[:-1], targets=tokens[1:])
    result.kl_to_final[1, 0, 3] = torch.inf
    data = explorer_data(result, tokens, strings)
    json.dumps(data, allow_nan=False)
    assert data["kl"][1][3] is None
    assert None not in data["kl"][0]


def test_every_field_is_needed(model, tokens):
    result = logit_lens(model, tokens[:-1], fields=["top_ids", "entropy"])
    with pytest.raises(ValueError, match="'top_log_prob' is none of the fields that were asked for: entropy, top_ids"):
        explorer_data(result, tokens, strings)
