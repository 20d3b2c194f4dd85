"""What is found in the shipped models, what is not found without a second layer or without learning."""

import copy

import pytest
import torch

from mechlib import stats, zoo
from mechlib.bridge import shuffled
from mechlib.heads import find_heads, head_scores, repeated_tokens


@pytest.fixture(scope="module")
def two_layers():
    return zoo.load("code-2l", device="cpu")


@pytest.fixture(scope="module")
def found(two_layers):
    return find_heads(two_layers, "induction", threshold=0.6, seeds=4)


class TestShippedModels:
    def test_induction_heads_of_two_layers(self, found):
        assert 1 <= len(found.heads) <= 3
        assert all(layer == 1 for layer, _ in found.heads)
        assert found.mean.max() > 0.6

    def test_unseen_periods_and_seeds(self, two_layers, found):
        elsewhere = find_heads(two_layers, "induction", threshold=0.6, seeds=range(100, 103), periods=(70, 110))
        assert elsewhere.heads == found.heads

    def test_one_layer_has_none(self):
        found = find_heads(zoo.load("code-1l", device="cpu"), "induction", threshold=0.15, seeds=4)
        assert found.heads == () and found.high.max() < 0.15

    def test_the_control_has_none(self, found):
        assert found.control.max() < 0.15


class TestWhatIsReported:
    def test_each_seed_is_a_run_of_its_own(self, two_layers, found):
        assert found.scores.shape == found.control.shape == (4, 2, 4)
        assert len(set(found.periods.tolist())) > 1
        generator = torch.Generator().manual_seed(2)
        period = int(torch.randint(16, 65, (), generator=generator))
        tokens = repeated_tokens(4, period, 2048, generator=generator)
        assert found.periods[2] == period
        torch.testing.assert_close(found.scores[2], head_scores(two_layers, tokens).attained("induction"))
        control = head_scores(shuffled(two_layers, seed=2), tokens).attained("induction")
        torch.testing.assert_close(found.control[2], control)

    def test_intervals_are_those_of_stats(self, found):
        expected = stats.estimate(found.scores[:, 1, 2])
        assert found.estimate(1, 2).low == pytest.approx(expected.low)
        assert found.estimate(1, 2).high == pytest.approx(expected.high)
        assert found.estimate(1, 2).mean == pytest.approx(expected.mean)
        assert found.estimate(1, 2).n == 4

    def test_found_heads_are_those_with_the_whole_interval_above(self, two_layers, found):
        expected = {tuple(head) for head in (found.low >= 0.6).nonzero().tolist()}
        assert set(found.heads) == expected
        means = [found.mean[head] for head in found.heads]
        assert means == sorted(means, reverse=True)

    def test_a_threshold_of_zero_finds_every_head(self, two_layers):
        assert len(find_heads(two_layers, "previous_token", threshold=0, seeds=2, batch=1).heads) == 8

    def test_any_format(self, model):
        found = find_heads(model, "previous_token", seeds=[5, 9], batch=2, bos=3)
        assert found.scores.shape == (2, model.cfg.n_layers, model.cfg.n_heads)
        assert found.periods.min() >= 2 and found.periods.max() <= 9


class TestShuffledWeights:
    def test_values_stay_and_order_goes(self, model):
        control = shuffled(model, seed=0)
        for (name, own), (other, copied) in zip(model.named_parameters(), control.named_parameters(), strict=True):
            assert name == other
            assert torch.equal(own.flatten().sort().values, copied.flatten().sort().values)
            assert own.unique().numel() < 10 or not torch.equal(own, copied)

    def test_the_copy_runs_on_its_own_weights(self, model, tokens):
        with torch.no_grad():
            before = model(tokens)
            control = shuffled(model, seed=0)
            assert (control(tokens) - before).abs().max() > 0.1
            assert torch.equal(model(tokens), before)

    def test_a_run_of_the_copy_writes_nothing_into_the_model(self, model, tokens):
        def remembered() -> dict[tuple[str, str], torch.Tensor]:
            return {
                (name, key): value
                for name, module in model.named_modules()
                for key, value in vars(module).items()
                if isinstance(value, torch.Tensor)
            }

        with torch.no_grad():
            model(tokens)
            before = remembered()
            control = shuffled(model, seed=0)
            control(tokens[:2])
        after = remembered()
        assert before and all(after[place] is tensor for place, tensor in before.items())
        for (place, module), copied in zip(model.named_modules(), control.modules(), strict=True):
            assert len(module._forward_pre_hooks) == len(copied._forward_pre_hooks), place

    def test_the_seed_decides(self, small):
        first, again, other = (shuffled(small, seed=seed).W_Q for seed in (0, 0, 1))
        assert torch.equal(first, again) and not torch.equal(first, other)

    def test_after_a_run_with_gradients(self, model, tokens):
        model(tokens)
        with torch.no_grad():
            assert (shuffled(model, seed=0)(tokens) - model(tokens)).abs().max() > 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "copying"}, "kind is one of .*, not 'copying'"),
        ({"threshold": 1.5}, "from 0 to 1, not 1.5"),
        ({"seeds": 1}, r"at least two seeds, got \[0\]"),
        ({"seeds": [7]}, r"at least two seeds, got \[7\]"),
        ({"periods": (3, 11)}, r"periods=\(3, 11\) are not within 1 to 10, shortest first: the context holds 20"),
        ({"periods": (3, 10), "bos": 0}, r"\(3, 10\) are not within 1 to 9"),
        ({"periods": (0, 5)}, r"\(0, 5\)"),
        ({"periods": (6, 5)}, r"\(6, 5\).*shortest first"),
        ({"batch": 0}, "batch=0"),
        ({"bos": 83}, "bos=83 is no token"),
    ],
)
def test_bad_input(small, arguments, message):
    with pytest.raises(ValueError, match=message):
        find_heads(**{"model": small, "kind": "induction", **arguments})


def test_attention_that_is_no_number_is_named(small):
    broken = copy.deepcopy(small)
    with torch.no_grad():
        broken.blocks[1].attn.k.bias[0] = torch.nan
    with pytest.raises(ValueError, match="the attention of head 0 in layer 1 is NaN on the sequences of seed 5"):
        find_heads(broken, "induction", seeds=(5, 6), batch=1)


def test_a_model_without_patterns(without_patterns):
    with pytest.raises(ValueError, match="no attention pattern to read"):
        find_heads(without_patterns, "induction")


@pytest.mark.parametrize("head", [(2, 0), (0, 4), (-1, 0)])
def test_an_estimate_of_a_head_that_is_not_there(found, head):
    with pytest.raises(ValueError, match=rf"no head {head[1]} in layer {head[0]}: layers are 0 to 1, heads 0 to 3"):
        found.estimate(*head)
