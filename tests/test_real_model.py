"""What the library says of the real language model, held to ``transformers``'s own run and to sums over its weights."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
import transformers
from torch import Tensor, nn

from mechlib import english, heads, stream, zoo
from mechlib.causal import ablate
from mechlib.stream.kept_lens import LensRecipe

N_LAYERS, N_HEADS, N_GROUPS, D_HEAD = 30, 9, 3, 64
TEXT = "When the rain had stopped, Mary went down to the river and"
SOME = torch.tensor([260, 504, 33_059, 42, 8_000])
"""Tokens whose rows and columns of a circuit are compared."""


@pytest.fixture(scope="module")
def theirs(smollm2) -> nn.Module:
    folder = zoo.card("smollm2-135m").folder
    load = transformers.AutoModelForCausalLM.from_pretrained
    return load(folder, dtype=torch.float32, attn_implementation="eager").eval().requires_grad_(False)


@pytest.fixture(scope="module")
def tokens(smollm2) -> Tensor:
    return smollm2.to_tokens(TEXT)


class Matrices:
    """A head's matrices as ``transformers`` stores them, behind the gains of the norms before them."""

    def __init__(self, model: nn.Module, layer: int, head: int):
        block, group = model.model.layers[layer], head // (N_HEADS // N_GROUPS)
        own, shared = (slice(D_HEAD * i, D_HEAD * (i + 1)) for i in (head, group))
        gain = block.input_layernorm.weight
        self.query = torch.einsum("kd,d->dk", block.self_attn.q_proj.weight[own], gain)
        self.key = torch.einsum("kd,d->dk", block.self_attn.k_proj.weight[shared], gain)
        self.value = torch.einsum("kd,d->dk", block.self_attn.v_proj.weight[shared], gain)
        self.out = block.self_attn.o_proj.weight[:, own].T
        self.embed = model.model.embed_tokens.weight
        self.unembed = torch.einsum("vd,d->dv", model.lm_head.weight, model.model.norm.weight)


@torch.no_grad()
def test_the_lens_reads_every_entry_as_the_models_own_end_does(smollm2, theirs, tokens):
    hidden = theirs(tokens, output_hidden_states=True)
    logits = [theirs.lm_head(theirs.model.norm(entry)) for entry in hidden.hidden_states[:-1]] + [hidden.logits]
    log_probs = torch.stack(logits).log_softmax(-1)
    targets = tokens.roll(-1, 1)
    result = stream.logit_lens(smollm2, tokens, targets=targets)
    expected = log_probs.gather(-1, targets.expand(N_LAYERS + 1, -1, -1)[..., None])
    assert len(result.labels) == N_LAYERS + 1
    torch.testing.assert_close(result.target_log_prob, expected[..., 0], atol=2e-3, rtol=0)
    torch.testing.assert_close(result.entropy, -(log_probs.exp() * log_probs).sum(-1), atol=2e-3, rtol=0)
    kl = (log_probs[-1].exp() * (log_probs[-1] - log_probs)).sum(-1)
    torch.testing.assert_close(result.kl_to_final, kl, atol=5e-3, rtol=0)
    assert ((log_probs > expected).sum(-1) - result.target_rank).abs().float().mean() < 0.05
    assert (log_probs.argmax(-1) == result.top_ids[..., 0]).float().mean() > 0.99


def test_a_tuned_lens_of_few_passages_reads_prose_better_than_the_logit_lens_at_every_entry(smollm2):
    """Fitted to docstrings, read on the book's own prose: the last but one entry has the smallest gain, a third."""
    recipe = LensRecipe(n_rows=8, length=64, ridge=0.1, judged=1)
    lens = recipe.fit(smollm2, recipe.passages(smollm2))
    rows = torch.stack([smollm2.to_tokens(paragraph)[0, :48] for paragraph in english.paragraphs()[:4]])
    found = {"fields": ["kl_to_final"], "positions": slice(16, None, 4)}
    plain, tuned = (stream.logit_lens(smollm2, rows, lens=each, **found).kl_to_final for each in (None, lens))
    assert (tuned.mean((1, 2))[:-1] < plain.mean((1, 2))[:-1]).all()
    assert (lens.kl_after < lens.kl_before).all() and tuned[:-1].mean() < 0.5 * plain[:-1].mean()


def test_what_the_lens_holds_at_once_does_not_grow_with_the_entries(smollm2, largest_tensor):
    """Nothing is larger than the unembedding itself; all distributions would be more than twice its size."""
    tokens = torch.randint(49_152, (1, 48), generator=torch.Generator().manual_seed(0))
    assert largest_tensor(lambda: stream.logit_lens(smollm2, tokens, fields=["entropy"])) <= 576 * 49_152


@torch.no_grad()
def test_scores_of_heads_are_shares_of_the_attention_that_transformers_gives(smollm2, theirs):
    tokens = heads.repeated_tokens(1, 16, 49_152, generator=torch.Generator().manual_seed(0))
    attentions = torch.cat(theirs(tokens, output_attentions=True).attentions)
    scores = heads.head_scores(smollm2, tokens)
    row, n_pos = tokens[0].tolist(), tokens.shape[1]
    targets = {
        "previous_token": [(query, query - 1) for query in range(1, n_pos)],
        "duplicate_token": [(q, k) for q in range(n_pos) for k in range(q) if row[k] == row[q]],
        "induction": [(q, k + 1) for q in range(n_pos) for k in range(q) if row[k] == row[q]],
    }
    for kind, pairs in targets.items():
        expected = sum(attentions[:, :, query, key] for query, key in pairs) / n_pos
        torch.testing.assert_close(getattr(scores, kind), expected, atol=1e-5, rtol=0)
    strongest = {kind: divmod(int(scores.attained(kind).argmax()), N_HEADS) for kind in targets}
    assert strongest["previous_token"] in {(16, 0), (11, 1)} and strongest["induction"][0] in {17, 18}


@pytest.mark.parametrize(("layer", "head"), [(0, 4), (23, 3)])
def test_circuits_are_sums_over_the_weights(smollm2, theirs, layer, head):
    w = Matrices(theirs, layer, head)
    qk = heads.qk_circuit(smollm2, layer, head)
    expected = torch.einsum("ad,dk,ek,be->ab", w.embed[SOME], w.query, w.key, w.embed[SOME]) / D_HEAD**0.5
    torch.testing.assert_close(qk.A[SOME] @ qk.B[:, SOME], expected, atol=1e-4 * expected.abs().max(), rtol=0)
    ov = heads.ov_circuit(smollm2, layer, head)
    logits = torch.einsum("ad,dk,ke->ae", w.embed[SOME], w.value, w.out) @ w.unembed
    expected = logits - logits.mean(-1, keepdim=True)
    torch.testing.assert_close(ov.A[SOME] @ ov.B, expected, atol=1e-4 * expected.abs().max(), rtol=0)


def test_copying_is_told_by_the_eigenvalues_of_the_whole_circuit(smollm2, theirs):
    """Those of a product of thin matrices in another order, ``d_model`` wide instead of ``d_head``."""
    scores = heads.copying_scores(smollm2)
    assert scores.shape == (N_LAYERS, N_HEADS) and scores.abs().max() <= 1
    for layer, head in ((0, 4), (23, 3)):
        w = Matrices(theirs, layer, head)
        unembed = w.unembed - w.unembed.mean(1, keepdim=True)
        eigenvalues = torch.linalg.eigvals(((unembed @ w.embed) @ (w.value @ w.out)).double())
        expected = eigenvalues.real.sum() / eigenvalues.abs().sum()
        torch.testing.assert_close(scores[layer, head].double(), expected, atol=1e-3, rtol=0)


def test_composition_is_told_by_the_norms_of_whole_products(smollm2, theirs):
    scores = heads.composition_scores(smollm2, "K")
    for writer, reader in (((16, 0), (17, 3)), ((16, 0), (18, 6)), ((3, 2), (29, 8))):
        from_, to = Matrices(theirs, *writer), Matrices(theirs, *reader)
        moved, read = from_.value @ from_.out, to.key @ to.query.T
        expected = (moved @ read).norm() / moved.norm() / read.norm()
        torch.testing.assert_close(scores.ratio[(*writer, *reader)], expected, atol=1e-5, rtol=0)
    assert scores.ratio[17, 0, 16].isnan().all() and scores.ratio[16, 0, 17].isfinite().all()
    assert scores.baseline == 576**-0.5


@contextmanager
def without(model: nn.Module, chosen: dict[int, list[int]]) -> Iterator[None]:
    """Heads of the ``transformers`` model zeroed where its own output projection reads them."""

    def zeroing(heads_: list[int]) -> Callable[..., tuple[Tensor]]:
        def hook(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
            split = inputs[0].unflatten(-1, (N_HEADS, D_HEAD)).clone()
            split[:, :, heads_] = 0.0
            return (split.flatten(-2),)

        return hook

    handles = [
        model.model.layers[layer].self_attn.o_proj.register_forward_pre_hook(zeroing(own))
        for layer, own in chosen.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def test_a_head_that_moves_the_name_is_missed(smollm2, theirs):
    prompts = english.indirect_objects(smollm2.tokenizer.encode, 8)
    whole = prompts.logit_difference(smollm2(prompts.tokens))
    with ablate(smollm2, [(23, 3), (29, 1)], mode="zero"):
        ablated = smollm2(prompts.tokens)
    with without(theirs, {23: [3], 29: [1]}):
        expected = theirs(prompts.tokens).logits
    torch.testing.assert_close(ablated, expected, atol=5e-3, rtol=0)
    assert (whole - prompts.logit_difference(ablated)).mean() > 1.5
    torch.testing.assert_close(prompts.logit_difference(smollm2(prompts.tokens)), whole)
