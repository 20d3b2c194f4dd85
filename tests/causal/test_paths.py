"""Paths: closed forms without a final norm, whole outputs where no other path is left, and TransformerLens's edges."""

import pytest
import torch
from torch import nn
from transformer_lens.patching import get_act_patch_direct_path

from mechlib.bridge import around
from mechlib.causal import activation_patching, path_patching
from mechlib.causal.metrics import logit_difference
from tests.architectures import KINDS, LLAMA, N_HEADS, N_LAYERS, Kind, build
from tests.causal.models import CLEAN, CORRUPT, bridge_and_reference
from tests.models import ATTENTION_ONLY, random_native

RIGHT, WRONG = torch.tensor([1, 5, 9]), torch.tensor([2, 2, 7])
METRIC = logit_difference(RIGHT, WRONG)
LAST = N_LAYERS - 1


@pytest.fixture(scope="module")
def attention_only():
    return random_native(ATTENTION_ONLY, scale=0.3).to(torch.float64, print_details=False)


@pytest.fixture(scope="module")
def gpt2():
    return bridge_and_reference("gpt2")[0]


def paths(model, clean=CLEAN, corrupt=CORRUPT, metric=METRIC, **options):
    return path_patching(model, clean, corrupt, metric, progress=False, **options)


def outputs(model, **options):
    return activation_patching(model, CLEAN, CORRUPT, METRIC, site="head", by_position=False, progress=False, **options)


def assert_equal(ours, theirs, tolerance=1e-9):
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=0, check_dtype=False, equal_nan=True)


@pytest.mark.parametrize("name", ["gpt2", "llama grouped", "gpt-neox", "gemma2", "opt normed after", "falcon"])
def test_behind_the_last_heads_there_are_mlps_alone(name):
    model, _ = bridge_and_reference(name)
    whole = outputs(model, only=[(LAST, head) for head in range(N_HEADS)])
    through = paths(model, through_mlps=True)
    assert_equal(through.values[:, LAST], whole.values[:, LAST])
    assert_equal(through.base, whole.base)
    frozen = paths(model)
    parallel = name in ("gpt-neox", "falcon")
    gap = (frozen.values - through.values)[:, LAST].abs().max()
    assert gap < 1e-12 if parallel else gap > 1e-3
    assert (frozen.values - through.values)[:, 0].abs().max() > 1e-3
    assert not frozen.values.isnan().any() and frozen.title == "paths to logits: clean into corrupt"


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "opt", "falcon"])
def test_behind_the_last_mlp_there_is_nothing(name):
    model, _ = bridge_and_reference(name)
    whole = activation_patching(
        model, CLEAN, CORRUPT, METRIC, site="mlp", only=[LAST], by_position=False, progress=False
    )
    for through_mlps in (False, True):
        straight = paths(model, site="mlp", through_mlps=through_mlps)
        assert_equal(straight.values[:, LAST], whole.values[:, LAST])
    assert straight.axes == ("row", "layer") and straight.values.shape == (3, N_LAYERS)
    assert straight.title == "paths from MLPs to logits: clean into corrupt"
    assert (straight.values - paths(model, site="mlp").values)[:, 0].abs().max() > 1e-4


def test_without_mlps_the_last_heads_have_no_other_path(attention_only):
    assert_equal(paths(attention_only).values[:, 1], outputs(attention_only).values[:, 1])


def test_without_a_final_norm_the_direct_path_is_a_product():
    """``(z - z') W_O (W_U[right] - W_U[wrong])`` at the last position."""
    model, reference = bridge_and_reference("opt without final norm")
    with torch.no_grad():
        caches = [model.run_with_cache(run, names_filter=lambda name: "hook_z" in name)[1] for run in (CLEAN, CORRUPT)]
    unembed = reference.stored_embedding()[1]
    towards = (unembed[:, RIGHT] - unembed[:, WRONG]).T
    for positions, expected_at in ((None, True), (slice(0, -1), False)):
        result = paths(model, positions=positions)
        for layer in range(N_LAYERS):
            new, old = (cache[f"blocks.{layer}.attn.hook_z"][:, -1] for cache in caches)
            written = torch.einsum("rhd,hdm->rhm", new - old, reference.matrices(layer)[3])
            expected = torch.einsum("rhm,rm->rh", written, towards) * expected_at
            assert_equal(result.effect[:, layer], expected)


def test_without_a_final_norm_the_direct_path_of_an_mlp_is_a_product():
    model, reference = bridge_and_reference("opt without final norm")
    names = [f"blocks.{layer}.hook_mlp_out" for layer in range(N_LAYERS)]
    with torch.no_grad():
        new, old = (model.run_with_cache(run, names_filter=names.__contains__)[1] for run in (CLEAN, CORRUPT))
    unembed = reference.stored_embedding()[1]
    towards = (unembed[:, RIGHT] - unembed[:, WRONG]).T
    result = paths(model, site="mlp")
    for layer, name in enumerate(names):
        assert_equal(result.effect[:, layer], ((new[name] - old[name])[:, -1] * towards).sum(-1))


def without_norm_and_mlps():
    original = build(KINDS["gpt2"]).double().requires_grad_(False)
    original.set_attn_implementation("eager")
    original.transformer.ln_f = nn.Identity()
    for layer in original.transformer.h:
        layer.mlp.c_proj.weight.zero_()
    return around(original, name="gpt2")


def test_the_paths_of_a_head_add_up_to_all_that_it_does():
    """Straight to the logits, and through the queries, keys and values of the only layer above it."""
    model = without_norm_and_mlps()
    above = [(LAST, head) for head in range(N_HEADS)]
    through = paths(model, receivers=above, inputs="qkv").effect[:, LAST - 1]
    direct = paths(model).effect[:, LAST - 1]
    assert_equal(direct + through, outputs(model).effect[:, LAST - 1])
    assert direct.abs().min() > 1e-4 and through.abs().min() > 1e-4


@pytest.mark.parametrize(("name", "inputs"), [("gpt2", "q"), ("gpt2", "k"), ("gpt2", "v"), ("llama grouped", "q")])
def test_transformer_lens_agrees(name, inputs):
    model = bridge_and_reference(name)[0]
    with torch.no_grad():
        caches = [model.run_with_cache(run)[1] for run in (CLEAN, CORRUPT)]
        theirs = get_act_patch_direct_path(
            model, CORRUPT, *caches, lambda logits: METRIC(logits[:, -1]).mean(), 0, 1, inputs, verbose=False
        )
    for receiver in ((1, 2), (2, 0)):
        ours = paths(model, receivers=[receiver], inputs=inputs, senders=[(0, 1)])
        assert_equal(ours.values[:, 0, 1].mean(), theirs[receiver].double(), 1e-5)
        assert ours.effect[:, 0, 1].abs().max() > 1e-5


@pytest.mark.parametrize("inputs", ["k", "v", "qkv"])
def test_shared_keys_and_values_are_patched_as_if_each_head_had_its_own(inputs):
    few, many = (
        build(Kind("Llama", LLAMA | {"num_key_value_heads": groups})).double().requires_grad_(False)
        for groups in (2, N_HEADS)
    )
    shared = {name: w for name, w in few.state_dict().items() if "k_proj" in name or "v_proj" in name}
    repeated = {name: w.unflatten(0, (2, -1)).repeat_interleave(2, 0).flatten(0, 1) for name, w in shared.items()}
    many.load_state_dict(few.state_dict() | repeated)
    results = []
    for original in (few, many):
        original.set_attn_implementation("eager")
        results.append(paths(around(original, name="llama"), receivers=[(1, 2), (2, 0), (2, 3)], inputs=inputs))
    assert_equal(results[0].values, results[1].values, 1e-6)
    assert results[0].values[:, 2].isnan().all() and results[0].effect[:, :2].abs().min() > 1e-8


def test_receivers_go_on_with_what_those_below_them_hand_on(gpt2):
    """Two receivers in two layers against one run by hand: their queries are set, all else follows."""
    receivers = [(1, 2), (2, 0)]
    names = [f"blocks.{layer}.attn.hook_{kind}" for layer in range(N_LAYERS) for kind in "qz"]
    with torch.no_grad():
        (_, old), (_, new) = (gpt2.run_with_cache(run) for run in (CORRUPT, CLEAN))
        frozen = {name: old[name].clone() for name in names if name.endswith("z")}
        frozen["blocks.0.attn.hook_z"][:, :, 3] = new["blocks.0.attn.hook_z"][:, :, 3]
        frozen |= {f"blocks.{layer}.hook_mlp_out": old[f"blocks.{layer}.hook_mlp_out"] for layer in range(N_LAYERS)}
        with gpt2.hooks(fwd_hooks=[(name, lambda x, hook, name=name: frozen[name]) for name in frozen]):
            _, read = gpt2.run_with_cache(CORRUPT, names_filter=lambda name: name.endswith("hook_q"))

        def set_query(x, hook, layer, head):
            x = x.clone()
            x[:, :, head] = read[f"blocks.{layer}.attn.hook_q"][:, :, head]
            return x

        hooks = [
            (f"blocks.{layer}.attn.hook_q", lambda x, hook, layer=layer, head=head: set_query(x, hook, layer, head))
            for layer, head in receivers
        ]
        expected = METRIC(gpt2.run_with_hooks(CORRUPT, fwd_hooks=hooks)[:, -1])
    ours = paths(gpt2, receivers=receivers, senders=[(0, 3)])
    assert_equal(ours.values[:, 0, 3], expected)
    assert ours.title == "paths to q of 1.2, 2.0: clean into corrupt"


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("receivers", ["logits", [(1, 1), (1, 2)]])
def test_rows_with_pads_are_as_they_are_alone(attention_only, receivers, side):
    mask = torch.stack([torch.arange(7) < n for n in (7, 4, 5)])
    tokens = [torch.full_like(CLEAN, 3).masked_scatter(mask, run[mask]) for run in (CLEAN, CORRUPT)]
    if side == "left":
        mask, tokens = mask.flip(1), [run.flip(1) for run in tokens]
    options = {"receivers": receivers, "inputs": "kv"}
    together = paths(attention_only, *tokens, attention_mask=mask, **options)
    for row, real in enumerate(mask):
        alone = [run[row : row + 1, real] for run in tokens]
        expected = paths(attention_only, *alone, logit_difference(RIGHT[row], WRONG[row]), **options)
        assert_equal(together.values[row], expected.values[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"receivers": [(2, 0)]}, "there is no head 0 in layer 2: layers are 0 to 1"),
        ({"receivers": []}, "receivers names none of the places"),
        ({"receivers": [(1, 0)], "inputs": "x"}, 'one or several of "q", "k" and "v", not \'x\''),
        ({"receivers": [(1, 0)], "inputs": ""}, "not ''"),
        ({"receivers": [(0, 1)]}, "no path leads from the senders to the receivers: none is below layer 0"),
        ({"receivers": [(1, 1)], "senders": [(1, 0)]}, "none is below layer 1"),
        ({"senders": [(0, 4)]}, "there is no head 4 in layer 0"),
        ({"site": "residual"}, "site is one of head, mlp, whose outputs run along paths, not 'residual'"),
        ({"site": "mlp"}, "the model has no MLP in layers"),
    ],
)
def test_bad_input(attention_only, options, message):
    with pytest.raises(ValueError, match=message):
        paths(attention_only, **options)


def test_senders_that_no_path_leads_from_are_refused_for_mlps_too(gpt2):
    with pytest.raises(ValueError, match="none is below layer 1"):
        paths(gpt2, site="mlp", senders=[1, 2], receivers=[(1, 0)])
    with pytest.raises(TypeError, match="numbers, each of one layer"):
        paths(gpt2, site="mlp", senders=[(0, 1)])
    found = paths(gpt2, site="mlp", receivers=[(1, 0)])
    assert found.values[:, 1:].isnan().all() and found.largest(5) == [{"layer": 0}]
