"""Circuits against the dense product, against TransformerLens on folded weights, and against heads built by hand."""

import pytest
import torch

from mechlib.bridge import Shape, from_transformers, native
from mechlib.heads import composition_scores, copying_scores, matrices, ov_circuit, qk_circuit
from tests.architectures import KINDS, build
from tests.models import random_native, random_weights

SHAPE = Shape(n_layers=2, d_model=24, n_heads=3, d_head=8, d_mlp=0, n_ctx=10, d_vocab=31)


@pytest.fixture(scope="module")
def llama_folder(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("llama")
    build(KINDS["llama grouped"]).save_pretrained(folder)
    return str(folder)


@pytest.fixture(params=["native", "gpt2", "llama"])
def plain_and_folded(request, gpt2_folder, llama_folder):
    """A model, and the same after TransformerLens has folded its norms and centred its weights."""
    build = {
        "native": lambda: random_native(SHAPE, seed=3),
        "gpt2": lambda: from_transformers(gpt2_folder, device="cpu"),
        "llama": lambda: from_transformers(llama_folder, device="cpu"),
    }[request.param]
    plain, folded = build(), build()
    with torch.no_grad():
        for model in (plain, folded):
            for block in model.blocks:
                block.ln1.weight.copy_(torch.linspace(0.2, 2, len(block.ln1.weight)))
            model.ln_final.weight.copy_(torch.linspace(-1, 1.5, len(model.ln_final.weight)))
        folded.enable_compatibility_mode()
    return plain, folded


class TestTheDenseMatrices:
    @pytest.mark.parametrize(("layer", "head"), [(0, 1), (1, 0)])
    def test_raw_weights(self, model, layer, head):
        ov = model.W_E @ model.W_V[layer, head] @ model.W_O[layer, head] @ model.W_U
        torch.testing.assert_close(ov_circuit(model, layer, head, fold=False).AB, ov, atol=1e-4, rtol=1e-4)
        queries, keys = model.W_E @ model.W_Q[layer, head], model.W_E @ model.W_K[layer, head]
        qk = queries @ keys.T / model.cfg.d_head**0.5
        torch.testing.assert_close(qk_circuit(model, layer, head, fold=False).AB, qk, atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize("circuit", [qk_circuit, ov_circuit])
    def test_folded_as_transformer_lens_folds(self, plain_and_folded, circuit):
        plain, folded = plain_and_folded
        ours, theirs = circuit(plain, 1, 1).AB, circuit(folded, 1, 1, fold=False).AB
        torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=1e-4)
        assert (circuit(plain, 1, 1, fold=False).AB - theirs).abs().max() > 0.1

    def test_folding_a_folded_model_changes_nothing(self, plain_and_folded):
        _, folded = plain_and_folded
        once, twice = ov_circuit(folded, 0, 1, fold=False).AB, ov_circuit(folded, 0, 1).AB
        torch.testing.assert_close(once, twice, atol=2e-4, rtol=1e-4)

    def test_the_ov_circuit_is_what_attention_does_to_the_logits(self):
        """Every token attends to itself alone; its row of the circuit is read off a run, the norms' division undone."""
        shape = Shape(n_layers=1, d_model=24, n_heads=1, d_head=8, d_mlp=0, n_ctx=31, d_vocab=31)
        own = {
            k: torch.zeros_like(w) if k.endswith("bias") or k.startswith("pos") else w
            for k, w in random_weights(shape, seed=3).items()
        }
        model = native(shape, own, device="cpu")
        with (
            torch.no_grad(),
            model.hooks(
                fwd_hooks=[("blocks.0.attn.hook_pattern", lambda pattern, hook: torch.eye(31).expand_as(pattern))]
            ),
        ):
            _, cache = model.run_with_cache(torch.arange(31)[None])
            written = cache["blocks.0.hook_attn_out"][0] * cache["blocks.0.ln1.hook_scale"][0]
            centred = written - written.mean(-1, keepdim=True)
            logits = centred * model.ln_final.weight @ model.W_U
        expected = logits - logits.mean(-1, keepdim=True)
        torch.testing.assert_close(ov_circuit(model, 0, 0).AB, expected, atol=1e-4, rtol=1e-4)


class TestCopying:
    def test_against_the_eigenvalues_of_the_dense_circuit(self, model):
        for layer, head in ((0, 0), (1, 1)):
            dense = ov_circuit(model, layer, head).AB.double()
            eigenvalues = torch.linalg.eigvals(dense)
            expected = eigenvalues.real.sum() / eigenvalues.abs().sum()
            assert copying_scores(model)[layer, head].item() == pytest.approx(expected.item(), abs=1e-3)
        assert copying_scores(model).shape == (model.cfg.n_layers, model.cfg.n_heads)

    @pytest.mark.parametrize("fold", [True, False])
    def test_a_head_that_copies_and_one_that_does_the_opposite(self, fold):
        """With ``W_O = W_V^T`` and a tied unembedding all eigenvalues are at least 0; with the other sign, at most."""
        own = random_weights(SHAPE, seed=3)
        del own["head.weight"]
        own |= {name: torch.ones_like(w) for name, w in own.items() if name.endswith(("ln1.weight", "ln_out.weight"))}
        value = own["layers.0.attn.v.weight"]
        out = value.T.clone()
        out[:, 8:16] *= -1
        out[:, 16:] = 0
        model = native(SHAPE, own | {"layers.0.attn.o.weight": out}, device="cpu")
        scores = copying_scores(model, fold=fold)
        torch.testing.assert_close(scores[0, :2], torch.tensor([1.0, -1.0]), atol=1e-4, rtol=0)
        assert scores[0, 2].isnan()
        assert scores[1].abs().max() < 0.9


class TestComposition:
    @pytest.mark.parametrize("kind", ["Q", "K", "V"])
    def test_against_transformer_lens(self, plain_and_folded, kind):
        plain, folded = plain_and_folded
        theirs = plain.all_composition_scores(kind).scores
        ours = composition_scores(plain, kind, fold=False).ratio
        torch.testing.assert_close(ours.nan_to_num(0.0), theirs, atol=1e-5, rtol=0)
        of_folded = folded.all_composition_scores(kind).scores
        torch.testing.assert_close(composition_scores(plain, kind).ratio.nan_to_num(0.0), of_folded, atol=1e-5, rtol=0)

    def test_only_a_lower_layer_can_be_read(self, model):
        ratio = composition_scores(model, "K").ratio
        layers = torch.arange(model.cfg.n_layers)
        defined = ~ratio.isnan().all(3).all(1)
        assert torch.equal(defined, layers[:, None] < layers)
        assert 0 <= ratio[~ratio.isnan()].min() <= ratio[~ratio.isnan()].max() <= 1

    def test_one_channel_written_and_read(self):
        """The writer writes along one direction; the reader's keys read along it, or along another."""
        own, along, across = random_weights(SHAPE, seed=3), torch.zeros(24), torch.zeros(24)
        along[:2], across[2:4] = torch.tensor([1.0, -1.0]), torch.tensor([1.0, -1.0])
        code = torch.randn(8, generator=torch.Generator().manual_seed(0))
        own["layers.0.attn.o.weight"] = torch.outer(along, code.repeat(3))
        own["layers.1.attn.k.weight"] = torch.cat([torch.outer(code, d) for d in (along, across, along + across)])
        own |= {name: torch.ones_like(w) for name, w in own.items() if name.endswith("ln1.weight")}
        model = native(SHAPE, own, device="cpu")
        for fold in (True, False):
            ratio = composition_scores(model, "K", fold=fold).ratio[0, 0, 1]
            torch.testing.assert_close(ratio, torch.tensor([1.0, 0.0, 0.5**0.5]), atol=1e-4, rtol=0)

    @pytest.mark.parametrize("fold", [True, False])
    @pytest.mark.parametrize("kind", ["Q", "K", "V"])
    def test_random_matrices_are_at_the_baseline(self, fold, kind):
        shape = Shape(n_layers=4, d_model=32, n_heads=8, d_head=8, d_mlp=0, n_ctx=4, d_vocab=5)
        own = random_weights(shape, seed=3)
        own |= {name: torch.ones_like(w) for name, w in own.items() if name.endswith("ln1.weight")}
        scores = composition_scores(native(shape, own, device="cpu"), kind, fold=fold)
        pairs = scores.ratio[~scores.ratio.isnan()]
        assert len(pairs) == 6 * 64
        assert pairs.pow(2).mean().sqrt().item() == pytest.approx(scores.baseline, rel=0.02)
        assert scores.excess[~scores.ratio.isnan()].mean().abs() < 0.02 * scores.baseline


class TestMemory:
    SHAPE = Shape(n_layers=2, d_model=16, n_heads=2, d_head=4, d_mlp=0, n_ctx=6, d_vocab=3001)

    @pytest.mark.parametrize(
        "call",
        [
            copying_scores,
            lambda model: composition_scores(model, "V"),
            lambda model: qk_circuit(model, 1, 1).eigenvalues,
            lambda model: ov_circuit(model, 1, 1).norm(),
        ],
        ids=["copying", "composition", "qk", "ov"],
    )
    def test_the_vocabulary_never_meets_itself(self, largest_tensor, call):
        model = random_native(self.SHAPE, seed=3)
        assert largest_tensor(lambda: call(model)) <= self.SHAPE.d_vocab * self.SHAPE.d_model


class TestBadInput:
    @pytest.mark.parametrize("circuit", [qk_circuit, ov_circuit])
    @pytest.mark.parametrize(("layer", "head"), [(3, 0), (-1, 0), (0, 2), (0, -1)])
    def test_heads(self, small, circuit, layer, head):
        message = rf"no head {head} in layer {layer}: layers are 0 to 2, heads 0 to 1"
        with pytest.raises(ValueError, match=message):
            circuit(small, layer, head)

    @pytest.mark.parametrize("kind", ["q", "QK", None])
    def test_kinds(self, small, kind):
        with pytest.raises(ValueError, match=f"kind is one of Q, K, V, not {kind!r}"):
            composition_scores(small, kind)

    @pytest.mark.parametrize(
        "call",
        [
            copying_scores,
            lambda m: composition_scores(m, "Q"),
            lambda m: qk_circuit(m, 0, 0),
            lambda m: ov_circuit(m, 0, 0),
        ],
        ids=["copying", "composition", "qk", "ov"],
    )
    def test_a_kind_whose_norms_are_not_known(self, small, monkeypatch, call):
        monkeypatch.setattr(matrices, "FOLDABLE", frozenset())
        with pytest.raises(ValueError, match="fold=True is not for a native, whose norms are not known here"):
            call(small)
        assert copying_scores(small, fold=False).shape == (3, 2)
