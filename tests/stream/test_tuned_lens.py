"""The tuned lens on a layer that is an affine map, where the best lens is known in closed form."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from mechlib.bridge import Shape, TransformerBridge, native
from mechlib.stream import TunedLens, fit_tuned_lens, logit_lens, residual_entries, running
from mechlib.stream.least_squares import least_squares_maps
from mechlib.stream.tuned_lens import Unfitted
from mechlib.zoo.decoder import Decoder
from tests.models import random_native

AFFINE = Shape(n_layers=1, d_model=16, n_heads=1, d_head=16, d_mlp=0, n_ctx=1, d_vocab=40)


@pytest.fixture(scope="module")
def affine_model() -> TransformerBridge:
    """One layer that adds ``A x + b``.

    A single token attends to itself alone, and embeddings of +1 and -1 in equal number have mean 0 and variance 1, so
    that the layer's norm leaves them (up to its epsilon).
    """
    generator = torch.Generator().manual_seed(0)
    weights = {
        name: torch.zeros_like(w) for name, w in Decoder(AFFINE, 0).state_dict().items() if name != "head.weight"
    }
    signs = torch.tensor([1.0, -1.0]).repeat(AFFINE.d_model // 2)
    order = torch.rand(AFFINE.d_vocab, AFFINE.d_model, generator=generator).argsort(-1)
    weights["tok_embed.weight"] = signs[order]
    weights["layers.0.ln1.weight"].fill_(1.0)
    weights["ln_out.weight"].fill_(0.3)  # soft distributions: every direction then matters to KL
    for name in ("layers.0.attn.v.weight", "layers.0.attn.o.weight", "layers.0.attn.o.bias"):
        weights[name].normal_(0, 0.25, generator=generator)
    return native(AFFINE, weights, device="cpu")


@pytest.fixture(scope="module")
def every_token() -> Tensor:
    return torch.arange(AFFINE.d_vocab)[:, None]


def closed_form(model: TransformerBridge) -> TunedLens:
    weight = (model.W_V[0, 0] @ model.W_O[0, 0]).T.detach()
    return TunedLens(weight[None], model.b_O.detach(), torch.zeros(1), torch.zeros(1))


@pytest.fixture(scope="module")
def fitted(affine_model, every_token) -> TunedLens:
    return fit_tuned_lens(affine_model, every_token, steps=500, rows=40, learning_rate=3e-2, progress=False)


SMALL = Shape(n_layers=2, d_model=16, n_heads=2, d_head=8, d_mlp=32, n_ctx=12, d_vocab=30)


@pytest.fixture(scope="module")
def model() -> TransformerBridge:
    return random_native(SMALL, scale=0.5, seed=1)


@pytest.fixture(scope="module")
def tokens() -> Tensor:
    return torch.randint(SMALL.d_vocab, (12, SMALL.n_ctx), generator=torch.Generator().manual_seed(2))


class TestClosedForm:
    def test_the_layer_itself_is_a_perfect_lens(self, affine_model, every_token):
        result = logit_lens(affine_model, every_token, lens=closed_form(affine_model))
        assert logit_lens(affine_model, every_token).kl_to_final[0].mean() > 0.1
        assert result.kl_to_final.max() < 1e-5

    def test_training_recovers_it(self, affine_model, every_token, fitted):
        assert fitted.kl_after < 1e-4 * fitted.kl_before
        entries = residual_entries(affine_model, every_token)
        ours, exact = (_direction(lens(entries)[0]) for lens in (fitted, closed_form(affine_model)))
        assert torch.linalg.vecdot(ours, exact).min() > 0.999

    def test_the_recorded_kl_is_that_of_the_logit_lens(self, affine_model, every_token, fitted):
        for lens, recorded in ((None, fitted.kl_before), (fitted, fitted.kl_after)):
            kl = logit_lens(affine_model, every_token, lens=lens).kl_to_final[:-1].mean((1, 2))
            torch.testing.assert_close(recorded, kl)


def _direction(residual: Tensor) -> Tensor:
    """What the final norm keeps of a vector: its mean and its length are lost."""
    centred = residual - residual.mean(-1, keepdim=True)
    return (centred / centred.norm(dim=-1, keepdim=True)).flatten(0, -2)


class TestFit:
    @pytest.mark.filterwarnings("ignore:training brought no entry closer")
    def test_no_entry_gets_worse(self, model, tokens):
        for learning_rate in (3e-3, 10.0):
            tuned = fit_tuned_lens(model, tokens, steps=20, rows=32, learning_rate=learning_rate, progress=False)
            assert (tuned.kl_after <= tuned.kl_before).all()
            kl = logit_lens(model, tokens, lens=tuned).kl_to_final[:-1].mean((1, 2))
            torch.testing.assert_close(kl, tuned.kl_after, atol=1e-5, rtol=1e-5)

    def test_where_training_spoils_every_entry_the_lens_is_the_identity_and_says_so(self, model, tokens):
        with pytest.warns(Unfitted, match="this lens is the identity"):
            tuned = fit_tuned_lens(model, tokens, steps=3, rows=2, learning_rate=float("inf"), progress=False)
        assert (tuned.weight == 0).all() and (tuned.bias == 0).all()
        assert torch.equal(tuned.kl_after, tuned.kl_before)

    @pytest.mark.filterwarnings("ignore:training brought no entry closer")
    def test_an_entry_that_training_spoils_keeps_the_identity(self, model, tokens):
        """After three steps as large as these, chance says which entries are closer than they were."""
        tuned = fit_tuned_lens(model, tokens, steps=3, rows=2, learning_rate=1e4, progress=False)
        moved = (tuned.weight != 0).flatten(1).any(1) | (tuned.bias != 0).any(1)
        assert torch.equal(moved, tuned.kl_after < tuned.kl_before)
        assert torch.equal(tuned.kl_after[~moved], tuned.kl_before[~moved])

    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 0.01), (torch.bfloat16, 0.05)], ids=str)
    def test_a_model_in_half_precision_is_fitted_as_in_single(self, model, tokens, dtype, tolerance):
        """Up to the model's own rounding. In half precision itself a step of Adam divides by an epsilon that is 0."""
        half = copy.deepcopy(model).to(dtype, print_details=False)
        fits = [fit_tuned_lens(m, tokens, steps=40, rows=64, progress=False) for m in (model, half)]
        single, ours = fits
        assert ours.weight.dtype == ours.bias.dtype == torch.float32
        assert (ours.kl_after < 0.9 * ours.kl_before).all()
        torch.testing.assert_close(ours.kl_before, single.kl_before, atol=0, rtol=tolerance)
        torch.testing.assert_close(ours.kl_after, single.kl_after, atol=0, rtol=tolerance)
        entries = residual_entries(half, tokens)
        assert ours(entries).dtype == dtype and torch.equal(ours(entries)[-1], entries[-1])
        in_single = single(entries.float())
        torch.testing.assert_close(ours(entries).float(), in_single, atol=tolerance * float(in_single.std()), rtol=0.05)

    def test_a_model_in_double_precision_is_fitted_in_it(self, model, tokens):
        double = copy.deepcopy(model).to(torch.float64, print_details=False)
        single, ours = (fit_tuned_lens(m, tokens, steps=20, rows=64, progress=False) for m in (model, double))
        assert ours.weight.dtype == torch.float64
        torch.testing.assert_close(ours.kl_after.float(), single.kl_after, atol=1e-4, rtol=1e-3)
        assert single(residual_entries(double, tokens)).dtype == torch.float64

    def test_training_helps_a_random_model(self, model, tokens):
        tuned = fit_tuned_lens(model, tokens, steps=100, rows=64, progress=False)
        assert (tuned.kl_after < 0.8 * tuned.kl_before).all()

    def test_tokens_that_are_ruled_out_count_nothing(self, model, tokens):
        """As where their logits are so low that nothing of their probability is left."""
        fits = []
        for low in (-torch.inf, -1e4):
            ruled = copy.deepcopy(model)
            with torch.no_grad():
                ruled.unembed.b_U[20:] = low
            fits.append(fit_tuned_lens(ruled, tokens, steps=20, rows=64, progress=False))
        out, low = fits
        assert (out.kl_after < 0.9 * out.kl_before).all()
        for name in ("weight", "bias", "kl_before", "kl_after"):
            torch.testing.assert_close(getattr(out, name), getattr(low, name), atol=1e-5, rtol=1e-4)

    def test_a_model_without_a_distribution_is_refused(self, model, tokens):
        broken = copy.deepcopy(model)
        with torch.no_grad():
            broken.pos_embed.weight[7] = torch.nan
        with pytest.raises(ValueError, match="entry 0 gives no distribution for row 0 at position 7"):
            fit_tuned_lens(broken, tokens, progress=False)

    def test_the_last_entry_is_left_to_the_bit(self, model, tokens):
        entries = residual_entries(model, tokens)
        tuned = fit_tuned_lens(model, tokens, steps=5, rows=16, progress=False)
        assert torch.equal(tuned(entries)[-1], entries[-1])
        assert not torch.equal(tuned(entries)[0], entries[0])
        assert (logit_lens(model, tokens, lens=tuned).kl_to_final[-1] == 0).all()

    def test_each_entry_has_its_own_map(self, model, tokens):
        tuned = fit_tuned_lens(model, tokens, steps=5, rows=16, progress=False)
        entries = residual_entries(model, tokens)
        for layer in range(SMALL.n_layers):
            by_hand = entries[layer] + entries[layer] @ tuned.weight[layer].T + tuned.bias[layer]
            torch.testing.assert_close(tuned(entries)[layer], by_hand)

    def test_the_seed_decides(self, model, tokens):
        first, again, other = (
            fit_tuned_lens(model, tokens, steps=5, rows=16, seed=seed, progress=False) for seed in (0, 0, 1)
        )
        assert torch.equal(first.weight, again.weight)
        assert torch.equal(first.bias, again.bias)
        assert not torch.equal(first.weight, other.weight)

    def test_the_model_and_the_global_generator_stay_as_they_were(self, model, tokens):
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        state = torch.get_rng_state()
        model.train()
        try:
            with torch.no_grad():
                fit_tuned_lens(model, tokens, steps=3, rows=16, progress=False)
            assert all(module.training for module in model.modules())
        finally:
            model.eval()
        assert torch.equal(torch.get_rng_state(), state)
        for name, parameter in model.named_parameters():
            assert torch.equal(parameter, before[name])
            assert parameter.requires_grad
            assert parameter.grad is None


class TestLeastSquares:
    def test_an_affine_layer_is_found_without_training(self, affine_model, every_token):
        tuned = fit_tuned_lens(affine_model, every_token, start="least-squares", ridge=1e-9, steps=0, progress=False)
        assert tuned.kl_after < 1e-5 * tuned.kl_before

    @pytest.mark.parametrize("side", [None, "left", "right"])
    def test_the_maps_are_those_of_numpy(self, model, tokens, side, monkeypatch):
        """Rows divided by the length of the last entry, and one more for every component of the penalty."""
        monkeypatch.setattr(running, "TOKENS_AT_ONCE", 30)
        mask = torch.ones_like(tokens, dtype=torch.bool)
        if side is not None:
            mask[1, :5] = mask[4, :1] = False
            mask = mask.flip(1) if side == "right" else mask
        maps, biases = least_squares_maps(model, tokens, None if side is None else mask, ridge=0.1)
        entries = residual_entries(model, tokens, attention_mask=mask)[:, mask].double()
        shares = 1 / entries[-1].square().mean(-1)
        shares = shares / shares.sum()
        for layer, (found, bias) in enumerate(zip(maps, biases, strict=True)):
            x = entries[layer]
            centred = x - (shares[:, None] * x).sum(0)
            variance = (shares[:, None] * centred.square()).sum(0).mean()
            penalty = torch.cat([(0.1 * variance).sqrt() * torch.eye(16, dtype=torch.float64), torch.zeros(16, 1)], 1)
            design = torch.cat([torch.cat([x, torch.ones_like(x[:, :1])], 1) * shares[:, None].sqrt(), penalty])
            wanted = torch.cat([(entries[-1] - x) * shares[:, None].sqrt(), torch.zeros(16, 16)])
            solution = torch.from_numpy(np.linalg.lstsq(design.numpy(), wanted.numpy(), rcond=None)[0])
            torch.testing.assert_close(found.T, solution[:-1], atol=1e-9, rtol=0)
            torch.testing.assert_close(bias, solution[-1], atol=1e-9, rtol=0)

    def test_it_is_kept_on_text_that_it_was_not_fitted_to(self, model):
        drawn = torch.randint(SMALL.d_vocab, (60, SMALL.n_ctx), generator=torch.Generator().manual_seed(4))
        tuned = fit_tuned_lens(model, drawn[:50], start="least-squares", steps=0, progress=False)
        plain, ours = (logit_lens(model, drawn[50:], lens=lens).kl_to_final.mean((1, 2)) for lens in (None, tuned))
        assert (ours[:-1] < 0.3 * plain[:-1]).all()
        trained = fit_tuned_lens(model, drawn[:50], start="least-squares", steps=20, rows=64, progress=False)
        assert (trained.kl_after < tuned.kl_after).any() and (trained.kl_after < trained.kl_before).all()

    def test_all_of_the_penalty_is_the_identity(self, model, tokens):
        tuned = fit_tuned_lens(model, tokens, start="least-squares", ridge=1e9, steps=0, progress=False)
        assert tuned.weight.abs().max() < 1e-6

    def test_some_rows_judge(self, model, tokens):
        tuned = fit_tuned_lens(model, tokens, start="least-squares", steps=0, judged=3, progress=False)
        for lens, recorded in ((None, tuned.kl_before), (tuned, tuned.kl_after)):
            kl = logit_lens(model, tokens[:3], lens=lens).kl_to_final[:-1].mean((1, 2))
            torch.testing.assert_close(recorded, kl, atol=1e-6, rtol=1e-5)


class TestStrangers:
    @pytest.mark.parametrize("how", [{"start": "least-squares", "steps": 0}, {"steps": 3, "rows": 16}])
    def test_in_inference_mode_it_is_the_same(self, model, tokens, how):
        expected = fit_tuned_lens(model, tokens, **how, progress=False)
        with torch.inference_mode():
            found = fit_tuned_lens(model, tokens.clone(), **how, progress=False)
        assert torch.equal(found.weight, expected.weight) and torch.equal(found.kl_after, expected.kl_after)

    def test_a_stream_that_is_no_number_where_nothing_is_judged_is_refused(self, tokens):
        broken = random_native(SMALL)
        broken.W_E.data[29] = torch.nan
        some, last = tokens[:2].clamp(max=28), torch.full_like(tokens[:1], 29)
        with pytest.raises(ValueError, match="the residual stream is not finite on these tokens"):
            fit_tuned_lens(broken, torch.cat([some, last]), start="least-squares", steps=0, judged=2, progress=False)

    def test_one_token_leaves_nothing_to_learn_but_the_difference(self, model):
        tuned = fit_tuned_lens(model, torch.tensor([[3]]), start="least-squares", steps=0, progress=False)
        entries = residual_entries(model, torch.tensor([[3]]))
        torch.testing.assert_close(tuned(entries)[:-1], entries[-1:].expand_as(entries[:-1]), atol=1e-5, rtol=1e-5)
        assert (tuned.weight == 0).all()

    def test_a_vocabulary_of_two(self):
        tiny = random_native(Shape(n_layers=1, d_model=4, n_heads=1, d_head=4, d_mlp=4, n_ctx=2, d_vocab=2))
        rows = torch.tensor([[0, 1], [1, 1], [1, 0]])
        tuned = fit_tuned_lens(tiny, rows, start="least-squares", steps=0, progress=False)
        assert (tuned.kl_after <= tuned.kl_before).all()
        assert logit_lens(tiny, rows).top_ids.shape == (2, 3, 2, 2)
        with pytest.raises(ValueError, match=r"top_k is from 0 to 2 \(d_vocab\), not 3"):
            logit_lens(tiny, rows, top_k=3)


class TestBadInput:
    @pytest.mark.parametrize("bad", [{"steps": 0}, {"rows": 0}])
    def test_steps_and_rows(self, model, tokens, bad):
        with pytest.raises(ValueError, match=rf"at least 1.*{next(iter(bad))}=0"):
            fit_tuned_lens(model, tokens, **bad, progress=False)

    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            ({"start": "ridge"}, "start is one of identity, least-squares, not 'ridge'"),
            ({"ridge": -1.0}, r"ridge is at least 0: not .*ridge=-1\.0"),
            ({"judged": 13}, "judged is a number of the 12 rows of tokens, not 13"),
        ],
    )
    def test_settings(self, model, tokens, bad, message):
        with pytest.raises(ValueError, match=message):
            fit_tuned_lens(model, tokens, **bad, progress=False)

    def test_tokens(self, model):
        with pytest.raises(ValueError, match="longer than the model's context of 12"):
            fit_tuned_lens(model, torch.zeros(1, 13, dtype=torch.long), progress=False)

    @pytest.mark.parametrize("shape", [(3, 5, 16), (2, 5, 15), (1,)])
    def test_entries_of_another_model(self, fitted, shape):
        with pytest.raises(ValueError, match=r"takes entries of shape \[2, \.\.\., 16\], not \["):
            fitted(torch.zeros(shape))
