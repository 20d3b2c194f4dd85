"""Every kind of model read from a folder computes what ``transformers`` does, and its circuits are of its own weights.

Held to modules and weights of ``transformers`` in double precision (``tests/architectures.py``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
import transformers
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mechlib import heads, stream, text, zoo
from mechlib.bridge import TransformerBridge, shuffled
from mechlib.causal import ablate
from mechlib.heads.matrices import FOLDABLE
from tests.architectures import (
    D_VOCAB,
    FALCON,
    GPT2,
    GROUPS,
    KINDS,
    LLAMA,
    N_HEADS,
    N_LAYERS,
    N_POS,
    OPT,
    Kind,
    Reference,
    build,
    undivided,
)

TOKENS = torch.randint(D_VOCAB, (3, N_POS), generator=torch.Generator().manual_seed(0))
NORMED = [name for name, kind in KINDS.items() if kind.foldable]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Kind], str]:
    """``folder(kind)``: a model of that kind, saved as ``transformers`` saves it, once in a session."""
    made: dict[str, str] = {}

    def save(kind: Kind) -> str:
        key = repr(kind)
        if key not in made:
            made[key] = str(tmp_path_factory.mktemp(kind.config))
            build(kind).save_pretrained(made[key])
        return made[key]

    return save


def original(path: str, dtype: torch.dtype = torch.float64) -> torch.nn.Module:
    load = transformers.AutoModelForCausalLM.from_pretrained
    return load(path, dtype=dtype, attn_implementation="eager").eval().requires_grad_(False)


@pytest.fixture(scope="module")
def both(request, folder) -> tuple[TransformerBridge, Reference]:
    kind = KINDS[request.param]
    path = folder(kind)
    return zoo.load(path, device="cpu", dtype=torch.float64), Reference(original(path), kind)


every_kind = pytest.mark.parametrize("both", KINDS, indirect=True)
every_foldable_kind = pytest.mark.parametrize("both", NORMED, indirect=True)


def assert_equal(ours: Tensor, theirs: Tensor, tolerance: float = 1e-8) -> None:
    torch.testing.assert_close(ours, theirs, atol=tolerance * theirs.abs().max().item(), rtol=0)


@every_kind
class TestOneRun:
    """Sequences are longer than the windows of the kinds that have one."""

    def test_entries_and_logits(self, both):
        model, reference = both
        theirs = reference.model(TOKENS, output_hidden_states=True)
        logits = [reference.read_out(hidden) for hidden in theirs.hidden_states[:-1]] + [theirs.logits]
        ours = stream.layer_log_probs(model, TOKENS)
        assert ours.dtype == torch.float64
        torch.testing.assert_close(ours, torch.stack(logits).log_softmax(-1), atol=1e-8, rtol=0)
        torch.testing.assert_close(model(TOKENS), theirs.logits, atol=1e-8, rtol=0)

    def test_attention_patterns(self, both):
        model, reference = both
        theirs = reference.model(TOKENS, output_attentions=True).attentions
        _, cache = model.run_with_cache(TOKENS, names_filter=lambda name: name.endswith("hook_pattern"))
        ours = torch.stack([cache[f"blocks.{layer}.attn.hook_pattern"] for layer in range(N_LAYERS)])
        torch.testing.assert_close(ours, torch.stack(theirs), atol=1e-8, rtol=0)

    @pytest.mark.parametrize("mode", ["zero", "mean"])
    def test_ablation(self, both, mode):
        model, reference = both
        with hooked(reference, {0: [1], 2: [0, 3]}, mode):
            theirs = reference.model(TOKENS).logits
        with ablate(model, [(0, 1), (2, 0), (2, 3)], mode=mode), torch.no_grad():
            ours = model(TOKENS)
        torch.testing.assert_close(ours, theirs, atol=1e-8, rtol=0)
        assert (ours - model(TOKENS)).abs().max() > 1e-3

    def test_columns_beside_a_cache(self, both):
        """Kinds of the form that is computed by hand agree, the others are refused."""
        model, _ = both
        kind = model.original_model.config.model_type
        try:
            first, cache = stream.extend(model, TOKENS[:, :5])
        except ValueError as error:
            assert kind not in ("gpt2", "gpt_bigcode", "llama") and "not of the form" in str(error)
            return
        columns = torch.cat([first, stream.extend(model, TOKENS[:, 5:], cache)[0]], 2)
        torch.testing.assert_close(columns, stream.residual_entries(model, TOKENS), atol=1e-5, rtol=0)

    def test_work(self, both):
        """``transformers`` gives the logits of every position, and some kinds count their angles by a product."""
        model, reference = both
        with FlopCounterMode(display=False) as counter:
            reference.model(TOKENS[:1])
        other_logits = (N_POS - 1) * sum(part.weight.numel() for part in reference.head)
        found = counter.get_total_flops() // 2 - other_logits
        assert 0 <= found - stream.multiply_adds(model, N_POS, N_POS) <= 2 * N_POS * model.cfg.d_head


class hooked:
    """Heads of a ``transformers`` model replaced where its own output projection reads them."""

    def __init__(self, reference: Reference, chosen: dict[int, list[int]], mode: str) -> None:
        self.handles = [
            reference.output_projection(layer).register_forward_pre_hook(self.hook(these, mode))
            for layer, these in chosen.items()
        ]

    @staticmethod
    def hook(chosen: list[int], mode: str) -> Callable[..., tuple[Tensor]]:
        def replace(module: torch.nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
            split = inputs[0].unflatten(-1, (N_HEADS, -1)).clone()
            split[:, :, chosen] = 0.0 if mode == "zero" else split[:, :, chosen].mean((0, 1))
            return (split.flatten(-2),)

        return replace

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None:
        for handle in self.handles:
            handle.remove()


@every_kind
def test_circuits_of_the_stored_weights(both):
    model, reference = both
    embed, unembed = reference.stored_embedding()
    for layer in range(N_LAYERS):
        query, key, value, out = reference.matrices(layer)
        for head in range(N_HEADS):
            group = head // (N_HEADS // len(key))
            qk = torch.einsum("ad,dk,ek,be->ab", embed, query[head], key[group], embed) * reference.scale(layer)
            ov = torch.einsum("ad,dk,ke,eb->ab", embed, value[group], out[head], unembed)
            assert_equal(heads.qk_circuit(model, layer, head, fold=False).AB, qk)
            assert_equal(heads.ov_circuit(model, layer, head, fold=False).AB, ov)


SINGLE = 1e-6
"""Of the largest entry: many norms of ``transformers`` compute in single precision whatever the model is in."""


@every_foldable_kind
class TestFolded:
    """The embeddings, sent through the model's own norms and weights with nothing divided."""

    def test_circuits(self, both):
        model, reference = both
        embed, (_, unembed) = reference.embedding(), reference.stored_embedding()
        for layer in range(N_LAYERS):
            query, key, value = reference.reads(layer, embed)
            written = reference.writes(layer, value)
            for head in range(N_HEADS):
                assert_equal(
                    heads.qk_circuit(model, layer, head).AB, query[head] @ key[head].T * reference.scale(layer), SINGLE
                )
                normed = undivided(reference.final_norm, written[head])
                logits = normed @ unembed * reference.logits_factor
                if getattr(reference.model.config, "final_logit_softcapping", None) is None:
                    logits = logits - logits.mean(-1, keepdim=True)
                assert_equal(heads.ov_circuit(model, layer, head).AB, logits, SINGLE)

    def test_copying(self, both):
        model, _ = both
        for layer, head in ((0, 0), (1, 2), (2, 3)):
            eigenvalues = torch.linalg.eigvals(heads.ov_circuit(model, layer, head).AB)
            expected = eigenvalues.real.sum() / eigenvalues.abs().sum()
            torch.testing.assert_close(heads.copying_scores(model)[layer, head], expected, atol=1e-6, rtol=0)

    @pytest.mark.parametrize("kind", ["Q", "K", "V"])
    def test_composition(self, both, kind):
        model, reference = both
        basis = torch.eye(model.cfg.d_model, dtype=torch.float64)
        seen = [reference.reads(layer, basis) for layer in range(N_LAYERS)]
        moved = [reference.writes(layer, value) for layer, (_, _, value) in enumerate(seen)]
        if reference.removes_means:
            moved = [w - w.mean(-1, keepdim=True) for w in moved]
        query_key = [query @ key.mT for query, key, _ in seen]
        readers = {"Q": query_key, "K": [w.mT for w in query_key], "V": moved}[kind]
        scores = heads.composition_scores(model, kind)
        for writer, reader in ((0, 1), (0, 2), (1, 2)):
            products = torch.einsum("hab,gbc->hgac", moved[writer], readers[reader])
            norms = [torch.linalg.matrix_norm(w) for w in (products, moved[writer], readers[reader])]
            expected = norms[0] / norms[1][:, None] / norms[2]
            torch.testing.assert_close(scores.ratio[writer, :, reader], expected, atol=1e-5, rtol=0)
        dimensions = model.cfg.d_model - reference.removes_means
        assert scores.baseline == pytest.approx(dimensions**-0.5)


@every_foldable_kind
class TestLogitAttribution:
    """Heads from the outputs and weights of ``transformers``; norms and caps divided by what they divided by."""

    TARGET, AGAINST = torch.tensor([[3], [0], [7]]), torch.tensor([[5], [22], [2]])

    def told_apart(self, logits: Tensor) -> Tensor:
        """The logit difference, ``[batch, pos]``, of ``[batch, pos, d_vocab]``."""
        target, against = (ids.expand(-1, N_POS)[..., None] for ids in (self.TARGET, self.AGAINST))
        return (logits.gather(-1, target) - logits.gather(-1, against))[..., 0]

    def attribution(self, model: TransformerBridge, **named: object) -> stream.LogitAttribution:
        target, against = (ids[:, 0] for ids in (self.TARGET, self.AGAINST))
        return stream.direct_logit_attribution(model, TOKENS, target, against=against, positions=None, **named)

    def test_heads(self, both):
        model, reference = both
        added, end = reference.added_by_heads(TOKENS)
        cap = getattr(reference.model.config, "final_logit_softcapping", None)
        factor, norm = reference.logits_factor, reference.final_norm
        left = torch.ones(()) if cap is None else reference.read_out(end) / uncapped(reference, end)
        inverse = torch.ones(())
        if norm is not None:
            inverse = ((norm(end) - norm(0 * end)) / undivided(norm, end)).nanmean(-1, keepdim=True)
        _, unembed = reference.stored_embedding()
        shares = torch.stack([self.told_apart(undivided(norm, head) * inverse @ unembed * factor * left)
                              for head in added.flatten(0, 1)])  # fmt: skip
        assert_equal(self.attribution(model).heads.flatten(0, 1), shares, 4 * SINGLE)

    @pytest.mark.parametrize("norm", ["frozen", "recomputed"])
    def test_sum(self, both, norm):
        model, reference = both
        found = self.attribution(model, norm=norm)
        expected = self.told_apart(reference.model(TOKENS).logits)
        torch.testing.assert_close(found.total, expected, atol=1e-8, rtol=0)
        assert_equal(found.sum(), expected, SINGLE)


def uncapped(reference: Reference, hidden: Tensor) -> Tensor:
    """The logits before a cap."""
    normed = hidden if reference.final_norm is None else reference.final_norm(hidden)
    for part in reference.head:
        normed = part(normed)
    return normed * reference.logits_factor


def test_every_kind_that_can_be_folded_is_tested():
    kinds = {getattr(transformers, f"{KINDS[name].config}Config").model_type for name in NORMED}
    assert kinds | {"native"} == FOLDABLE


@pytest.mark.parametrize("both", [name for name in KINDS if name not in NORMED], indirect=True)
def test_a_normed_stream_cannot_be_folded(both):
    model, _ = both
    option = "do_layer_norm_before=False" if "opt" in model.original_model.config.model_type else "post_layernorm=True"
    for circuit in (heads.qk_circuit, heads.ov_circuit):
        with pytest.raises(ValueError, match=f"{option}, whose stream itself is normed: use fold=False"):
            circuit(model, 0, 0)
    with pytest.raises(ValueError, match=f"{option} is itself normed in every layer: it is no sum of parts"):
        stream.direct_logit_attribution(model, TOKENS, 3)
    assert heads.copying_scores(model, fold=False).shape == (N_LAYERS, N_HEADS)


REFUSED = {
    "scale_attn_weights=False": Kind("GPT2", GPT2 | {"scale_attn_weights": False}),
    "scale_attn_weights=False, many groups": Kind("GPTBigCode", GPT2 | {"scale_attn_weights": False}),
    "attention_bias=False": Kind("GPTNeoX", LLAMA | {"attention_bias": False}),
    "qk_layernorm=True": Kind("Phi", LLAMA | {"qk_layernorm": True}),
    "new_decoder_architecture=True": Kind("Falcon", FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2}),
}


@pytest.mark.parametrize("option", REFUSED)
def test_an_option_that_is_not_honoured_is_named(folder, option):
    path = folder(REFUSED[option])
    with pytest.raises(ValueError, match=option.split(",")[0]) as refusal:
        zoo.load(path, device="cpu")
    assert path in str(refusal.value)


def test_an_option_is_found_out_in_a_model_that_has_learned_nothing(tmp_path):
    """Fresh weights are small, and so is what the scale of attention changes: far above rounding nevertheless."""
    config = transformers.GPT2Config(**GPT2, scale_attn_weights=False)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"with scale_attn_weights=False, .* but not with scale_attn_weights=True"):
        zoo.load(str(tmp_path), device="cpu")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["gpt2", "gpt-neox", "llama grouped", "gemma2", "cohere", "falcon alibi", "bloom"])
def test_half_precision_is_not_taken_for_another_model(folder, name, dtype):
    path = folder(KINDS[name])
    model = zoo.load(path, device="cpu", dtype=dtype)
    assert model.W_E.dtype == dtype
    gap = (model(TOKENS) - original(path, dtype)(TOKENS).logits).abs().max()
    assert gap <= 0.05 * model(TOKENS).abs().max()


@pytest.mark.parametrize("name", ["gpt2", "gpt-neox", "llama grouped", "gemma2", "cohere", "falcon alibi"])
def test_a_model_may_be_made_double_after_loading(folder, name):
    path = folder(KINDS[name])
    model, reference = zoo.load(path, device="cpu").double(), original(path, torch.float32).double()
    torch.testing.assert_close(model(TOKENS), reference(TOKENS).logits, atol=1e-8, rtol=0)
    assert heads.copying_scores(model).dtype == torch.float64


def test_weights_stored_in_half_precision_are_read_in_single(tmp_path):
    build(KINDS["llama grouped"]).to(torch.bfloat16).save_pretrained(tmp_path)
    model = zoo.load(str(tmp_path), device="cpu")
    assert model.W_E.dtype == torch.float32
    torch.testing.assert_close(model(TOKENS), original(str(tmp_path), torch.float32)(TOKENS).logits)


@pytest.mark.parametrize("name", ["gpt2", "llama grouped", "mistral", "olmo2", "falcon", "bloom", "granite"])
def test_a_folder_may_do_without_a_tokenizer(folder, tmp_path, name):
    assert zoo.load(folder(KINDS[name]), device="cpu").tokenizer is None
    tokenizer = text.for_transformers()
    tokenizer.save_pretrained(tmp_path)
    build(
        dataclasses.replace(KINDS[name], options=KINDS[name].options | {"vocab_size": len(tokenizer)})
    ).save_pretrained(tmp_path)
    model = zoo.load(str(tmp_path), device="cpu")
    tokens = model.to_tokens("def double(x):", prepend_bos=True)
    assert tokens.tolist() == [tokenizer("def double(x):").input_ids]
    torch.testing.assert_close(model(tokens), original(str(tmp_path), torch.float32)(tokens).logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["gpt-neox", "falcon alibi", "opt normed after", "llama grouped"])
def test_a_shuffled_copy_has_nothing_of_the_model_but_its_numbers(folder, name):
    model = zoo.load(folder(KINDS[name]), device="cpu")
    before = model(TOKENS)
    control = shuffled(model, seed=0)
    fired = []
    names = [name for name in model.hook_dict if name.endswith(("hook_pattern", "hook_in", "hook_out"))]
    with model.hooks(fwd_hooks=[(name, lambda value, hook: fired.append(hook.name)) for name in names]):
        assert (control(TOKENS) - before).abs().max() > 0.1
        assert not fired
        assert torch.equal(model(TOKENS), before)
        assert {"blocks.1.attn.hook_pattern", "blocks.1.mlp.hook_in"} <= set(fired)


def test_a_head_without_matrices_of_its_own_is_refused(folder):
    """DeepSeek's latent attention shares what its keys and values are made of."""
    latent = {"kv_lora_rank": 4, "q_lora_rank": 4, "qk_rope_head_dim": 2, "qk_nope_head_dim": 2, "v_head_dim": 4}
    mixture = {"n_routed_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 8, "first_k_dense_replace": 3}
    groups = {"n_group": 1, "topk_group": 1, "num_key_value_heads": N_HEADS}
    model = zoo.load(folder(Kind("DeepseekV3", LLAMA | latent | mixture | groups)), device="cpu")
    assert stream.layer_log_probs(model, TOKENS).shape == (N_LAYERS + 1, *TOKENS.shape, D_VOCAB)
    with pytest.raises(ValueError, match="no matrices of single heads"):
        heads.qk_circuit(model, 0, 0, fold=False)
    with pytest.raises(ValueError, match="fold=True is not for a deepseek_v3, whose norms are not known here"):
        heads.qk_circuit(model, 0, 0)


def test_what_transformers_cannot_run_either_is_said_to_be_so(folder):
    path = folder(Kind("Mixtral", LLAMA | GROUPS | {"num_local_experts": 2}))
    assert zoo.load(path, device="cpu").cfg.n_layers == N_LAYERS
    with pytest.raises(ValueError, match=r"transformers itself cannot run this mixtral on tokens in torch\.float64"):
        zoo.load(path, device="cpu", dtype=torch.float64)


def test_an_encoder_is_no_language_model(tmp_path):
    sizes = {"d_model": 16, "d_kv": 4, "d_ff": 20, "num_layers": 2, "num_heads": 4, "vocab_size": D_VOCAB}
    transformers.T5ForConditionalGeneration(transformers.T5Config(**sizes)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="is a t5, which is no causal language model"):
        zoo.load(str(tmp_path), device="cpu")


def test_an_opt_without_a_norm_has_none_to_read_with(folder):
    model = zoo.load(folder(Kind("OPT", OPT | {"do_layer_norm_before": False})), device="cpu")
    residual = torch.randn(2, 16)
    torch.testing.assert_close(stream.read_out(model, residual), residual @ model.W_U)
