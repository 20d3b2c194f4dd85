import pytest
import torch

from mechlib import bridge, lens
from mechlib.interventions import hook_name, run_with_edit
from mechlib.zoo.decoder import Decoder

SHAPE = bridge.Shape(n_layers=3, d_model=24, n_heads=3, d_head=8, d_mlp=40, n_ctx=17, d_vocab=53)


@pytest.fixture(scope="module")
def model():
    return bridge.native(SHAPE, Decoder(SHAPE, seed=1).state_dict(), device="cpu")


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(SHAPE.d_vocab, (5, 11), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("entry", range(4))
def test_the_identity_changes_nothing(model, tokens, entry):
    with torch.no_grad():
        torch.testing.assert_close(run_with_edit(model, tokens, entry, lambda r: r, batch=2), model(tokens))


def test_an_edit_of_the_last_entry_is_read_by_the_unembedding(model, tokens):
    edited = run_with_edit(model, tokens, 3, lambda r: 2 * r + 1)
    with torch.no_grad():
        expected = lens.read_out(model, 2 * lens.residual_entries(model, tokens)[3] + 1)
    torch.testing.assert_close(edited, expected)


def test_an_edit_at_one_position_leaves_earlier_positions_alone(model, tokens):
    def edit(residual):
        residual = residual.clone()
        residual[:, 6, 0] += 5
        return residual

    with torch.no_grad():
        change = (run_with_edit(model, tokens, 1, edit) - model(tokens)).abs().amax(-1)
    assert (change[:, :6] == 0).all() and (change[:, 6:] > 1e-5).all()


def test_the_edit_is_undone_after_an_error(model, tokens):
    with torch.no_grad():
        before = model(tokens)

    def broken(residual):
        raise RuntimeError("broken edit")

    with pytest.raises(RuntimeError, match="broken edit"):
        run_with_edit(model, tokens, 1, broken)
    with torch.no_grad():
        assert torch.equal(model(tokens), before)


@pytest.mark.parametrize("entry", [-1, 4])
def test_an_entry_that_is_not_there_is_refused(model, entry):
    with pytest.raises(ValueError, match=f"entry {entry} is out of range: a model of 3 layers has entries 0 to 3"):
        hook_name(model, entry)
