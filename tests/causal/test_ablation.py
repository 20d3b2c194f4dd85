"""Ablated runs against models whose weights do without the head, and hooks that do not outlive the block."""

import random
from functools import cache
from itertools import product

import pytest
import torch

from mechlib import zoo
from mechlib.bridge import Shape, native
from mechlib.causal import ablate
from mechlib.heads import KINDS, find_heads, repeated_tokens
from mechlib.zoo.evaluation import token_losses
from tests.models import random_weights

SHAPE = Shape(n_layers=2, d_model=24, n_heads=3, d_head=8, d_mlp=30, n_ctx=12, d_vocab=31)
HEADS = [(0, 2), (1, 0), (1, 1)]


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return random_weights(SHAPE, seed=3)


@pytest.fixture(scope="module")
def own(weights):
    return native(SHAPE, weights, device="cpu")


@pytest.fixture(scope="module")
def rows() -> torch.Tensor:
    return torch.randint(SHAPE.d_vocab, (5, 9), generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def without(weights, heads, outputs=None):
    """The model whose ``W_O`` takes nothing from ``heads``; ``outputs`` says what goes into ``b_O`` instead."""
    edited = {name: tensor.clone() for name, tensor in weights.items()}
    for layer, head in heads:
        columns = slice(head * SHAPE.d_head, (head + 1) * SHAPE.d_head)
        out = edited[f"layers.{layer}.attn.o.weight"]
        if outputs:
            edited[f"layers.{layer}.attn.o.bias"] += out[:, columns] @ outputs[layer, head]
        out[:, columns] = 0
    return native(SHAPE, edited, device="cpu")


def head_outputs(model, rows, layer) -> torch.Tensor:
    _, cache = model.run_with_cache(rows)
    return cache["z", layer]


class TestAgainstOtherWeights:
    def test_zero(self, own, weights, rows):
        with ablate(own, HEADS, mode="zero"):
            ablated = own(rows)
        torch.testing.assert_close(ablated, without(weights, HEADS)(rows), atol=1e-5, rtol=1e-5)
        assert (ablated - own(rows)).abs().max() > 0.1

    def test_mean_over_a_reference(self, own, weights, rows):
        reference = torch.randint(SHAPE.d_vocab, (90, 12), generator=torch.Generator().manual_seed(5))
        means = {(layer, head): head_outputs(own, reference, layer)[:, :, head].mean((0, 1)) for layer, head in HEADS}
        with ablate(own, HEADS, mode="mean", reference=reference):
            ablated = own(rows)
        torch.testing.assert_close(ablated, without(weights, HEADS, means)(rows), atol=1e-5, rtol=1e-5)

    def test_mean_over_the_running_batch(self, own, weights, rows):
        means = {(0, 2): head_outputs(own, rows, 0)[:, :, 2].mean((0, 1))}
        with ablate(own, [(0, 2)]):
            ablated = own(rows)
        torch.testing.assert_close(ablated, without(weights, [(0, 2)], means)(rows), atol=1e-5, rtol=1e-5)

    def test_other_heads_compute_as_before(self, own, rows):
        before = head_outputs(own, rows, 0)
        with ablate(own, [(0, 2)], mode="zero"):
            after = head_outputs(own, rows, 0)
        assert torch.equal(before[:, :, :2], after[:, :, :2]) and (after[:, :, 2] == 0).all()

    def test_no_head_is_no_change(self, model, tokens):
        with ablate(model, []):
            inside = model(tokens)
        assert torch.equal(inside, model(tokens))

    def test_any_format(self, model, tokens):
        heads = [(0, 1), (1, 0)]
        with ablate(model, heads, mode="mean", reference=tokens[:2]):
            _, cache = model.run_with_cache(tokens)
        for layer, head in heads:
            assert cache["z", layer].shape[2] == model.cfg.n_heads
            outputs = cache["z", layer][:, :, head]
            assert torch.equal(outputs, outputs[:1, :1].expand_as(outputs))


class TestResample:
    def test_each_row_gets_another_rows_outputs(self, own, rows):
        before = head_outputs(own, rows, 0)
        donors = set()
        with ablate(own, [(0, 0), (0, 2)], mode="resample"):
            for _ in range(20):
                after = head_outputs(own, rows, 0)
                same = (after[:, None, :, [0, 2]] == before[None, :, :, [0, 2]]).flatten(2).all(-1)
                assert (same.sum(1) == 1).all() and (same.sum(0) == 1).all() and not same.diagonal().any()
                donors.add(tuple(same.long().argmax(1).tolist()))
        assert len(donors) > 5

    def test_one_row_for_the_heads_of_every_layer(self, own, rows):
        """With every head resampled, attention knows only the other row: the logits' change shows which."""
        reference = torch.stack([torch.full((12,), token) for token in (3, 8)])
        kept = [head_outputs(own, reference, layer) for layer in range(2)]
        heads = [(layer, head) for layer in range(2) for head in range(3)]
        with ablate(own, heads, mode="resample", reference=reference):
            _, cache = own.run_with_cache(rows)
        chosen = [
            [
                [torch.equal(cache["z", layer][row], kept[layer][donor, :9]) for donor in range(2)]
                for row in range(len(rows))
            ]
            for layer in range(2)
        ]
        assert chosen[0] == chosen[1] and all(sum(row) == 1 for row in chosen[0])
        assert len({tuple(row) for row in chosen[0]}) == 2

    def test_the_generator_decides(self, own, rows):
        def run(seed):
            with ablate(own, HEADS, mode="resample", generator=torch.Generator().manual_seed(seed)):
                return own(rows)

        assert torch.equal(run(1), run(1))
        assert any(not torch.equal(run(1), run(seed)) for seed in range(2, 6))


class TestBlocks:
    def test_nested_blocks_add_up(self, own, rows):
        with ablate(own, HEADS, mode="zero"):
            at_once = own(rows)
        with ablate(own, HEADS[:1], mode="zero"):
            outer = own(rows)
            with ablate(own, HEADS[1:], mode="zero"):
                assert torch.equal(own(rows), at_once)
            assert torch.equal(own(rows), outer)
        assert (own(rows) - outer).abs().max() > 0.01

    def test_a_reference_run_has_the_outer_block_ablated(self, own, weights, rows):
        with ablate(own, [(0, 2)], mode="zero"), ablate(own, [(1, 0)], reference=rows):
            nested = own(rows)
        means = {(1, 0): head_outputs(without(weights, [(0, 2)]), rows, 1)[:, :, 0].mean((0, 1))}
        means[0, 2] = torch.zeros(SHAPE.d_head)
        torch.testing.assert_close(nested, without(weights, [(0, 2), (1, 0)], means)(rows), atol=1e-5, rtol=1e-5)

    def test_nothing_is_left_after_an_exception(self, own, rows):
        before = own(rows)
        with pytest.raises(KeyboardInterrupt), ablate(own, HEADS), ablate(own, HEADS, mode="resample"):
            raise KeyboardInterrupt
        assert torch.equal(own(rows), before)
        assert not any(point.fwd_hooks for point in own.hook_dict.values())

    def test_gradients_flow_through_the_other_heads(self, own, rows):
        with torch.enable_grad(), ablate(own, HEADS, mode="zero"):
            (gradient,) = torch.autograd.grad(own(rows).sum(), own.blocks[0].attn.v.weight)
        per_head = gradient.view(3, -1).abs().sum(1)
        assert per_head[2] == 0 and (per_head[:2] > 0).all()


class TestTheInductionHeads:
    """What the book claims of the shipped models, at its smallest."""

    PERIOD = 41

    @pytest.fixture
    def rise(self):
        """``rise(model, heads, mode)``: what ablating them adds to the loss on the second copy, in nats."""
        repeats = repeated_tokens(8, self.PERIOD, 2048, generator=torch.Generator().manual_seed(11))
        reference = torch.randint(2048, (8, 82), generator=torch.Generator().manual_seed(12))

        def loss(model) -> float:
            return token_losses(model, repeats)[:, self.PERIOD :].mean().item()

        intact = cache(loss)

        def measure(model, heads, mode) -> float:
            with ablate(model, heads, mode=mode, reference=reference if mode == "mean" else None):
                ablated = loss(model)
            return ablated - intact(model)

        return measure

    @pytest.fixture
    def model(self):
        return zoo.load("code-2l", device="cpu")

    @pytest.fixture
    def found(self, model):
        return find_heads(model, "induction", threshold=0.6, seeds=3).heads

    @pytest.mark.parametrize("mode", ["mean", "zero", "resample"])
    def test_they_are_needed_to_repeat(self, rise, model, found, mode):
        assert 1 <= len(found) <= 3
        assert rise(model, found, mode) > 2

    @pytest.mark.parametrize("mode", ["zero", "resample"])
    def test_as_many_others_of_their_layer_are_not(self, rise, model, found, mode):
        others = [(1, head) for head in range(4) if (1, head) not in found]
        assert len(others) == len(found)
        assert abs(rise(model, others, mode)) < 0.5

    def test_three_random_heads_that_match_no_pattern_cost_little_on_average(self, rise):
        model = zoo.load("code-4l-mlp", device="cpu")
        found = {kind: find_heads(model, kind, threshold=0.6, seeds=3).heads for kind in KINDS}
        unmatched = sorted(set(product(range(4), range(6))).difference(*found.values()))
        assert len(found["induction"]) == 3
        assert rise(model, found["induction"], "resample") > 10
        draw = random.Random(0)
        at_random = [rise(model, draw.sample(unmatched, 3), "resample") for _ in range(80)]
        assert sum(at_random) / len(at_random) < 0.5


class TestBadInput:
    @pytest.mark.parametrize("head", [(2, 0), (-1, 0), (0, 3), (1, -1)])
    def test_heads(self, own, head):
        message = rf"no head {head[1]} in layer {head[0]}: layers are 0 to 1, heads 0 to 2"
        with pytest.raises(ValueError, match=message), ablate(own, [(0, 0), head]):
            pass

    def test_modes(self, own):
        message = "mode is one of mean, zero, resample, not 'knockout'"
        with pytest.raises(ValueError, match=message), ablate(own, HEADS, mode="knockout"):
            pass

    @pytest.mark.parametrize(
        ("reference", "error", "message"),
        [
            (torch.zeros(2, 13, dtype=torch.long), ValueError, "longer than the model's context of 12"),
            (torch.full((2, 3), 31), ValueError, "token ids are from 0 to 30"),
            (torch.zeros(2, 3), TypeError, "float32"),
            ("text", TypeError, "not str"),
        ],
    )
    @pytest.mark.parametrize("mode", ["mean", "zero", "resample"])
    def test_references(self, own, mode, reference, error, message):
        with pytest.raises(error, match=message), ablate(own, HEADS, mode=mode, reference=reference):
            pass

    def test_resampling_one_row(self, own, rows):
        message = "run at least two, or give a reference"
        with pytest.raises(ValueError, match=message), ablate(own, HEADS, mode="resample"):
            own(rows[:1])

    def test_resampling_from_a_short_reference(self, own, rows):
        message = "reference has 4 positions, and what is run has 9"
        with pytest.raises(ValueError, match=message), ablate(own, HEADS, mode="resample", reference=rows[:, :4]):
            own(rows)

    def test_a_model_without_heads(self, without_patterns):
        message = r"no attention heads in layers \[1\]"
        with pytest.raises(ValueError, match=message), ablate(without_patterns, [(0, 0)]):
            pass
