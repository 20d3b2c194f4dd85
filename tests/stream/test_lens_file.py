"""A tuned lens on disk: what comes back, and what is refused."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mechlib.bridge import Shape, TransformerBridge, native, weights_digest
from mechlib.stream import JacobianLens, TunedLens, fit_jacobian_lens, fit_tuned_lens, logit_lens
from mechlib.stream.tuned_lens import TunedOrigin
from tests.models import random_weights

SMALL = Shape(n_layers=2, d_model=16, n_heads=2, d_head=8, d_mlp=32, n_ctx=12, d_vocab=30)


def model(seed: int = 1, name: str = "small") -> TransformerBridge:
    return native(SMALL, random_weights(SMALL, scale=0.5, seed=seed), name=name, device="cpu")


@pytest.fixture(scope="module")
def tokens() -> Tensor:
    return torch.randint(SMALL.d_vocab, (12, SMALL.n_ctx), generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def lens(tokens) -> TunedLens:
    return fit_tuned_lens(model(), tokens, steps=20, progress=False)


@pytest.fixture
def path(lens, tmp_path):
    lens.save(tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


def test_what_was_saved_comes_back_to_the_bit(lens, path, tokens):
    found = TunedLens.load(path, model())
    for name in ("weight", "bias", "kl_before", "kl_after"):
        assert torch.equal(getattr(found, name), getattr(lens, name))
    assert found.origin == lens.origin and [*path.parent.iterdir()] == [path]
    ours, theirs = (logit_lens(model(), tokens, lens=each).kl_to_final for each in (lens, found))
    assert torch.equal(ours, theirs)


def test_a_loaded_lens_stands_when_its_file_is_emptied(lens, path):
    """Numbers read from the file as a map of memory would end the process here."""
    found = TunedLens.load(path, model())
    path.write_bytes(b"")
    assert torch.equal(found.weight, lens.weight)


def test_a_lens_says_what_it_was_fitted_to(lens, tokens):
    origin = lens.origin
    assert (origin.model, origin.weights, origin.n_tokens) == ("small", weights_digest(model()), 144)
    assert (origin.steps, origin.rows, origin.learning_rate, origin.seed) == (20, 256, 3e-3, 0)
    mask = torch.ones(12, 12, dtype=torch.bool)
    mask[3, 7:] = False
    masked = TunedOrigin.of(model(), tokens, mask, steps=1, rows=1, learning_rate=0.1, seed=0)
    other = torch.where(mask, tokens, (tokens + 1) % 30)
    assert masked.n_tokens == 139 and masked.tokens != origin.tokens
    assert masked.tokens == TunedOrigin.of(model(), other, mask, steps=1, rows=1, learning_rate=0.1, seed=0).tokens


def test_another_model_is_refused_by_both_names(path, lens):
    other = model(seed=4, name="other")
    ours, theirs = (digest[:12] for digest in (lens.origin.weights, weights_digest(other)))
    with pytest.raises(ValueError, match=f"'small' with weights {ours}.*is 'other' with weights {theirs}") as raised:
        TunedLens.load(path, other)
    assert str(raised.value).startswith(str(path))
    with pytest.raises(ValueError, match="the model given is 'small'"):
        TunedLens.load(path, model(seed=4))
    with pytest.raises(TypeError, match="model is a TransformerBridge"):
        TunedLens.load(path, torch.nn.Linear(2, 2))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.5, 0.999])
def test_a_file_cut_short_is_named(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"small\.safetensors is damaged"):
        TunedLens.load(path, model())


@pytest.mark.parametrize("place", [9, 60, 200, -1, -2000])
def test_a_changed_byte_is_found(path, place):
    whole = bytearray(path.read_bytes())
    whole[place] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"small\.safetensors (is damaged|is a file of safetensors that)"):
        TunedLens.load(path, model())


def test_files_of_others_are_named(tmp_path, path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ValueError, match=r"foreign\.safetensors is a file of safetensors that TunedLens\.save did not"):
        TunedLens.load(tmp_path / "foreign.safetensors", model())
    (tmp_path / "notes.txt").write_text("a lens, I think")
    with pytest.raises(ValueError, match=r"notes\.txt is damaged, or no file of safetensors"):
        TunedLens.load(tmp_path / "notes.txt", model())
    save_file(load_file(path), tmp_path / "later.safetensors", {"mechlib.TunedLens": json.dumps({"version": 2})})
    with pytest.raises(ValueError, match="has version 2 of the format; this mechlib reads version 1"):
        TunedLens.load(tmp_path / "later.safetensors", model())
    with pytest.raises(FileNotFoundError):
        TunedLens.load(tmp_path / "none.safetensors", model())


def test_what_is_there_is_replaced_only_if_that_is_said(path, lens):
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True replaces it"):
        lens.save(path)
    lens.save(path, overwrite=True)
    assert path.read_bytes() == before, "the same lens is the same bytes"


def test_a_jacobian_lens_is_kept_in_the_same_way(tmp_path, tokens, path):
    lens = fit_jacobian_lens(model(), tokens, skip=2, progress=False)
    lens.save(tmp_path / "jacobian.safetensors")
    found = JacobianLens.load(tmp_path / "jacobian.safetensors", model())
    assert torch.equal(found.weight, lens.weight) and found.origin == lens.origin
    assert (found.origin.model, found.origin.n_rows, found.origin.skip) == ("small", 12, 2)
    with pytest.raises(ValueError, match="holds a lens of 'small'"):
        JacobianLens.load(tmp_path / "jacobian.safetensors", model(seed=4))
    with pytest.raises(
        ValueError, match=r"small\.safetensors is a file of safetensors that JacobianLens\.save did not"
    ):
        JacobianLens.load(path, model())
    with pytest.raises(
        ValueError, match=r"jacobian\.safetensors is a file of safetensors that TunedLens\.save did not"
    ):
        TunedLens.load(tmp_path / "jacobian.safetensors", model())


def test_a_lens_made_by_hand_belongs_to_no_model(tmp_path):
    lens = TunedLens(torch.zeros(2, 16, 16), torch.zeros(2, 16), torch.zeros(2), torch.zeros(2))
    with pytest.raises(ValueError, match="this lens has no origin"):
        lens.save(tmp_path / "a.safetensors")


def test_a_digest_is_of_names_shapes_and_numbers():
    class Pair(torch.nn.Module):
        def __init__(self, **weights: Tensor):
            super().__init__()
            for name, weight in weights.items():
                self.register_parameter(name, torch.nn.Parameter(weight))

    a, b = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.5])
    one = weights_digest(Pair(a=a, b=b))
    for same in (Pair(b=b, a=a), Pair(a=a.double(), b=b), Pair(a=a.half(), b=b.bfloat16())):
        assert weights_digest(same) == one
    for other in (Pair(a=b, b=a), Pair(a=a, c=b), Pair(a=a[None], b=b), Pair(a=a, b=b + 1e-6)):
        assert weights_digest(other) != one
