"""The live toys: what they learn, what their control does not, and that training many at once changes nothing."""

import pytest
import torch
import torch.nn.functional as F

from mechlib import heads
from mechlib.zoo import toy
from mechlib.zoo.decoder import Decoder


def attained(model, period):
    tokens = heads.repeated_tokens(16, period, toy.D_VOCAB, generator=torch.Generator().manual_seed(7))
    return heads.head_scores(model, tokens).attained("induction").max().item()


@pytest.fixture(scope="module")
def induction_toy():
    (trained,) = toy.train(2, seeds=(0,), steps=300, every=100)
    return trained


def test_two_layers_learn_induction(induction_toy):
    assert induction_toy.steps.tolist() == [0, 100, 200, 300]
    assert induction_toy.accuracy[0] < 0.1 and induction_toy.accuracy[-1] > 0.9
    assert induction_toy.loss[0] == pytest.approx(4.16, abs=0.1)
    assert induction_toy.induction[0] < 0.15 and induction_toy.induction[-1] > 0.8
    assert attained(induction_toy.model, 19) > 0.6, "tokens drawn with replacement, which training did not show"


def test_one_layer_does_not():
    (control,) = toy.train(1, seeds=(0,), steps=300, every=300)
    assert control.accuracy[-1] < 0.3 and control.induction[-1] < 0.15


def test_one_layer_with_one_period_looks_like_induction_on_that_period_only():
    (false,) = toy.train(1, seeds=(0,), period=24, steps=100, every=100)
    assert false.accuracy[-1] > 0.9 and false.induction[-1] > 0.8
    assert attained(false.model, 24) > 0.6
    assert attained(false.model, 19) < 0.15


def test_the_curves_are_those_of_the_model_that_is_returned(induction_toy):
    rows, periods = toy.repeats(64, 8, 32, torch.Generator().manual_seed(toy.MEASURED_SEED))
    logits = induction_toy.model(rows[:, :-1])
    losses = F.cross_entropy(logits.transpose(1, 2), rows[:, 1:], reduction="none")
    copied = torch.tensor([[pos >= period for pos in range(toy.N_CTX)] for (period,) in periods.tolist()])
    assert losses[copied].mean().item() == pytest.approx(induction_toy.loss[-1].item(), abs=1e-3)


def test_many_at_once_are_as_each_by_itself():
    together = toy.train(2, seeds=(3, 4), steps=12, every=12)
    alone = _trained_by_a_plain_loop(seed=4, steps=12)
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(_parameters(together[1].model)[name], value, atol=1e-4, rtol=0)
    assert not torch.allclose(together[0].model.W_E, together[1].model.W_E, atol=1e-3)


def _parameters(model):
    return {name.replace("._original_component", ""): p.detach() for name, p in model.named_parameters()}


def _trained_by_a_plain_loop(seed, steps):
    shape = toy.shape_of(2)
    model, generator = Decoder(shape, seed), torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    for step in range(steps):
        rows, periods = toy.repeats(toy.ROWS, 8, 32, generator)
        kept = torch.stack([torch.arange(toy.N_CTX) >= period for period in periods.flatten()])
        loss = F.cross_entropy(model(rows[:, :-1])[kept], rows[:, 1:][kept])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.param_groups[0]["lr"] = toy.RATE * (step + 1) / toy.WARMUP
        optimiser.step()
    return model


def test_rows_repeat_blocks_of_distinct_tokens():
    rows, periods = toy.repeats(40, 5, 9, torch.Generator().manual_seed(0))
    assert set(periods.flatten().tolist()) == {5, 6, 7, 8, 9}
    for row, period in zip(rows, periods.flatten().tolist(), strict=True):
        assert torch.equal(row[period:], row[:-period]) and row[:period].unique().numel() == period


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"period": 33}, "between 2 and 32, half the context of 64, not 33"),
        ({"period": (9, 8)}, r"not \(9, 8\)"),
        ({"period": 1}, "not 1"),
        ({"seeds": ()}, r"seeds=\(\)"),
        ({"steps": 0}, "steps=0"),
        ({"every": 0}, "every=0"),
    ],
)
def test_bad_arguments_are_repeated(arguments, message):
    with pytest.raises(ValueError, match=message):
        toy.train(2, **arguments)


def test_no_layer_is_no_toy():
    with pytest.raises(ValueError, match="n_layers=0"):
        toy.train(0)
