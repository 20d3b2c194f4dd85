"""What strangers bring to patching: numbers of any kind, half precision, dropout, hooks of their own, NaN."""

import numpy as np
import pytest
import torch

from mechlib.bridge import Shape
from mechlib.causal import (
    ablate,
    activation_patching,
    attribution_patching,
    interchange,
    logit_difference,
    path_patching,
)
from mechlib.causal.interchange import WHOLE
from tests.causal.models import bridge_and_reference
from tests.models import random_native

CLEAN, CORRUPT = torch.randint(83, (2, 3, 7), generator=torch.Generator().manual_seed(1))
METRIC = logit_difference(torch.tensor([1, 2, 3]), 4)
QUIET = {"progress": False}
CALLS = {
    "heads": lambda model, *runs: activation_patching(model, *runs, METRIC, site="head", positions=-1, **QUIET),
    "patterns": lambda model, *runs: activation_patching(model, *runs, METRIC, site="pattern", positions=-1, **QUIET),
    "to first order": lambda model, *runs: attribution_patching(model, *runs, METRIC, site="head"),
    "entries, to first order": lambda model, *runs: attribution_patching(model, *runs, METRIC),
    "paths": lambda model, *runs: path_patching(model, *runs, METRIC, **QUIET),
    "paths of MLPs": lambda model, *runs: path_patching(model, *runs, METRIC, site="mlp", **QUIET),
    "paths to a head": lambda model, *runs: path_patching(model, *runs, METRIC, receivers=[(2, 0)], **QUIET),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture(scope="module")
def model():
    return random_native()


def patched(model, **options):
    given = {"clean": CLEAN, "corrupt": CORRUPT, "metric": METRIC, "site": "head", "positions": -1} | options
    return activation_patching(model, **given, **QUIET)


@every_call
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_in_half_precision_it_is_what_it_is_in_single_up_to_rounding(call, dtype):
    half = random_native().to(dtype, print_details=False)
    single = random_native()
    single.load_state_dict({name: weight.float() for name, weight in half.state_dict().items()})
    found, expected = call(half, CLEAN, CORRUPT), call(single, CLEAN, CORRUPT)
    unit = torch.finfo(dtype).eps
    assert found.values.dtype == torch.float32 and torch.equal(found.values.isnan(), expected.values.isnan())
    gap = (found.values - expected.values).nan_to_num().abs().max()
    assert gap < 10 * unit * single(CLEAN).abs().max()


@every_call
def test_equal_prompts_have_no_effect_in_a_model_that_drops_out(call):
    model, _ = bridge_and_reference("gpt2", resid_pdrop=0.5, attn_pdrop=0.5, embd_pdrop=0.5)
    model.train()
    found = call(model, CLEAN % 23, CLEAN % 23)
    assert (found.effect.nan_to_num().abs() < 1e-12).all() and model.training


@every_call
def test_in_inference_mode_it_is_the_same(call, model):
    expected = call(model, CLEAN, CORRUPT)
    with torch.inference_mode():
        found = call(model, CLEAN.clone(), CORRUPT.clone())
    assert torch.equal(found.values.nan_to_num(), expected.values.nan_to_num())


def test_a_metric_made_in_inference_mode_has_a_gradient_too(model):
    expected = CALLS["to first order"](model, CLEAN, CORRUPT)
    with torch.inference_mode():
        metric = logit_difference(torch.tensor([1, 2, 3]).clone(), torch.tensor(4).clone())
        mask = torch.ones_like(CLEAN, dtype=torch.bool)
        found = attribution_patching(model, CLEAN, CORRUPT, metric, site="head", attention_mask=mask)
    assert torch.equal(found.values, expected.values)


@every_call
def test_behind_a_cut_nothing_has_an_effect(call, model):
    """A caller's hook puts the same in the place of the stream after layer 1, whatever the prompt."""

    def cut(residual, hook):
        return torch.ones_like(residual)

    with model.hooks(fwd_hooks=[("blocks.1.hook_resid_post", cut)]):
        found = call(model, CLEAN, CORRUPT)
    before = 3 if found.axes[1] == "entry" else 2
    assert (found.effect[:, :before].nan_to_num().abs() < 1e-6).all()


@every_call
def test_logits_that_are_no_numbers_are_refused_with_the_run(call):
    broken = random_native()
    broken.ln_final.weight.data.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"the logit difference \(nats\) is nan in the run that is patched, for row 0"):
        call(broken, CLEAN, CORRUPT)


def test_a_metric_that_is_infinite_in_one_patched_run_is_refused_with_the_place(model):
    ordinary = patched(model).base

    def metric(logits):
        values = METRIC(logits)
        return values.where(torch.isclose(values, ordinary) | (values > values.max() - 1e-9), torch.inf)

    with pytest.raises(ValueError, match=r"metric is inf in the (run that gives|patched runs), for row \d"):
        patched(model, metric=metric)


@pytest.mark.parametrize(
    "head",
    [
        (np.int64(1), np.int64(0)),
        [1, 0],
        torch.tensor([1, 0]),
        np.array([1, 0], dtype=np.uint8),
        {"layer": 1, "head": 0},
        {"layer": 1, "head": 0, "pos": 3},
    ],
    ids=lambda head: type(head).__name__,
)
def test_a_head_may_be_given_by_whatever_holds_two_integers(model, head):
    expected = patched(model, only=[(1, 0)]).values
    assert torch.equal(patched(model, only=[head]).values.nan_to_num(), expected.nan_to_num())
    into, same = (
        path_patching(model, CLEAN, CORRUPT, METRIC, receivers=[each], **QUIET).values for each in (head, (1, 0))
    )
    assert torch.equal(into.nan_to_num(), same.nan_to_num())
    logits = []
    for each in (head, (1, 0)):
        with ablate(model, [each]):
            logits.append(model(CLEAN))
    assert torch.equal(*logits) and not torch.equal(logits[0], model(CLEAN))


def test_what_a_result_found_is_what_others_take(model):
    found = patched(model).largest(2)
    assert patched(model, only=found).effect.isnan().sum() == 3 * 4
    with ablate(model, found):
        assert not torch.equal(model(CLEAN), random_native()(CLEAN))


@pytest.mark.parametrize("head", [(1, 0.0), (True, False), (1,), (1, 0, 2), "10", None, {"layer": 1}, torch.ones(2)])
def test_what_is_no_head_is_named(model, head):
    for name, give in (
        ("only", lambda: patched(model, only=[head])),
        ("receivers", lambda: path_patching(model, CLEAN, CORRUPT, METRIC, receivers=[head], **QUIET)),
        ("heads", lambda: ablate(model, [head]).__enter__()),
    ):
        with pytest.raises(TypeError, match=rf"{name} holds pairs \(layer, head\)"):
            give()


@pytest.mark.parametrize("receivers", ["logit", "head", ""])
def test_another_word_for_receivers_is_refused(model, receivers):
    with pytest.raises(ValueError, match=f"receivers are heads .layer, head., or \"logits\", not '{receivers}'"):
        path_patching(model, CLEAN, CORRUPT, METRIC, receivers=receivers, **QUIET)


@pytest.mark.parametrize("at", [np.int64(-2), torch.tensor(5), np.array(5, dtype=np.int32)[()]])
def test_a_position_may_be_any_integer(model, at):
    assert torch.equal(patched(model, at=at).values, patched(model, at=5).values)


@pytest.mark.parametrize("at", [1.0, True, torch.tensor([1, 2, 3]), torch.tensor(1.0), "last"])
def test_what_is_no_position_is_refused(model, at):
    with pytest.raises(TypeError, match="at is the position that the metric reads, an integer, or None"):
        patched(model, at=at)


@pytest.mark.parametrize("kind", [torch.int16, torch.uint8, torch.int32], ids=str)
def test_tokens_may_be_of_any_integer_type(model, kind):
    expected = patched(model).values
    assert torch.equal(patched(model, clean=CLEAN.to(kind), corrupt=CORRUPT.numpy()).values, expected)


def test_a_metric_may_change_its_logits(model):
    def metric(logits):
        logits -= logits.mean(-1, keepdim=True)
        return logits[:, 1]

    found = patched(model, metric=metric)
    expected = patched(model, metric=lambda logits: logits[:, 1] - logits.mean(-1))
    torch.testing.assert_close(found.values, expected.values)
    torch.testing.assert_close(found.giver, expected.giver)


def test_one_layer_one_head_two_tokens():
    """With one position, attention is 1, and the head hands on the value: nothing is left for the pattern."""
    tiny = random_native(Shape(n_layers=1, d_model=4, n_heads=1, d_head=4, d_mlp=4, n_ctx=1, d_vocab=2))
    runs = torch.tensor([[0]]), torch.tensor([[1]]), logit_difference(0, 1)
    whole = activation_patching(tiny, *runs, only=[0], **QUIET)
    torch.testing.assert_close(whole.values[:, 0, 0], whole.giver)
    assert activation_patching(tiny, *runs, site="pattern", **QUIET).effect.abs().max() < 1e-6
    ends = activation_patching(tiny, *runs, only=[1], **QUIET)
    torch.testing.assert_close(ends.values[:, 1, 0], ends.giver)


class TestInterchange:
    BASE, SOURCE = torch.randint(83, (2, 8, 5), generator=torch.Generator().manual_seed(4))

    def exchanged(self, model, **options):
        given = {"entry": 1, "rank": 1, "epochs": 1, "placebos": 1} | options
        return interchange(model, self.BASE, self.SOURCE, torch.arange(8) % 2, torch.tensor([3, 9]), **given)

    def test_in_inference_mode_it_is_the_same(self, model):
        expected = self.exchanged(model)
        with torch.inference_mode():
            found = self.exchanged(model)
        assert torch.equal(found.basis, expected.basis) and found.held_out == expected.held_out

    def test_in_train_mode_it_is_the_same(self):
        model, _ = bridge_and_reference("gpt2", resid_pdrop=0.5, attn_pdrop=0.5, embd_pdrop=0.5)
        model = model.float()
        base, source = self.BASE % 23, self.SOURCE % 23
        given = (model, base, source, torch.arange(8) % 2, torch.tensor([3, 9]))
        expected = interchange(*given, entry=1, rank=1, epochs=1, placebos=1)
        model.train()
        found = interchange(*given, entry=1, rank=1, epochs=1, placebos=1)
        assert torch.equal(found.basis, expected.basis) and found.held_out == expected.held_out

    def test_logits_that_are_no_numbers_are_refused(self):
        broken = random_native()
        broken.unembed.weight.data.fill_(torch.nan)
        with pytest.raises(ValueError, match="the logits of the classes are NaN for pair 0: it has no answer"):
            self.exchanged(broken)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
    def test_in_half_precision_the_whole_of_the_last_entry_is_the_source(self, dtype):
        model = random_native().to(dtype, print_details=False)
        answers = model(self.SOURCE)[:, -1, [3, 9]].argmax(-1)
        result = interchange(
            model, self.BASE, self.SOURCE, answers, torch.tensor([3, 9]), entry=3, rank=1, epochs=1, placebos=1
        )
        assert result.held_out[WHOLE] == 1
