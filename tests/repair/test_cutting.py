"""Cuts held to runs of ``transformers``, to closed forms, and to models with a backup by construction."""

import pytest
import torch
from torch import Tensor

from mechlib.bridge import NativeBridge, native
from mechlib.causal import ablate
from mechlib.repair import Cuts, cut_heads, direct_effects
from mechlib.stream import direct_logit_attribution, running
from mechlib.stream.hooks import head_output_hooks
from mechlib.stream.parts import points_of
from tests.architectures import D_VOCAB, KINDS, N_HEADS, N_LAYERS, undivided
from tests.causal.models import bridge_and_reference
from tests.models import ATTENTION_ONLY, SHAPE, random_native, random_weights

SOME = [(0, 1), (1, 0), (2, 3), [(0, 1), (1, 2)], [(1, 0), (1, 3), (2, 0)]]
FORMS = [
    "gpt2",
    "gpt-neox",
    "llama grouped",
    "qwen3",
    "gemma2",
    "olmo2 grouped",
    "phi",
    "bloom",
    "mistral",
    "opt",
    "granite",
    "cohere",
]


@pytest.fixture(autouse=True)
def several_chunks(monkeypatch):
    monkeypatch.setattr(running, "TOKENS_AT_ONCE", 20)


@pytest.fixture(scope="module")
def rows() -> Tensor:
    return torch.randint(D_VOCAB, (5, 9), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def answers() -> tuple[Tensor, Tensor]:
    return torch.randint(D_VOCAB, (2, 5), generator=torch.Generator().manual_seed(2)).unbind()


def difference(logits: Tensor, right: Tensor, wrong: Tensor) -> Tensor:
    each = torch.arange(len(logits))
    return logits[each, -1, right] - logits[each, -1, wrong]


def test_the_forms_are_there():
    assert set(FORMS) <= set(KINDS)


@pytest.mark.parametrize("form", FORMS)
class TestInEveryForm:
    @pytest.fixture
    def both(self, form):
        return bridge_and_reference(form)

    @pytest.fixture
    def found(self, both, rows, answers) -> Cuts:
        return cut_heads(both[0], rows, *answers, SOME)

    def test_total_effects_are_those_of_a_run_of_transformers(self, both, found, rows, answers):
        """The input of the output projection is replaced in the original's own module, on all tokens at once."""
        _, reference = both
        kept: dict[int, Tensor] = {}

        def keep(layer):
            return lambda module, inputs: kept.__setitem__(layer, inputs[0].detach().clone())

        def put(layer, heads):
            def change(module, inputs):
                z = inputs[0].clone().unflatten(-1, (N_HEADS, -1))
                z[:, -1, heads] = kept[layer].unflatten(-1, (N_HEADS, -1))[:, -1, heads].mean(0)
                return (z.flatten(-2),)

            return change

        with torch.no_grad():
            handles = [
                reference.output_projection(layer).register_forward_pre_hook(keep(layer)) for layer in range(N_LAYERS)
            ]
            intact = difference(reference.model(rows).logits, *answers)
            for handle in handles:
                handle.remove()
            for number, cut in enumerate(found.cuts):
                handles = [
                    reference.output_projection(layer).register_forward_pre_hook(
                        put(layer, [head for at, head in cut if at == layer])
                    )
                    for layer in {layer for layer, _ in cut}
                ]
                after = difference(reference.model(rows).logits, *answers)
                for handle in handles:
                    handle.remove()
                torch.testing.assert_close(found.total[number], intact - after, atol=1e-8, rtol=1e-8)
        torch.testing.assert_close(found.intact, intact, atol=1e-8, rtol=1e-8)

    def test_the_parts_sum_to_the_repair(self, found):
        whole = found.made_up.sum(1) + found.norm
        torch.testing.assert_close(whole, found.repair, atol=1e-8, rtol=1e-8)
        torch.testing.assert_close(found.direct - found.total, found.repair, atol=1e-8, rtol=1e-8)

    def test_no_part_before_a_cut_makes_up_for_it(self, found):
        for number, cut in enumerate(found.cuts):
            first = min(layer for layer, _ in cut)
            earlier = [part.layer is None or part.layer < first for part in found.parts]
            assert found.made_up[number, earlier].abs().max() < 1e-8

    def test_shares_are_those_of_direct_attribution(self, both, found, rows, answers):
        theirs = direct_logit_attribution(both[0], rows, answers[0], against=answers[1])
        mine = dict(zip(map(str, found.parts), found.shares, strict=True))
        for label, share in mine.items():
            torch.testing.assert_close(share, theirs[label][:, 0], atol=1e-8, rtol=1e-8)

    def test_direct_effects_are_the_same_without_cutting(self, both, found, rows, answers):
        every = direct_effects(both[0], rows, *answers)
        assert every.shape == (N_LAYERS, N_HEADS, len(rows))
        for number, cut in enumerate(found.cuts):
            expected = sum(every[layer, head] for layer, head in cut)
            torch.testing.assert_close(found.direct[number], expected, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("form", [form for form in FORMS if KINDS[form].after is None])
def test_direct_effects_are_what_the_original_weights_say(form, rows, answers):
    """What a head adds, less its mean over prompts, through the original's final norm with its division kept."""
    bridge, reference = bridge_and_reference(form)
    norm, each = reference.final_norm, torch.arange(len(rows))
    with torch.no_grad():
        added, stream = reference.added_by_heads(rows)
        stream, added = stream[:, -1], added[:, :, :, -1]
        inverse = ((norm(stream) - norm(0 * stream)) / undivided(norm, stream)).nanmean(-1, keepdim=True)
        expected = undivided(norm, added - added.mean(2, keepdim=True)) * inverse
        for part in reference.head:
            expected = part(expected) - part(0 * expected)
    expected = (expected[..., each, answers[0]] - expected[..., each, answers[1]]) * reference.logits_factor
    torch.testing.assert_close(direct_effects(bridge, rows, *answers), expected, atol=1e-7, rtol=1e-7)


def test_the_mapping_and_the_modes_agree(rows, answers):
    bridge, _ = bridge_and_reference("llama grouped")
    caught = {}
    layers = {name: layer for layer, name in enumerate(head_output_hooks(bridge))}
    hooks = [(name, lambda z, hook, n=name: caught.__setitem__(layers[n], z[:, -1].clone())) for name in layers]
    with torch.no_grad():
        bridge.run_with_hooks(rows, fwd_hooks=hooks)
    given = {(layer, head): z[:, head] for layer, z in caught.items() for head in range(N_HEADS)}
    means = {place: z.mean(0).expand_as(z) for place, z in given.items()}
    zeros = {place: torch.zeros_like(z) for place, z in given.items()}
    for source, mapping in (("mean", means), ("zero", zeros)):
        by_name, by_hand = (cut_heads(bridge, rows, *answers, SOME, source=each) for each in (source, mapping))
        torch.testing.assert_close(by_name.total, by_hand.total)
        torch.testing.assert_close(by_name.direct, by_hand.direct)
    nothing = cut_heads(bridge, rows, *answers, SOME, source=given)
    assert nothing.total.abs().max() < 1e-10 and nothing.made_up.abs().max() < 1e-10


def test_resampling_takes_another_prompts_output(rows, answers):
    """Of equal prompts nothing is lost; of two, each takes the other's, as a mapping would."""
    bridge, _ = bridge_and_reference("gpt2")
    alike = cut_heads(bridge, rows[:1].expand(4, -1), 3, 5, SOME, source="resample")
    assert alike.direct.abs().max() < 1e-10 and alike.total.abs().max() < 1e-10
    both = cut_heads(bridge, rows[:2], 3, 5, SOME, source="resample")
    zero = cut_heads(bridge, rows[:2], 3, 5, SOME, source="zero")
    assert (both.direct - zero.direct).abs().min() > 1e-6


def test_without_later_parts_and_norm_there_is_no_repair(rows, answers):
    """The last layer of an attention-only model, whose final norm does nothing else than divide."""
    bridge, _ = bridge_and_reference("opt without final norm")
    heads = [(N_LAYERS - 1, head) for head in range(N_HEADS)]
    found = cut_heads(bridge, rows, *answers, heads)
    after = found.made_up.sum(1) - found.made_up_by("MLP")
    assert after.abs().max() < 1e-8 and found.norm.abs().max() < 1e-8
    assert found.made_up_by("MLP").abs().max() > 1e-4


def silent(shape=ATTENTION_ONLY) -> NativeBridge:
    """A model whose second layer writes nothing: a head of the first has no one behind it."""
    weights = random_weights(shape)
    for name in weights:
        if name.startswith("layers.1.") and ".o." in name:
            weights[name] = torch.zeros_like(weights[name])
    return native(shape, weights, device="cpu").to(torch.float64, print_details=False)


def test_in_front_of_silent_layers_only_the_norm_makes_up(answers):
    model = silent()
    rows = torch.randint(SHAPE.d_vocab, (5, 12), generator=torch.Generator().manual_seed(3))
    found = cut_heads(model, rows, *answers, [(0, 0), (0, 3), [(0, 0), (0, 1)]])
    assert found.made_up.abs().max() < 1e-8
    torch.testing.assert_close(found.repair, found.norm, atol=1e-8, rtol=1e-8)
    assert found.norm.abs().max() > 1e-3


def test_a_backup_by_construction_is_found(answers):
    """The last MLP writes 0.6 of what a head of the first layer has lost: it makes up for 0.6 of the direct effect."""
    model = random_native().to(torch.float64, print_details=False)
    rows = torch.randint(SHAPE.d_vocab, (5, 12), generator=torch.Generator().manual_seed(3))
    out, mlp = points_of(model).outputs["attn"][0][-1], points_of(model).outputs["mlp"][2][-1]
    clean: list[Tensor] = []
    with torch.no_grad():
        model.run_with_hooks(rows, fwd_hooks=[(out, lambda z, hook: clean.append(z.clone()))])
    missing: list[Tensor] = []
    plain = cut_heads(model, rows, *answers, [(0, 1)])
    hooks = [
        (out, lambda z, hook: missing.append(0.6 * (clean[0][: len(z)] - z))),
        (mlp, lambda z, hook: z + missing.pop()),
    ]
    running.TOKENS_AT_ONCE = rows.numel()
    with model.hooks(fwd_hooks=hooks):
        found = cut_heads(model, rows, *answers, [(0, 1)])
    torch.testing.assert_close(found.direct, plain.direct, atol=1e-8, rtol=1e-8)
    more = found.made_up - plain.made_up
    torch.testing.assert_close(more.sum(1), 0.6 * found.direct, atol=1e-8, rtol=1e-8)
    where = [str(part) for part in found.parts].index("MLP 2")
    torch.testing.assert_close(more[:, where], 0.6 * found.direct, atol=1e-8, rtol=1e-8)


def test_a_cut_is_an_ablation_at_the_last_position(answers):
    """With one token in each prompt the last position is the only one, and ``ablate`` does the same."""
    model = random_native().to(torch.float64, print_details=False)
    rows = torch.randint(SHAPE.d_vocab, (5, 1), generator=torch.Generator().manual_seed(3))
    found = cut_heads(model, rows, *answers, [(1, 0), [(0, 0), (2, 1)]], source="zero")
    with torch.no_grad():
        intact = difference(model(rows), *answers)
        for number, cut in enumerate(found.cuts):
            with ablate(model, cut, mode="zero"):
                after = difference(model(rows), *answers)
            torch.testing.assert_close(found.total[number], intact - after, atol=1e-8, rtol=1e-8)


def test_labels_and_the_largest_changes(answers):
    model = random_native()
    rows = torch.randint(SHAPE.d_vocab, (5, 12), generator=torch.Generator().manual_seed(3))
    found = cut_heads(model, rows, *answers, [(1, 0), [(0, 0), (2, 1)]])
    assert found.labels == ("1.0", "0.0 + 2.1")
    means = found.made_up[0].mean(-1)
    top = found.most(0, 2)
    assert list(top.values()) == means[means.abs().topk(2).indices].tolist()
    assert found.made_up_by("head").shape == (2, 5)
    with pytest.raises(KeyError, match=r"no part is a 'neuron'; there are .*MLP"):
        found.made_up_by("neuron")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cuts": []}, "cuts names no head"),
        ({"cuts": [(7, 0)]}, "there is no head 0 in layer 7"),
        ({"source": "median"}, "source is one of mean, zero, resample, or outputs by head, not 'median'"),
        ({"source": {}}, "source has nothing for the head 1.0"),
        ({"source": {(1, 0): torch.zeros(2, 2)}}, r"hands on \[5, 8\], source has \[2, 2\]"),
        ({"right": torch.tensor([1, 2])}, r"right is one token or one for each of the 5 rows, not \[2\]"),
        ({"wrong": 1000}, "1000"),
        ({"source": "resample", "tokens": torch.zeros(1, 4, dtype=torch.long), "right": 1}, "another row"),
    ],
)
def test_what_cannot_be_cut_is_refused(change, message):
    rows = torch.randint(SHAPE.d_vocab, (5, 12), generator=torch.Generator().manual_seed(3))
    arguments = {"tokens": rows, "right": 3, "wrong": 5, "cuts": [(1, 0)]} | change
    with pytest.raises(ValueError, match=message):
        cut_heads(random_native(), **arguments)


def test_the_model_is_left_as_it_was():
    model = random_native()
    model.train()
    rows = torch.randint(SHAPE.d_vocab, (5, 12), generator=torch.Generator().manual_seed(3))
    before = model(rows)
    cut_heads(model, rows, 3, 5, [(1, 0)])
    assert model.training and torch.equal(model(rows), before)
