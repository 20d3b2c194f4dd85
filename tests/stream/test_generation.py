"""Continuations with and without a cache, beside the model's own run, ``transformers``' cache and a count of work."""

import copy

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mechlib.bridge import Shape, from_transformers
from mechlib.causal import ablate
from mechlib.stream import Cache, continue_text, extend, multiply_adds, read_out, residual_entries, without_mask
from tests.models import random_native

SHAPES = {
    "with MLPs": Shape(n_layers=3, d_model=12, n_heads=2, d_head=5, d_mlp=20, n_ctx=24, d_vocab=31),
    "attention only": Shape(n_layers=2, d_model=10, n_heads=3, d_head=4, d_mlp=0, n_ctx=24, d_vocab=31),
}


@pytest.fixture(scope="module", params=SHAPES)
def model(request):
    return random_native(SHAPES[request.param], seed=1)


@pytest.fixture(scope="module")
def tokens():
    return torch.randint(31, (4, 20), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("parts", [(20,), (1, 19), (7, 6, 7), (1,) * 20], ids=str)
def test_columns_come_out_the_same_however_they_are_divided(model, tokens, parts):
    cache, columns = None, []
    for part in tokens.split(parts, 1):
        more, cache = extend(model, part, cache)
        columns.append(more)
    torch.testing.assert_close(torch.cat(columns, 2), residual_entries(model, tokens), atol=1e-4, rtol=1e-4)
    assert cache.n_pos == 20
    assert cache.keys.shape == (model.cfg.n_layers, 4, model.cfg.n_heads, 20, model.cfg.d_head) == cache.values.shape


def test_a_continuation_is_the_same_with_and_without_a_cache(model, tokens):
    cached, again = (continue_text(model, tokens[:, :6], 17, cached=c) for c in (True, False))
    assert torch.equal(cached.tokens, again.tokens)
    torch.testing.assert_close(cached.logits, again.logits, atol=1e-4, rtol=1e-4)
    assert torch.equal(cached.tokens[:, :6], tokens[:, :6])
    assert torch.equal(cached.tokens[:, 6:], cached.logits.argmax(-1))
    whole = model(cached.tokens[:, :-1])[:, 5:]
    torch.testing.assert_close(cached.logits, whole.detach(), atol=1e-4, rtol=1e-4)


def test_drawn_tokens_depend_on_the_generator_alone(model, tokens):
    def drawn(cached, seed):
        generator = torch.Generator().manual_seed(seed)
        return continue_text(model, tokens[:, :3], 12, cached=cached, generator=generator).tokens

    assert torch.equal(drawn(True, 5), drawn(False, 5))
    assert not torch.equal(drawn(True, 5), drawn(True, 6))


def test_drawn_tokens_follow_the_models_distribution(model):
    prompt = torch.tensor([[1, 2]]).repeat(4000, 1)
    result = continue_text(model, prompt, 1, generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(result.tokens[:, -1], minlength=31)
    expected = 4000 * result.logits[0, 0].softmax(-1)
    assert ((counts - expected) ** 2 / expected.clamp(min=1)).sum() < 31 + 6 * (2 * 31) ** 0.5  # chi-squared, 6 sigma


def test_a_damaged_cache_is_not_without_effect(model, tokens):
    _, cache = extend(model, tokens[:, :10])
    damaged = Cache(cache.keys.roll(1, 3), cache.values)
    right, _ = extend(model, tokens[:, 10:11], cache)
    wrong, _ = extend(model, tokens[:, 10:11], damaged)
    assert (right - wrong).abs().max() > 0.01


def test_a_column_that_is_dropped_is_as_if_it_were_masked(model, tokens):
    """Beside a model whose scores for the column are set to minus infinity for every later query."""
    dropped, n = 3, 10
    _, cache = extend(model, tokens[:, :n])
    left = [column for column in range(n) if column != dropped]
    cut, more = extend(model, tokens[:, n:], cache.at(left), start=n)

    def mask(pattern, hook):
        pattern = pattern.clone()
        pattern[:, :, n:, dropped] = 0
        return pattern / pattern.sum(-1, keepdim=True)

    points = [(f"blocks.{layer}.attn.hook_pattern", mask) for layer in range(model.cfg.n_layers)]
    with model.hooks(fwd_hooks=points):
        masked = residual_entries(model, tokens)[:, :, n:]
    torch.testing.assert_close(cut, masked, atol=1e-4, rtol=1e-4)
    assert more.n_pos == 19 and (masked - residual_entries(model, tokens)[:, :, n:]).abs().max() > 1e-3


def test_new_columns_stand_where_they_are_told(model, tokens):
    _, cache = extend(model, tokens[:, :5])
    here, there = (extend(model, tokens[:, 5:6], cache, start=start)[0][0] for start in (5, 9))
    torch.testing.assert_close(there - here, (model.W_pos[9] - model.W_pos[5]).expand_as(here))
    with pytest.raises(ValueError, match="behind 5 columns the next stands at position 5 or later, not at 4"):
        extend(model, tokens[:, 5:6], cache, start=4)
    with pytest.raises(ValueError, match="23 columns and 2 more exceed the context of 24"):
        extend(model, tokens[:, 5:7], cache, start=23)


def test_work_is_what_the_matrix_products_take(model, tokens):
    """Against torch's own counter, which counts a multiply-add as two."""
    cache = extend(model, tokens[:1, :8])[1]
    with FlopCounterMode(display=False) as counter:
        columns, _ = extend(model, tokens[:1, 8:11], cache)
        read_out(model, columns[-1, :, -1])
    assert 2 * multiply_adds(model, 3, 11) == counter.get_total_flops()


def test_work_adds_up_over_a_continuation(model, tokens):
    cached, again = (continue_text(model, tokens[:, :6], 5, cached=c) for c in (True, False))
    assert (cached.columns, again.columns) == (6 + 4, 6 + 7 + 8 + 9 + 10)
    assert cached.multiply_adds == multiply_adds(model, 6, 6) + sum(multiply_adds(model, 1, t) for t in range(7, 11))
    assert again.multiply_adds == sum(multiply_adds(model, t, t) for t in range(6, 11))


def test_gpt2_and_its_own_cache(gpt2_folder):
    import transformers

    reference = transformers.GPT2LMHeadModel.from_pretrained(gpt2_folder).eval()
    prompt = torch.randint(83, (3, 7), generator=torch.Generator().manual_seed(4))
    theirs = reference.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12, do_sample=False, eos_token_id=None
    )
    model = from_transformers(gpt2_folder, device="cpu")
    for cached in (True, False):
        assert torch.equal(continue_text(model, prompt, 12, cached=cached).tokens, theirs)


def test_a_model_of_another_form_is_refused(tmp_path):
    import transformers

    config = transformers.GPTNeoXConfig(
        hidden_size=16, num_attention_heads=2, num_hidden_layers=1, intermediate_size=20, vocab_size=31,
        max_position_embeddings=16,
    )  # fmt: skip
    transformers.GPTNeoXForCausalLM(config).save_pretrained(tmp_path)
    model = from_transformers(tmp_path, device="cpu")
    with pytest.raises(ValueError, match="not of the form whose columns are computed here"):
        continue_text(model, torch.tensor([3, 4]), 2)
    assert continue_text(model, torch.tensor([3, 4]), 2, cached=False).tokens.shape == (1, 4)


@pytest.mark.parametrize(
    ("point", "edit"),
    [
        ("blocks.1.attn.hook_z", torch.zeros_like),
        ("blocks.0.attn.hook_pattern", lambda pattern: pattern.flip(1)),
        ("blocks.1.hook_resid_post", lambda residual: 2 * residual),
        ("hook_embed", lambda embedding: -embedding),
        ("blocks.0.ln1.hook_normalized", lambda normed: normed + 1),
        ("blocks.1.attn.hook_v", lambda value: value.roll(1, 1)),
    ],
)
def test_hooks_are_refused_by_name_beside_a_cache_and_act_without_one(model, tokens, point, edit):
    def hook(tensor, hook):
        return edit(tensor)

    with model.hooks(fwd_hooks=[(point, hook)]):
        for refused in (continue_text, extend):
            with pytest.raises(ValueError, match=rf"there are hooks on the model.*{point}.*cached=False"):
                refused(model, tokens[:, :6], *([2] if refused is continue_text else []))
        hooked = continue_text(model, tokens[:, :6], 1, cached=False)
        torch.testing.assert_close(hooked.logits[:, 0], model(tokens[:, :6])[:, -1].detach(), atol=1e-4, rtol=1e-4)
    continue_text(model, tokens[:, :6], 2)


@pytest.mark.parametrize("cached", [True, False])
def test_hooks_on_the_unembedding_are_refused_either_way(model, tokens, cached):
    with (
        model.hooks(fwd_hooks=[("unembed.hook_out", lambda logits, hook: -logits)]),
        pytest.raises(ValueError, match=r"hooks on the model.*unembed\.hook_out"),
    ):
        continue_text(model, tokens[:, :6], 2, cached=cached)


def test_a_head_that_is_ablated_is_ablated_or_the_call_refused(model, tokens):
    with ablate(model, [(1, 0)], mode="zero"):
        with pytest.raises(ValueError, match=r"blocks\.1\.attn\.hook_z"):
            continue_text(model, tokens, 1)
        ablated = continue_text(model, tokens, 1, cached=False)
        torch.testing.assert_close(ablated.logits[:, 0], model(tokens)[:, -1].detach(), atol=1e-4, rtol=1e-4)
    assert (ablated.logits - continue_text(model, tokens, 1).logits).abs().max() > 1e-3


def test_a_hook_of_torch_is_a_hook_and_those_of_transformerlens_are_not(gpt2_folder):
    model, prompt = from_transformers(gpt2_folder, device="cpu"), torch.arange(5)
    model(prompt)  # which sets hooks of TransformerLens's own
    continue_text(model, prompt, 1)
    handle = model.blocks[1].attn.register_forward_hook(lambda module, args, output: None)
    with pytest.raises(ValueError, match=r"hooks on the model.*: blocks\.1\.attn\. Remove"):
        continue_text(model, prompt, 1)
    handle.remove()
    continue_text(model, prompt, 1)


def test_one_token_is_enough_to_see_that_the_mask_is_gone(model):
    with without_mask(model), pytest.raises(ValueError, match="its first columns"):
        continue_text(model, torch.tensor([3]), 4)


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("draw", [True, False])
def test_no_token_is_chosen_from_logits_without_a_largest(model, tokens, cached, value, draw):
    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.pos_embed.weight[8] = value
    generator = torch.Generator().manual_seed(0) if draw else None
    message = r"at step 3: the logits of row 0 at position 8 have the largest value nan"
    continue_text(broken, tokens[:, :6], 3, cached=cached, generator=generator)
    with pytest.raises(ValueError, match=message):
        continue_text(broken, tokens[:, :6], 4, cached=cached, generator=generator)


def test_a_token_that_is_ruled_out_is_not_drawn(model, tokens):
    ruled = copy.deepcopy(model)
    with torch.no_grad():
        ruled.unembed.b_U[7:] = -torch.inf
    result = continue_text(ruled, tokens[:, :6], 10, generator=torch.Generator().manual_seed(0))
    assert (result.tokens[:, 6:] < 7).all()
    expected = ruled(result.tokens[:, :-1])[:, 5:, :7].detach()
    torch.testing.assert_close(result.logits[..., :7], expected, atol=1e-4, rtol=1e-4)


def test_what_cannot_be_continued(model, tokens):
    with pytest.raises(ValueError, match="n_new is at least 1, not 0"):
        continue_text(model, tokens, 0)
    with pytest.raises(ValueError, match="prompt of 20 and 5 new tokens exceed the context of 24"):
        continue_text(model, tokens, 5)
    cache = extend(model, tokens)[1]
    with pytest.raises(ValueError, match="20 columns and 5 more exceed the context of 24"):
        extend(model, tokens[:, :5], cache)
    with pytest.raises(ValueError, match="cache is of 4 sequences, the tokens are of 1"):
        extend(model, tokens[:1, :2], cache)
    for new, total in ((0, 3), (4, 3)):
        with pytest.raises(ValueError, match=f"not {new}"):
            multiply_adds(model, new, total)
