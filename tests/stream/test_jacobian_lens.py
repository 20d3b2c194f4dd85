"""The Jacobian lens against TransformerLens's, against derivatives in closed form, and against small differences."""

import pytest
import torch
from torch import Tensor
from transformer_lens.tools.analysis import JacobianLens as TheirLens

from mechlib.bridge import Shape, TransformerBridge, around, native
from mechlib.stream import (
    JacobianLens,
    fit_jacobian_lens,
    layer_log_probs,
    logit_lens,
    residual_entries,
    running,
)
from mechlib.stream.hooks import hook_name
from tests.architectures import D_VOCAB, KINDS, build
from tests.models import random_weights

SMALL = Shape(n_layers=2, d_model=12, n_heads=2, d_head=6, d_mlp=20, n_ctx=9, d_vocab=30)
UNIFORM = Shape(n_layers=2, d_model=8, n_heads=1, d_head=8, d_mlp=0, n_ctx=7, d_vocab=30)


@pytest.fixture(autouse=True)
def several_passes(monkeypatch):
    """So few copies of a text in a pass that every test takes several, the last one smaller."""
    monkeypatch.setattr(running, "TOKENS_AT_ONCE", 45)


@pytest.fixture(scope="module")
def model() -> TransformerBridge:
    return native(SMALL, random_weights(SMALL, scale=0.5), device="cpu").to(torch.float64, print_details=False)


@pytest.fixture(scope="module")
def tokens() -> Tensor:
    return torch.randint(30, (3, 9), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", ["gpt2", "llama grouped", "gemma2", "gpt-neox"])
def test_against_transformer_lens(name):
    model = around(build(KINDS[name]), name=name)
    tokens = torch.randint(D_VOCAB, (2, 12), generator=torch.Generator().manual_seed(0))
    model.to_tokens = lambda row: tokens[[int(row)]]
    theirs = TheirLens.fit(model, ["0", "1"], corpus="rows", skip_first_positions=3, show_progress=False)
    ours = fit_jacobian_lens(model, tokens, skip=3, progress=False)
    assert theirs.source_layers == [0, 1] and ours.weight.shape == (3, 16, 16)
    read = theirs.readout(model, tokens[:1], return_full_logits=True)
    log_probs = layer_log_probs(model, tokens[0], lens=ours)
    for layer in theirs.source_layers:
        torch.testing.assert_close(ours.weight[layer + 1], theirs.jacobians[layer], atol=1e-4, rtol=0)
        expected = read.lens_logits[layer].log_softmax(-1)
        torch.testing.assert_close(log_probs[layer + 1, 0], expected, atol=1e-4, rtol=0)


def test_of_layers_that_add_a_product(tokens):
    """Attention that is uniform whatever it reads: a layer is a product with a matrix, but for the norm before it.

    The derivative of that norm is ``(C - y y^T / d) / s`` for a normed ``y``; of all positions together, a layer's is
    the identity plus a block for every pair of them, and the Jacobian is the product over layers.
    """
    weights = random_weights(UNIFORM, scale=0.6, seed=3)
    for layer in range(2):
        for name in ("q.weight", "q.bias", "k.weight", "k.bias"):
            weights[f"layers.{layer}.attn.{name}"].zero_()
        weights[f"layers.{layer}.ln1.weight"].fill_(1.0)
        weights[f"layers.{layer}.ln1.bias"].zero_()
    model = native(UNIFORM, weights, device="cpu").to(torch.float64, print_details=False)
    row = tokens[:1, :7]
    entries = residual_entries(model, row)[:, 0]
    pattern = torch.ones(7, 7, dtype=torch.float64).tril()
    pattern /= pattern.sum(1, keepdim=True)
    centring = torch.eye(8, dtype=torch.float64) - 1 / 8

    chain, expected = torch.eye(7 * 8, dtype=torch.float64), []
    for layer in (1, 0):
        moved = (model.W_V[layer, 0] @ model.W_O[layer, 0]).T.detach()
        blocks = torch.zeros(7, 8, 7, 8, dtype=torch.float64)
        for key in range(7):
            centred = centring @ entries[layer, key]
            divisor = (centred.square().mean() + model.cfg.eps).sqrt()
            of_norm = (centring - torch.outer(centred, centred) / divisor**2 / 8) / divisor
            blocks[:, :, key] = pattern[:, key, None, None] * (moved @ of_norm)
        chain = chain @ (torch.eye(7 * 8, dtype=torch.float64) + blocks.reshape(56, 56))
        counted = chain.view(7, 8, 7, 8)[2:6, :, 2:6]
        expected.insert(0, counted.sum((0, 2)) / 4)
    found = fit_jacobian_lens(model, row, skip=2, progress=False)
    torch.testing.assert_close(found.weight, torch.stack(expected), atol=1e-10, rtol=0)


def test_layers_that_add_nothing_have_the_identity(tokens):
    weights = random_weights(SMALL)
    for name, weight in weights.items():
        if name.endswith(("attn.o.weight", "mlp.fc_out.weight")):
            weight.zero_()
    found = fit_jacobian_lens(native(SMALL, weights, device="cpu"), tokens, skip=1, progress=False)
    assert torch.equal(found.weight, torch.eye(12).expand(2, -1, -1))


@pytest.mark.parametrize("entry", [0, 1])
def test_it_is_the_effect_of_a_small_change(model, tokens, entry):
    """The same change at every position of V, summed over those of V: minus itself, a central difference."""
    found = fit_jacobian_lens(model, tokens, skip=2, progress=False)
    change = 1e-5 * torch.randn(12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def last_entry(sign: int) -> Tensor:
        def add(residual: Tensor, hook: object) -> Tensor:
            changed = residual.clone()
            changed[:, 2:8] += sign * change
            return changed

        with model.hooks(fwd_hooks=[(hook_name(model, entry), add)]):
            return residual_entries(model, tokens)[-1, :, 2:8]

    effect = (last_entry(1) - last_entry(-1)).sum(1).mean(0) / 2 / 6
    torch.testing.assert_close(found.weight[entry] @ change, effect, atol=1e-12, rtol=0)


@pytest.mark.parametrize("side", ["left", "right"])
def test_rows_of_unequal_length_count_alike(model, tokens, side):
    mask = torch.ones(3, 9, dtype=torch.bool)
    mask[1, :4] = mask[2, :1] = False
    mask = mask.flip(1) if side == "right" else mask
    found = fit_jacobian_lens(model, tokens, skip=2, attention_mask=mask, progress=False)
    alone = [
        fit_jacobian_lens(model, row[real], skip=2, progress=False) for row, real in zip(tokens, mask, strict=True)
    ]
    expected = torch.stack([lens.weight for lens in alone]).mean(0)
    torch.testing.assert_close(found.weight, expected, atol=1e-10, rtol=0)
    assert (found.origin.n_tokens, found.origin.n_rows) == (22, 3)


def test_as_a_lens(model, tokens):
    found = fit_jacobian_lens(model, tokens, skip=2, progress=False)
    entries = residual_entries(model, tokens)
    for layer in range(2):
        torch.testing.assert_close(found(entries)[layer], entries[layer] @ found.weight[layer].T)
    assert torch.equal(found(entries)[-1], entries[-1])
    assert (logit_lens(model, tokens, lens=found).kl_to_final[-1] == 0).all()
    assert found(entries.bfloat16()).dtype == torch.bfloat16
    with pytest.raises(ValueError, match=r"takes entries of shape \[3, \.\.\., 12\], not \[2,"):
        found(entries[1:])
    identity = JacobianLens(torch.eye(12).expand(2, -1, -1))
    torch.testing.assert_close(identity(entries), entries)


def test_behind_a_cut_the_jacobian_is_zero(model, tokens):
    """A caller's hook puts the same in the place of entry 1: what stood before is not there any more."""
    whole = fit_jacobian_lens(model, tokens[:1], skip=2, progress=False).weight
    with model.hooks(fwd_hooks=[("blocks.0.hook_resid_post", lambda residual, hook: residual.detach().clone())]):
        cut = fit_jacobian_lens(model, tokens[:1], skip=2, progress=False).weight
    assert (cut[0] == 0).all() and whole[0].any()
    torch.testing.assert_close(cut[1:], whole[1:])


def test_in_inference_mode_it_is_the_same(model, tokens):
    expected = fit_jacobian_lens(model, tokens[:1], skip=2, progress=False).weight
    with torch.inference_mode():
        found = fit_jacobian_lens(model, tokens[:1].clone(), skip=2, progress=False).weight
    assert torch.equal(found, expected)


def test_a_stream_that_is_no_number_is_refused(tokens):
    broken = native(SMALL, random_weights(SMALL, scale=0.5), device="cpu")
    broken.blocks[1].ln2.weight.data.fill_(torch.nan)
    with pytest.raises(
        ValueError, match=r"the Jacobian of the last entry in entry 0 is not finite, and so for 1 other"
    ):
        fit_jacobian_lens(broken, tokens[:1], skip=2, progress=False)


def test_what_is_refused(model, tokens):
    with pytest.raises(ValueError, match="row 0 has 9 tokens, and none is left without the first skip=8 and the last"):
        fit_jacobian_lens(model, tokens, skip=8, progress=False)
    with pytest.raises(ValueError, match="skip is a number of tokens, at least 0, not -1"):
        fit_jacobian_lens(model, tokens, skip=-1, progress=False)
