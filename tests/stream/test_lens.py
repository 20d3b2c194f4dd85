"""The logit lens against TransformerLens's own, against float64 by brute force, and against what it must satisfy."""

import copy
import dataclasses

import numpy as np
import pytest
import scipy.special
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformer_lens.tools.analysis import logit_lens as reference_lens

from mechlib.bridge import Shape, TransformerBridge, from_transformers, native
from mechlib.stream import LensResult, layer_log_probs, logit_lens, read_out, residual_entries, running
from mechlib.stream import lens as lens_module
from mechlib.zoo.decoder import Decoder
from tests.models import SHAPE, random_native

BATCH, POS = 5, 17
FIELDS = ("entropy", "kl_to_final", "top_ids", "top_log_prob", "target_log_prob", "target_rank")


@pytest.fixture(scope="module")
def tokens() -> Tensor:
    return torch.randint(SHAPE.d_vocab, (BATCH, POS + 1), generator=torch.Generator().manual_seed(1))[:, :-1]


@pytest.fixture(scope="module")
def targets() -> Tensor:
    return torch.randint(SHAPE.d_vocab, (BATCH, POS + 1), generator=torch.Generator().manual_seed(1))[:, 1:]


@pytest.fixture(autouse=True)
def several_chunks(monkeypatch):
    """Chunks so small that every test crosses their borders."""
    monkeypatch.setattr(running, "TOKENS_AT_ONCE", 2 * POS)
    monkeypatch.setattr(running, "ROWS_AT_ONCE", {"cpu": 7, "cuda": 7})


def exact_log_probs(model: TransformerBridge, tokens: Tensor) -> Tensor:
    """All entries' log-probabilities in float64, from TransformerLens's cache and the weights by hand."""
    with torch.no_grad():
        _, cache = model.run_with_cache(tokens)
    stream = [cache["blocks.0.hook_resid_pre"]] + [
        cache[f"blocks.{n}.hook_resid_post"] for n in range(model.cfg.n_layers)
    ]
    x = torch.stack(stream).double()
    x = x - x.mean(-1, keepdim=True)
    x = x / (x.pow(2).mean(-1, keepdim=True) + model.cfg.eps).sqrt()
    w, b = model.ln_final.weight.double(), model.ln_final.bias.double()
    logits = (x * w + b) @ model.W_U.double() + model.b_U.double()
    return (logits - logits.exp().sum(-1, keepdim=True).log()).detach()


class TestAgainstBruteForce:
    def test_every_field(self, model, tokens, targets):
        exact = exact_log_probs(model, tokens)
        result = logit_lens(model, tokens, targets=targets, top_k=4)
        of_target = exact.gather(-1, targets.expand(len(exact), -1, -1)[..., None])
        torch.testing.assert_close(result.target_log_prob.double(), of_target[..., 0], atol=2e-5, rtol=0)
        assert (result.target_rank == (exact > of_target).sum(-1)).all()
        torch.testing.assert_close(result.entropy.double(), -(exact.exp() * exact).sum(-1), atol=2e-5, rtol=0)
        kl = (exact[-1].exp() * (exact[-1] - exact)).sum(-1)
        torch.testing.assert_close(result.kl_to_final.double(), kl, atol=2e-5, rtol=0)
        best = exact.topk(4)
        assert (result.top_ids == best.indices).all()
        torch.testing.assert_close(result.top_log_prob.double(), best.values, atol=2e-5, rtol=0)

    def test_layer_log_probs(self, model, tokens):
        torch.testing.assert_close(
            layer_log_probs(model, tokens).double(), exact_log_probs(model, tokens), atol=2e-5, rtol=0
        )

    def test_the_last_entry_is_the_model(self, model, tokens):
        with torch.no_grad():
            own = model(tokens).log_softmax(-1)
        torch.testing.assert_close(layer_log_probs(model, tokens)[-1], own, atol=1e-5, rtol=0)


class TestTokensThatAreRuledOut:
    """Logits of minus infinity, against SciPy in double precision."""

    @pytest.fixture
    def ruling(self, monkeypatch) -> TransformerBridge:
        """Tokens from 60 on are always ruled out, token 5 where token 0 has a larger logit than token 1.

        Where it is not, its probability of about ``exp(-300)`` is 0 in single precision.
        """
        model = random_native()
        forward, token = model.forward, torch.arange(SHAPE.d_vocab)

        def rule_out(logits: Tensor) -> Tensor:
            here_and_there = (token == 5) & (logits[..., :1] > logits[..., 1:2])
            return (logits - 300.0 * (token == 5)).masked_fill(here_and_there | (token >= 60), -torch.inf)

        monkeypatch.setattr(model.adapter, "apply_output_logits_transform", rule_out)
        model.forward = lambda *arguments, **options: rule_out(forward(*arguments, **options))
        return model

    @pytest.fixture
    def exact(self, ruling, tokens) -> Tensor:
        """Probabilities in double precision."""
        with torch.no_grad():
            return read_out(ruling, residual_entries(ruling, tokens)).double().softmax(-1)

    def test_entropy_and_kl(self, ruling, exact, tokens):
        result = logit_lens(ruling, tokens)
        expected = torch.from_numpy(scipy.special.entr(exact.numpy()).sum(-1))
        torch.testing.assert_close(result.entropy.double(), expected, atol=2e-5, rtol=1e-5)
        expected = torch.from_numpy(scipy.special.rel_entr(exact[-1].numpy(), exact.numpy()).sum(-1))
        assert expected.isinf().any() and expected[:-1].isfinite().any()
        torch.testing.assert_close(result.kl_to_final.double(), expected, atol=2e-5, rtol=1e-5)
        assert (result.kl_to_final[-1] == 0).all()

    def test_ranks_and_log_probs(self, ruling, exact, tokens):
        for target in (5, 60, 3):
            result = logit_lens(ruling, tokens, targets=target, top_k=SHAPE.d_vocab)
            assert torch.equal(result.target_rank, (exact > exact[..., target, None]).sum(-1))
            for ours, theirs in (
                (result.target_log_prob, exact[..., target].log()),
                (result.top_log_prob, exact.log().sort(-1, descending=True).values),
            ):
                torch.testing.assert_close(ours.double(), theirs, atol=2e-5, rtol=1e-5)
        torch.testing.assert_close(layer_log_probs(ruling, tokens).double(), exact.log(), atol=2e-5, rtol=1e-5)

    def test_a_model_that_rules_out_other_tokens_than_its_unembedding_is_refused(self, ruling, tokens):
        forward = ruling.forward
        ruling.forward = lambda *arguments, **options: forward(*arguments, **options).nan_to_num(neginf=0.0)
        with pytest.raises(ValueError, match="the logit lens does not fit this model"):
            logit_lens(ruling, tokens)


class TestNoDistribution:
    @pytest.mark.parametrize("value", [torch.nan, torch.inf])
    def test_the_first_place_is_named(self, small, tokens, value):
        def lens(entries):
            spoilt_entries = entries.clone()
            spoilt_entries[1:3, -1, 4] = value
            return spoilt_entries

        message = r"entry 1 gives no distribution for row 1 at position 4: .* at 5 other places"
        with pytest.raises(ValueError, match=message):
            logit_lens(small, tokens, lens=lens, positions=[6, 4])
        logit_lens(small, tokens, lens=lens, positions=[6, 5])

    def test_of_the_model_itself(self, small, tokens):
        broken = copy.deepcopy(small)
        with torch.no_grad():
            broken.pos_embed.weight[9] = torch.nan
        with pytest.raises(ValueError, match="entry 0 gives no distribution for row 0 at position 9"):
            logit_lens(broken, tokens)
        assert layer_log_probs(broken, tokens)[:, :, 9].isnan().all()


class TestAgainstTransformerLens:
    def test_targets(self, model, tokens, targets):
        theirs = reference_lens(model, tokens, positions=None, targets=targets, return_type="log_probs")
        ours = logit_lens(model, tokens, targets=targets)
        torch.testing.assert_close(ours.target_log_prob, theirs.values[..., 0], atol=1e-5, rtol=0)
        torch.testing.assert_close(ours.entropy, theirs.readout.entropy, atol=1e-5, rtol=0)
        assert (ours.target_rank == theirs.rank_trajectory()).all()

    def test_top_tokens(self, model, tokens):
        theirs = reference_lens(model, tokens, positions=None, top_k=6, return_type="log_probs")
        ours = logit_lens(model, tokens, top_k=6)
        assert (ours.top_ids == theirs.readout.top_ids).all()
        torch.testing.assert_close(ours.top_log_prob, theirs.values, atol=1e-5, rtol=0)

    def test_all_log_probs(self, model, tokens):
        theirs = reference_lens(model, tokens, positions=None, return_type="log_probs").values
        torch.testing.assert_close(layer_log_probs(model, tokens), theirs, atol=1e-5, rtol=0)


class TestIdentities:
    def test_kl_is_at_least_zero_and_zero_at_the_last_entry(self, model, tokens):
        kl = logit_lens(model, tokens).kl_to_final
        assert kl.min() >= -1e-6
        assert kl[:-1].min() > 1e-3
        assert (kl[-1] == 0).all()

    def test_tied_tokens_share_the_smallest_rank(self, tokens):
        weights = Decoder(SHAPE, 0).state_dict()
        weights["tok_embed.weight"][10:20] = weights["tok_embed.weight"][10].clone()
        del weights["head.weight"]
        tied = native(SHAPE, weights, device="cpu")
        ranks = torch.stack([logit_lens(tied, tokens, targets=target).target_rank for target in range(10, 20)])
        assert (ranks == ranks[0]).all()
        log_probs = layer_log_probs(tied, tokens)
        assert (ranks[0] == (log_probs > log_probs[..., 10:11]).sum(-1)).all()

    def test_permuting_the_batch_permutes_the_result(self, model, tokens, targets):
        order = torch.tensor([3, 0, 4, 1, 2])
        straight = logit_lens(model, tokens, targets=targets)
        permuted = logit_lens(model, tokens[order], targets=targets[order])
        for name in FIELDS:
            torch.testing.assert_close(getattr(permuted, name), getattr(straight, name)[:, order], atol=1e-5, rtol=0)

    @pytest.mark.parametrize(
        ("positions", "expected"),
        [
            (4, [4]),
            (-1, [POS - 1]),
            ([3, 0, -2, 3], [3, 0, POS - 2, 3]),
            (range(2, 5), [2, 3, 4]),
            (slice(None, None, -5), list(range(POS))[::-5]),
            (slice(10, 99), list(range(10, POS))),
            (torch.tensor([1, 5]), [1, 5]),
            (np.array([1, 5]), [1, 5]),
            (np.int64(7), [7]),
        ],
    )
    def test_selected_positions_are_a_slice_of_all(self, model, tokens, targets, positions, expected):
        whole = logit_lens(model, tokens, targets=targets)
        part = logit_lens(model, tokens, targets=targets, positions=positions)
        assert part.positions.tolist() == expected
        for name in FIELDS:
            torch.testing.assert_close(getattr(part, name), getattr(whole, name)[:, :, expected], atol=1e-5, rtol=0)

    def test_reading_the_entries_out_is_the_model(self, model, tokens):
        entries = residual_entries(model, tokens)
        assert entries.shape == (model.cfg.n_layers + 1, BATCH, POS, model.cfg.d_model)
        with torch.no_grad():
            torch.testing.assert_close(read_out(model, entries[-1]), model(tokens), atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(
                read_out(model, entries[1, 2, 3]), read_out(model, entries)[1, 2, 3], atol=1e-5, rtol=1e-5
            )

    def test_the_embedding_entry_sees_no_other_token(self, model, tokens):
        changed = tokens.clone()
        changed[:, 0] = (tokens[:, 0] + 1) % SHAPE.d_vocab
        before, after = residual_entries(model, tokens), residual_entries(model, changed)
        assert (before[0, :, 1:] == after[0, :, 1:]).all()
        assert (before[1, :, 1:] != after[1, :, 1:]).any()


class TestArguments:
    def test_axes(self, model, tokens, targets):
        result = logit_lens(model, tokens, targets=targets, top_k=3, positions=[0, 2])
        lead = (model.cfg.n_layers + 1, BATCH, 2)
        assert {name: tuple(getattr(result, name).shape) for name in FIELDS} == {
            name: (*lead, 3) if name.startswith("top") else lead for name in FIELDS
        }

    def test_without_targets_their_fields_are_none(self, model, tokens):
        result = logit_lens(model, tokens)
        assert result.target_log_prob is None
        assert result.target_rank is None

    def test_one_target_for_all_positions(self, model, tokens):
        shared = logit_lens(model, tokens, targets=9)
        repeated = logit_lens(model, tokens, targets=torch.full_like(tokens, 9))
        assert (shared.target_rank == repeated.target_rank).all()

    def test_a_single_sequence_is_a_batch_of_one(self, model, tokens, targets):
        alone = logit_lens(model, tokens[2], targets=targets[2])
        torch.testing.assert_close(
            alone.target_log_prob, logit_lens(model, tokens, targets=targets).target_log_prob[:, 2:3], atol=1e-5, rtol=0
        )

    def test_no_top_tokens_and_all_of_them(self, model, tokens):
        assert logit_lens(model, tokens, top_k=0).top_ids.shape[-1] == 0
        everything = logit_lens(model, tokens, top_k=SHAPE.d_vocab)
        assert (everything.top_ids.sort().values == torch.arange(SHAPE.d_vocab)).all()

    @pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8])
    def test_any_integer_type(self, model, tokens, targets, dtype):
        narrow = logit_lens(model, tokens.to(dtype), targets=targets.to(dtype))
        assert (narrow.target_rank == logit_lens(model, tokens, targets=targets).target_rank).all()

    def test_a_lens_is_applied_to_the_entries(self, model, tokens):
        shown = logit_lens(model, tokens, lens=lambda entries: entries[-1:].expand_as(entries))
        assert (shown.kl_to_final == 0).all()
        shown = layer_log_probs(model, tokens, lens=lambda entries: entries[-1:].expand_as(entries))
        torch.testing.assert_close(shown[0], shown[-1], atol=1e-5, rtol=0)

    def test_read_out_is_differentiable(self, model):
        residual = torch.randn(3, model.cfg.d_model, generator=torch.Generator().manual_seed(0), requires_grad=True)
        (gradient,) = torch.autograd.grad(read_out(model, residual).log_softmax(-1)[:, 0].sum(), residual)
        assert gradient.abs().min() > 0


class TestFields:
    def test_they_are_those_of_the_result(self):
        assert FIELDS == lens_module.FIELDS
        assert [field.name for field in dataclasses.fields(LensResult)] == ["labels", "positions", *FIELDS]

    @pytest.mark.parametrize(
        "fields",
        [
            *([name] for name in FIELDS),
            FIELDS[1::2],
            ("target_rank", "top_ids"),
            {"entropy", "target_log_prob"},
            FIELDS,
        ],
        ids=lambda fields: "+".join(sorted(fields)),
    )
    def test_what_is_asked_for_is_read_as_among_all(self, model, tokens, targets, fields):
        whole = logit_lens(model, tokens, targets=targets)
        targeted = any(name.startswith("target") for name in fields)
        part = logit_lens(model, tokens, targets=targets if targeted else None, fields=fields)
        assert part.labels == whole.labels and torch.equal(part.positions, whole.positions)
        for name in FIELDS:
            if name in fields:
                assert torch.equal(getattr(part, name), getattr(whole, name))
                assert part.numbers(name) is getattr(part, name)
            else:
                assert getattr(part, name) is None
                with pytest.raises(ValueError, match=f"'{name}' is none of the fields that were asked for: "):
                    part.numbers(name)

    def test_one_field_by_its_name(self, small, tokens):
        assert torch.equal(logit_lens(small, tokens, fields="entropy").entropy, logit_lens(small, tokens).entropy)

    @pytest.mark.parametrize(
        ("fields", "exponentials"), [(["target_rank"], 0), (["target_rank", "top_ids"], 0), (["target_log_prob"], 4)]
    )
    def test_a_rank_costs_no_softmax(self, small, tokens, targets, fields, exponentials):
        """Exponentials over the vocabulary, one for every entry and chunk of seven rows."""
        seen = []

        class Watching(TorchDispatchMode):
            def __torch_dispatch__(self, function, types, args=(), kwargs=None):
                if "exp" in function.__name__ or "softmax" in function.__name__:
                    seen.append(args[0].shape[-1])
                return function(*args, **(kwargs or {}))

        with Watching():
            logit_lens(small, tokens[:1, :7], targets=targets[:1, :7], fields=fields)
        assert seen.count(SHAPE.d_vocab) == exponentials

    @pytest.mark.parametrize("fields", [["target_rank"], ["top_ids"], ["kl_to_final"]])
    def test_an_entry_without_a_distribution_is_found_with_any(self, small, tokens, targets, fields):
        given = targets if fields == ["target_rank"] else None
        with pytest.raises(ValueError, match="entry 0 gives no distribution for row 0 at position 0"):
            logit_lens(small, tokens, targets=given, fields=fields, lens=lambda entries: entries * torch.nan)


class TestSeveralTargets:
    @pytest.fixture
    def several(self, tokens, targets) -> Tensor:
        return torch.stack([targets, tokens, torch.full_like(tokens, 3)])

    def test_each_is_read_as_alone(self, model, tokens, several):
        together = logit_lens(model, tokens, targets=several, positions=[5, 0, -1])
        for number, target in enumerate(several):
            alone = logit_lens(model, tokens, targets=target, positions=[5, 0, -1])
            for name in FIELDS:
                of_all = getattr(together, name)
                assert torch.equal(of_all[number] if name.startswith("target") else of_all, getattr(alone, name))

    def test_axes(self, model, tokens, several):
        result = logit_lens(model, tokens, targets=several.numpy())
        assert result.target_rank.shape == result.target_log_prob.shape == (3, model.cfg.n_layers + 1, BATCH, POS)
        assert logit_lens(model, tokens, targets=several[:1]).target_rank.shape == (
            1,
            model.cfg.n_layers + 1,
            BATCH,
            POS,
        )

    def test_of_a_single_sequence(self, small, tokens, several):
        alone = logit_lens(small, tokens[1], targets=several[:, 1:2], fields=["target_rank"]).target_rank
        assert torch.equal(alone[:, :, 0], logit_lens(small, tokens, targets=several).target_rank[:, :, 1])

    def test_ranks_of_all_tokens_are_a_permutation(self, small, tokens):
        every = torch.arange(SHAPE.d_vocab)[:, None, None].expand(-1, 1, 4)
        ranks = logit_lens(small, tokens[:1, :4], targets=every, fields=["target_rank"]).target_rank
        assert torch.equal(ranks.sort(0).values, every[:, None].expand_as(ranks))

    def test_probabilities_of_all_tokens_sum_to_one(self, small, tokens):
        every = torch.arange(SHAPE.d_vocab)[:, None, None].expand(-1, 1, 4)
        log_prob = logit_lens(small, tokens[:1, :4], targets=every, fields=["target_log_prob"]).target_log_prob
        torch.testing.assert_close(log_prob.exp().sum(0), torch.ones(log_prob.shape[1:]))


def test_the_entries_have_names(small, tokens):
    assert logit_lens(small, tokens).labels == ("embedding", "layer 0", "layer 1", "layer 2")


class TestBadInput:
    @pytest.mark.parametrize("call", [logit_lens, layer_log_probs, residual_entries])
    @pytest.mark.parametrize(
        ("bad", "error", "message"),
        [
            (torch.zeros(2, 0, dtype=torch.long), ValueError, r"\(2, 0\) are empty"),
            (torch.zeros(0, 4, dtype=torch.long), ValueError, r"\(0, 4\) are empty"),
            (torch.zeros(2, 21, dtype=torch.long), ValueError, r"\(2, 21\) are longer than the model's context of 20"),
            (torch.tensor([[1, 2], [3, 83]]), ValueError, r"83 at \[1, 1\]; token ids are from 0 to 82"),
            (torch.tensor([[1, -1]]), ValueError, r"-1 at \[0, 1\]"),
            (torch.zeros(2, 3, 4, dtype=torch.long), ValueError, r"\[batch, pos\].*\(2, 3, 4\)"),
            (torch.tensor(3), ValueError, r"\[batch, pos\].*\(\)"),
            (torch.zeros(2, 3), TypeError, r"\(2, 3\), are torch.float32"),
            (torch.zeros(2, 3, dtype=torch.bool), TypeError, "torch.bool"),
            ("a text", TypeError, "not str: 'a text'"),
            ([[1, 2]], TypeError, "not list"),
        ],
    )
    def test_tokens(self, small, call, bad, error, message):
        with pytest.raises(error, match=message):
            call(small, bad)

    @pytest.mark.parametrize(
        ("bad", "error", "message"),
        [
            (
                torch.zeros(5, 16, dtype=torch.long),
                ValueError,
                r"\(5, 17\) of tokens, one id per position, or another axis before it.*theirs is \(5, 16\)",
            ),
            (torch.zeros(3, 5, 16, dtype=torch.long), ValueError, r"theirs is \(3, 5, 16\)"),
            (torch.zeros(1, 1, 5, 17, dtype=torch.long), ValueError, r"theirs is \(1, 1, 5, 17\)"),
            (torch.zeros(5, 17), TypeError, "float32"),
            (torch.full((5, 17), 83), ValueError, r"targets hold 83 at \[0, 0\]"),
            (-1, ValueError, "targets hold -1"),
            ("the", TypeError, "not str: 'the'"),
        ],
    )
    def test_targets(self, small, tokens, bad, error, message):
        with pytest.raises(error, match=message):
            logit_lens(small, tokens, targets=bad)

    @pytest.mark.parametrize(
        ("fields", "targets", "message"),
        [
            (["rank"], 3, r"fields are some of entropy, .*, target_rank, not \['rank'\]"),
            ("entropies", None, "not 'entropies'"),
            ([], None, r"not \[\]"),
            ([3], None, r"not \[3\]"),
            (["entropy", "target_rank"], None, r"'target_rank'\] asks for what is read of targets, and none are given"),
            (["entropy"], 3, r"targets are given, and fields=\['entropy'\] asks neither"),
        ],
    )
    def test_fields(self, small, tokens, fields, targets, message):
        with pytest.raises(ValueError, match=message):
            logit_lens(small, tokens, targets=targets, fields=fields)

    @pytest.mark.parametrize(
        ("bad", "error", "message"),
        [
            (17, ValueError, "positions=17: 17 is out of range; there are 17 positions, -17 to 16"),
            ([0, -18], ValueError, r"positions=\[0, -18\]: -18 is out of range"),
            ([], ValueError, r"positions=\[\] selects none of the 17"),
            (slice(30, 40), ValueError, r"positions=slice\(30, 40, None\) selects none"),
            (1.0, TypeError, "positions=1.0 holds 1.0"),
            ([True, False], TypeError, "holds True"),
            ("last", TypeError, "positions='last'"),
            (torch.tensor([[0, 1]]), TypeError, r"holds \[0, 1\]"),
        ],
    )
    def test_positions(self, small, tokens, bad, error, message):
        with pytest.raises(error, match=message):
            logit_lens(small, tokens, positions=bad)

    @pytest.mark.parametrize("top_k", [-1, 84])
    def test_top_k(self, small, tokens, top_k):
        with pytest.raises(ValueError, match=rf"top_k is from 0 to 83 \(d_vocab\), not {top_k}"):
            logit_lens(small, tokens, top_k=top_k)

    def test_a_lens_that_changes_the_shape(self, small, tokens):
        with pytest.raises(ValueError, match=r"\(4, 2, 17, 24\) into \(4, 2, 17, 23\)"):
            logit_lens(small, tokens, lens=lambda entries: entries[..., 1:])

    def test_a_residual_of_another_width(self, small):
        with pytest.raises(ValueError, match=r"d_model = 24; its shape is \(4, 23\)"):
            read_out(small, torch.zeros(4, 23))

    @pytest.mark.parametrize("call", [logit_lens, layer_log_probs, residual_entries])
    def test_a_model_whose_logits_are_something_else(self, tokens, call):
        model = random_native()
        forward = model.forward
        model.forward = lambda *arguments, **options: -forward(*arguments, **options)
        with pytest.raises(ValueError, match=r"miss the model's own logits by .* the logit lens does not fit"):
            call(model, tokens)


class TestOtherStatesOfTheModel:
    def test_training_mode_does_not_change_the_reading(self, gpt2_folder, tokens):
        model = from_transformers(gpt2_folder, device="cpu")
        expected = logit_lens(model, tokens)
        state = torch.get_rng_state()
        training = logit_lens(model.train(), tokens)
        assert (torch.get_rng_state() == state).all()
        torch.testing.assert_close(training.kl_to_final, expected.kl_to_final, atol=0, rtol=0)

    def test_hooks_of_the_caller_take_part(self, small, tokens):
        with small.hooks(fwd_hooks=[("blocks.0.hook_resid_pre", lambda residual, hook: torch.zeros_like(residual))]):
            assert (residual_entries(small, tokens)[0] == 0).all()

    @pytest.mark.parametrize("point", ["ln_final.hook_in", "ln_final.hook_scale", "unembed.hook_in", "hook_unembed"])
    def test_hooks_that_would_take_vectors_for_positions_are_refused(self, small, tokens, point):
        def hook(tensor, hook):
            return 2 * tensor

        with small.hooks(fwd_hooks=[(point, hook)]):
            entries = residual_entries(small, tokens)
            for read in (logit_lens, layer_log_probs, lambda model, tokens: read_out(model, entries)):
                with pytest.raises(ValueError, match=f"hooks on the model's final norm or unembedding.*{point}"):
                    read(small, tokens)


class TestMemory:
    SHAPE = Shape(n_layers=6, d_model=8, n_heads=2, d_head=4, d_mlp=8, n_ctx=20, d_vocab=4001)

    @pytest.fixture
    def largest(self, largest_tensor, tokens):
        model = random_native(self.SHAPE)
        return lambda call, **arguments: largest_tensor(lambda: call(model, tokens, **arguments))

    def test_only_a_few_rows_of_one_entry_meet_the_vocabulary(self, largest, targets):
        weights = self.SHAPE.d_vocab * self.SHAPE.d_model
        a_few_rows = 7 * self.SHAPE.d_vocab
        assert largest(logit_lens, targets=targets) <= max(a_few_rows, weights)
        several = targets.expand(6, -1, -1)
        assert largest(logit_lens, targets=several, fields=["target_rank"]) <= max(a_few_rows, weights)

    def test_full_log_probs_are_one_tensor(self, largest):
        assert largest(layer_log_probs) == 7 * BATCH * POS * self.SHAPE.d_vocab
