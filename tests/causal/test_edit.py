import pytest
import torch

from mechlib import bridge, stream
from mechlib.causal import entries_with_edit, run_with_edit
from mechlib.stream.hooks import hook_name
from tests.models import untrained

SHAPE = bridge.Shape(n_layers=3, d_model=24, n_heads=3, d_head=8, d_mlp=40, n_ctx=17, d_vocab=53)


@pytest.fixture(scope="module")
def model():
    return untrained(SHAPE, seed=1)


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
        expected = stream.read_out(model, 2 * stream.residual_entries(model, tokens)[3] + 1)
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


@pytest.mark.parametrize("entry", range(4))
def test_the_entries_of_an_edited_run_are_those_behind_its_logits(model, tokens, entry):
    entries = entries_with_edit(model, tokens, entry, lambda r: 2 * r + 1, batch=2)
    intact = stream.residual_entries(model, tokens)
    torch.testing.assert_close(entries[:entry], intact[:entry])
    torch.testing.assert_close(entries[entry], 2 * intact[entry] + 1)
    with torch.no_grad():
        read = stream.read_out(model, entries[-1])
    torch.testing.assert_close(read, run_with_edit(model, tokens, entry, lambda r: 2 * r + 1))


@pytest.mark.parametrize("entry", [-1, 4])
def test_an_entry_that_is_not_there_is_refused(model, entry):
    with pytest.raises(ValueError, match=f"entry {entry} is out of range: a model of 3 layers has entries 0 to 3"):
        hook_name(model, entry)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"tokens": torch.tensor([[0, 53]])}, ValueError, r"hold 53 at \[0, 1\]; token ids are from 0 to 52"),
        ({"tokens": torch.rand(2, 3)}, TypeError, "are torch.float32"),
        ({"tokens": torch.zeros(2, 18, dtype=torch.long)}, ValueError, "longer than the model's context of 17"),
        ({"entry": 4}, ValueError, "entry 4 is out of range"),
        ({"batch": 0}, ValueError, "batch is 0"),
        ({"edit": lambda residual: None}, TypeError, "edit returned NoneType"),
        (
            {"edit": lambda residual: residual[:, :1]},
            ValueError,
            r"the shape \(5, 1, 24\) for a stream of \(5, 11, 24\)",
        ),
    ],
)
@pytest.mark.parametrize("run", [run_with_edit, entries_with_edit])
def test_bad_input_is_refused(model, tokens, change, error, said, run):
    with pytest.raises(error, match=said):
        run(**{"model": model, "tokens": tokens, "entry": 1, "edit": lambda residual: residual} | change)


def test_the_axis_of_positions_alone_is_a_batch_of_one(model, tokens):
    alone, together = (run_with_edit(model, given, 1, torch.neg) for given in (tokens[0], tokens[:1]))
    assert torch.equal(alone, together)
