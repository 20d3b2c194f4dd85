"""Direct logit attribution against the weights by hand, against ablation, and against TransformerLens's own."""

import copy
import itertools

import matplotlib.pyplot as plt
import pytest
import torch
from torch import Tensor
from transformer_lens.tools.analysis import direct_logit_attribution as reference_attribution

from mechlib.bridge import TransformerBridge, from_transformers
from mechlib.causal import ablate, run_with_edit
from mechlib.stream import LogitAttribution, direct_logit_attribution, read_out, residual_entries, running
from tests.models import ATTENTION_ONLY, SHAPE, of_format, random_native

BATCH, POS = 5, 17
ROWS = torch.arange(BATCH)


@pytest.fixture(scope="module")
def tokens() -> Tensor:
    return torch.randint(SHAPE.d_vocab, (BATCH, POS), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def answers() -> tuple[Tensor, Tensor]:
    """A target and a token to set it against, for every row."""
    return torch.randint(SHAPE.d_vocab, (2, BATCH), generator=torch.Generator().manual_seed(2)).unbind()


@pytest.fixture(scope="module", params=["native", "attention only", "gpt2", "gpt2, folded"])
def double(request, gpt2_folder) -> TransformerBridge:
    return of_format(request.param, gpt2_folder).to(torch.float64, print_details=False)


@pytest.fixture(autouse=True)
def several_chunks(monkeypatch):
    """Chunks so small that every test crosses their borders."""
    monkeypatch.setattr(running, "TOKENS_AT_ONCE", 2 * POS)
    monkeypatch.setattr(running, "ROWS_AT_ONCE", {"cpu": 7, "cuda": 7})


def logits_of(model: TransformerBridge, tokens: Tensor) -> Tensor:
    with torch.no_grad():
        return model(tokens)


def added_by_hand(model: TransformerBridge, tokens: Tensor) -> dict[str, Tensor]:
    """What every part adds at every position, ``[batch, pos, d_model]``, from TransformerLens's cache and weights."""
    with torch.no_grad():
        _, cache = model.run_with_cache(tokens)
    added = {"embedding": cache["hook_embed"], "positions": cache["hook_pos_embed"].expand_as(cache["hook_embed"])}
    for layer in range(model.cfg.n_layers):
        for head in range(model.cfg.n_heads):
            added[f"head {layer}.{head}"] = cache["z", layer][:, :, head] @ model.W_O[layer, head]
        added[f"attention bias {layer}"] = model.b_O[layer].expand_as(added["embedding"])
        if "mlp" in dict(model.blocks[layer].named_children()):
            bias = model.b_out[layer].expand_as(added["embedding"])
            added |= {f"MLP {layer}": cache["mlp_out", layer] - bias, f"MLP bias {layer}": bias}
    return {name: value.detach() for name, value in added.items()}


class TestByHand:
    def test_frozen(self, double, tokens, answers):
        """A LayerNorm's division by hand, then a product with the unembedding."""
        target, against = answers
        found = direct_logit_attribution(double, tokens, target, against=against, positions=None)
        added = added_by_hand(double, tokens)
        last = sum(added.values())
        divisor = (last.var(-1, correction=0, keepdim=True) + double.cfg.eps).sqrt()
        direction = (double.W_U[:, target] - double.W_U[:, against]).T.detach()[:, None]
        gain, bias = double.ln_final.weight.detach(), double.ln_final.bias.detach()
        expected = {
            name: ((value - value.mean(-1, keepdim=True)) / divisor * gain * direction).sum(-1)
            for name, value in added.items()
        }
        expected["final norm bias"] = (bias * direction).sum(-1).expand(BATCH, POS)
        expected["unembedding bias"] = (double.b_U[target] - double.b_U[against]).detach()[:, None].expand(BATCH, POS)
        expected = {name: share for name, share in expected.items() if name in found.labels or share.any()}
        assert set(expected) == set(found.labels)
        for name, share in expected.items():
            torch.testing.assert_close(found[name], share, atol=1e-10, rtol=0)
        assert not found["embedding"].allclose(found["positions"], atol=0.1)

    @pytest.mark.parametrize("measure", ["logit", "log_prob"])
    def test_recomputed(self, double, tokens, answers, measure):
        """The readout of the last entry without the part."""
        target, against = answers
        against = against if measure == "logit" else None
        found = direct_logit_attribution(
            double, tokens, target, against=against, measure=measure, norm="recomputed", positions=[3, -1]
        )

        def measured(entries: Tensor) -> Tensor:
            logits = read_out(double, entries[:, [3, -1]]).detach()
            logits = logits.log_softmax(-1) if measure == "log_prob" else logits
            value = logits[ROWS, :, target]
            return value if against is None else value - logits[ROWS, :, against]

        last = residual_entries(double, tokens)[-1]
        torch.testing.assert_close(found.total, measured(last), atol=1e-10, rtol=0)
        added = {name: value for name, value in added_by_hand(double, tokens).items() if value.any()}
        assert {*added, "interaction"} <= set(found.labels)
        for name, value in added.items():
            torch.testing.assert_close(found[name], measured(last) - measured(last - value), atol=1e-9, rtol=0)

    def test_parts_that_are_one(self, double, tokens, answers):
        added = added_by_hand(double, tokens)
        last = residual_entries(double, tokens)[-1]

        def logits(entries: Tensor) -> Tensor:
            return read_out(double, entries[:, -1])[ROWS, answers[0]].detach()

        for by, name, members in (
            ("component", "attention 1", ("head 1.", "attention bias 1")),
            ("component", "MLP 1", ("MLP 1", "MLP bias 1")),
            ("component", "positions", ("positions",)),
            ("layer", "layer 0", ("head 0.", "attention bias 0", "MLP 0", "MLP bias 0")),
            ("layer", "embedding", ("embedding", "positions")),
        ):
            together = [value for label, value in added.items() if label.startswith(members)]
            found = direct_logit_attribution(double, tokens, answers[0], norm="recomputed", by=by)
            if not together:
                assert name not in found.labels
                continue
            expected = logits(last) - logits(last - sum(together))
            torch.testing.assert_close(found[name][:, 0], expected, atol=1e-9, rtol=0)
            whole = direct_logit_attribution(double, tokens, answers[0])
            shares = [whole[label] for label in whole.labels if label.startswith(members)]
            frozen = direct_logit_attribution(double, tokens, answers[0], by=by)
            torch.testing.assert_close(frozen[name], sum(shares), atol=1e-10, rtol=0)


class TestSum:
    @pytest.mark.parametrize(("measure", "opposed"), [("logit", False), ("logit", True), ("log_prob", False)])
    @pytest.mark.parametrize("norm", ["frozen", "recomputed"])
    def test_the_sum_is_what_the_model_says(self, model, tokens, answers, norm, measure, opposed):
        target, against = answers
        chosen = {"norm": norm, "measure": measure, "against": against if opposed else None}
        found = direct_logit_attribution(model, tokens, target, positions=[0, -1], **chosen)
        logits = logits_of(model, tokens)[:, [0, -1]]
        logits = logits.log_softmax(-1) if measure == "log_prob" else logits
        expected = logits[ROWS, :, target] - (logits[ROWS, :, against] if opposed else 0)
        torch.testing.assert_close(found.total, expected, atol=1e-4, rtol=0)
        torch.testing.assert_close(found.sum(), expected, atol=1e-4, rtol=0)
        assert found.measure == ("logit difference" if opposed else {"logit": "logit"}.get(measure, "log-probability"))

    def test_in_double_precision(self, double, tokens, answers):
        logits = logits_of(double, tokens)[:, -1]
        for measure, whole in (("logit", logits), ("log_prob", logits.log_softmax(-1))):
            found = direct_logit_attribution(double, tokens, answers[0], measure=measure)
            torch.testing.assert_close(found.sum()[:, 0], whole[ROWS, answers[0]], atol=1e-10, rtol=0)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
    def test_in_half_precision(self, small, tokens, answers, dtype):
        half = copy.deepcopy(small).to(dtype, print_details=False)
        ours, exact = (direct_logit_attribution(m, tokens, answers[0]) for m in (half, small))
        assert ours.shares.dtype == torch.float32 and ours.labels == exact.labels
        scale = exact.shares.abs().max().item()
        for one, other in ((ours.shares, exact.shares), (ours.sum(), ours.total)):
            torch.testing.assert_close(one, other, atol=0.05 * scale, rtol=0)

    def test_a_log_probability_is_told_apart_relative_to_all_logits(self, small, tokens):
        every, row = torch.arange(SHAPE.d_vocab), tokens[:1].expand(SHAPE.d_vocab, -1)
        found = direct_logit_attribution(small, row, every, measure="log_prob")
        own = direct_logit_attribution(small, row, every)
        assert set(found.labels) == {*own.labels, "normaliser"}
        for label in own.labels:
            torch.testing.assert_close(found[label], own[label] - own[label].mean(), atol=1e-4, rtol=0)
        centred = own.total - own.total.mean()
        torch.testing.assert_close(found["normaliser"], -centred.logsumexp(0).expand_as(centred), atol=1e-4, rtol=0)


class TestAgainstAblation:
    def test_a_head_of_the_last_layer_has_no_other_effect(self, tokens, answers):
        """Without it the last entry loses what it adds, and nothing else: the share with the norm recomputed."""
        model = random_native(ATTENTION_ONLY)
        target, against = answers
        found = direct_logit_attribution(model, tokens, target, against=against, norm="recomputed")
        before = logits_of(model, tokens)[:, -1]
        for head in range(ATTENTION_ONLY.n_heads):
            with ablate(model, [(1, head)], mode="zero"):
                lost = before - logits_of(model, tokens)[:, -1]
            expected = lost[ROWS, target] - lost[ROWS, against]
            torch.testing.assert_close(found.heads[1, head, :, 0], expected, atol=1e-4, rtol=0)

    def test_inside_an_ablation(self, small, tokens, answers):
        with ablate(small, [(1, 0)], mode="zero"):
            found = direct_logit_attribution(small, tokens, answers[0])
            logits = logits_of(small, tokens)[:, -1]
        assert (found["head 1.0"] == 0).all() and (found["head 1.1"] != 0).all()
        torch.testing.assert_close(found.sum()[:, 0], logits[ROWS, answers[0]], atol=1e-4, rtol=0)

    def test_a_stream_that_is_changed_on_the_way_is_refused(self, small, tokens):
        with (
            small.hooks(fwd_hooks=[("blocks.1.hook_resid_post", lambda residual, hook: residual + 0.1)]),
            pytest.raises(ValueError, match=r"layer 1 of this native miss by 0\.1 what its stream gains there"),
        ):
            direct_logit_attribution(small, tokens, 3)


@pytest.mark.parametrize(("unit", "by"), [("head", "head"), ("component", "component")])
def test_against_transformer_lens(gpt2_folder, tokens, answers, unit, by):
    """Its decomposition leaves out the bias of the unembedding, and takes the biases of attention with the rest."""
    model = of_format("gpt2, folded", gpt2_folder)
    target, against = answers
    theirs = reference_attribution(model, tokens, target, against, unit=unit)
    ours = direct_logit_attribution(model, tokens, target, against=against, by=by)
    names = {"embed": "embedding", "pos_embed": "positions"}
    for layer, head in itertools.product(range(2), range(2)):
        names |= {f"L{layer}H{head}": f"head {layer}.{head}"}
        names |= {f"{layer}_attn_out": f"attention {layer}", f"{layer}_mlp_out": f"MLP {layer}"}
    compared = [label for label in theirs.labels if label in names]
    assert len(compared) >= 4
    for label in compared:
        share = theirs.attribution[theirs.labels.index(label)]
        torch.testing.assert_close(ours[names[label]][:, 0], share, atol=1e-4, rtol=0)


class TestArguments:
    def test_one_token_for_all_for_each_row_and_for_each_position(self, small, tokens, answers):
        everywhere = answers[0][:, None].expand_as(tokens)
        expected = direct_logit_attribution(small, tokens, everywhere, positions=None)
        found = direct_logit_attribution(small, tokens, answers[0], positions=None)
        assert torch.equal(found.shares, expected.shares)
        for row in range(2):
            for one in (int(answers[0][row]), answers[0][row], answers[0][row].numpy()[()]):
                found = direct_logit_attribution(small, tokens[row], one, positions=None)
                torch.testing.assert_close(found.shares[:, 0], expected.shares[:, row], atol=1e-4, rtol=0)
            found = direct_logit_attribution(small, tokens[row], everywhere[row].numpy(), positions=None)
            torch.testing.assert_close(found.shares[:, 0], expected.shares[:, row], atol=1e-4, rtol=0)

    def test_positions(self, small, tokens):
        targets = tokens.roll(-1, 1)
        whole = direct_logit_attribution(small, tokens, targets, positions=None)
        some = direct_logit_attribution(small, tokens, targets, positions=[4, -2])
        assert whole.positions.tolist() == list(range(POS)) and some.positions.tolist() == [4, POS - 2]
        torch.testing.assert_close(some.shares, whole.shares[:, :, [4, POS - 2]], atol=1e-5, rtol=0)

    @pytest.mark.parametrize("side", ["left", "right"])
    @pytest.mark.parametrize("norm", ["frozen", "recomputed"])
    def test_rows_of_unequal_length(self, model, tokens, side, norm):
        mask = torch.ones_like(tokens, dtype=torch.bool)
        pads = [0, 3, 16, 5, 2]
        for row, n in enumerate(pads):
            mask[row, :n] = False
        if side == "right":
            mask = mask.flip(1)
        found = direct_logit_attribution(model, tokens, 7, norm=norm, positions=[0, 1, 6, -1], attention_mask=mask)
        assert torch.equal(found.total.isnan(), ~mask[:, [0, 1, 6, -1]])
        assert torch.equal(found.shares.isnan().all(0), ~mask[:, [0, 1, 6, -1]])
        for row in range(BATCH):
            alone = direct_logit_attribution(model, tokens[row][mask[row]], 7, norm=norm, positions=None)
            read = mask[row, [0, 1, 6, -1]]
            at = (mask[row].cumsum(0) - 1)[[0, 1, 6, -1]][read]
            torch.testing.assert_close(found.shares[:, row, read], alone.shares[:, 0, at], atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"measure": "probability"}, "measure is one of logit, log_prob, not 'probability'"),
            ({"norm": "folded"}, "norm is one of frozen, recomputed, not 'folded'"),
            ({"by": "neuron"}, "by is one of head, component, layer, not 'neuron'"),
            ({"measure": "log_prob", "against": 3}, "difference of log-probabilities is that of the logits"),
            ({"targets": torch.zeros(4, dtype=torch.long)}, r"each of the 5 rows, or .* \(5, 17\); these .* \(4,\)"),
            ({"targets": 83}, "targets hold 83"),
            ({"against": -1}, "against hold -1"),
            ({"positions": 17}, "17 is out of range"),
            ({"attention_mask": torch.ones(5, 3)}, "attention_mask says of every token"),
        ],
    )
    def test_what_is_refused(self, small, tokens, wrong, message):
        with pytest.raises(ValueError, match=message):
            direct_logit_attribution(small, tokens, **{"targets": 3} | wrong)

    def test_pads_alone(self, small, tokens):
        mask = torch.ones_like(tokens)
        mask[:, -1] = 0
        with pytest.raises(ValueError, match="positions=-1 selects pads alone"):
            direct_logit_attribution(small, tokens, 3, attention_mask=mask)

    def test_a_model_without_heads(self, without_patterns, tokens):
        with pytest.raises(ValueError, match=r"no attention heads in layers \[1\]"):
            direct_logit_attribution(without_patterns, tokens, 3)

    @pytest.mark.parametrize("norm", ["frozen", "recomputed"])
    def test_logits_that_are_no_numbers(self, tokens, norm):
        broken = random_native()
        broken.ln_final.weight.data.fill_(torch.nan)
        with pytest.raises(
            ValueError, match="what is to be attributed is nan for row 0 at position 16: no sum of finite"
        ):
            direct_logit_attribution(broken, tokens, 3, norm=norm)

    def test_a_token_that_is_ruled_out(self, small, tokens):
        ruled = copy.deepcopy(small)
        with torch.no_grad():
            ruled.unembed.b_U[60:] = -torch.inf
        with pytest.raises(ValueError, match="-inf for row 0 at position 16: no sum of finite shares"):
            direct_logit_attribution(ruled, tokens, 70)
        for norm in ("frozen", "recomputed"):
            found = direct_logit_attribution(ruled, tokens, 5, measure="log_prob", norm=norm)
            torch.testing.assert_close(found.sum(), found.total, atol=1e-4, rtol=0)


@pytest.fixture(scope="module")
def found(small, tokens, answers) -> LogitAttribution:
    return direct_logit_attribution(small, tokens, answers[0], against=answers[1])


class TestResult:
    def test_axes(self, found):
        assert found.shares.shape == (len(found.labels), BATCH, 1) and found.total.shape == (BATCH, 1)
        assert found.heads.shape == (SHAPE.n_layers, SHAPE.n_heads, BATCH, 1)
        for layer, head in itertools.product(range(SHAPE.n_layers), range(SHAPE.n_heads)):
            assert torch.equal(found.heads[layer, head], found[f"head {layer}.{head}"])
        assert len(set(found.labels)) == len(found.labels)

    def test_sorted(self, found):
        means = found.sorted()
        assert list(means.values()) == sorted(means.values(), reverse=True)
        assert set(means) == set(found.labels)
        assert means["MLP 1"] == pytest.approx(found["MLP 1"].mean().item())

    def test_what_is_not_there(self, found, small, tokens):
        with pytest.raises(KeyError, match=r"there is no part 'head 9\.9'; parts are embedding, positions, head 0\.0"):
            found["head 9.9"]
        with pytest.raises(ValueError, match="heads are told apart with by='head'; here parts are embedding, layer 0"):
            _ = direct_logit_attribution(small, tokens, 3, by="layer").heads

    def test_plot(self, found):
        ax = found.plot(most=4)
        means = found.sorted()
        labels = [tick.get_text() for tick in ax.get_yticklabels()]
        assert set(labels) == set(sorted(means, key=lambda label: -abs(means[label]))[:4])
        assert [bar.get_width() for bar in ax.patches] == pytest.approx([means[label] for label in labels])
        assert "logit difference, nats" in ax.get_xlabel()
        plt.close(ax.figure)

    def test_a_row_counts_once_in_the_error_of_a_bar(self, small, tokens, answers):
        """However many of its positions are read."""
        found = direct_logit_attribution(small, tokens, answers[0], by="layer", positions=None)
        ax = found.plot(most=1)
        (label,) = [tick.get_text() for tick in ax.get_yticklabels()]
        ((left, right),) = ax.containers[0].lines[2][0].get_segments()
        of_rows = found[label].mean(1)
        assert (right - left)[0] / 2 == pytest.approx(2 * of_rows.std().item() / BATCH**0.5, rel=1e-4)
        plt.close(ax.figure)


def test_memory_does_not_grow_with_the_number_of_parts(small, tokens, largest_tensor):
    """Never are the additions of all parts there together."""
    rows = 2 * POS
    elements = largest_tensor(lambda: direct_logit_attribution(small, tokens, 3, positions=None))
    assert elements <= max(p.numel() for p in small.parameters()) + rows * SHAPE.d_model * (SHAPE.n_heads + 3)


def test_a_normed_stream_has_no_parts(tmp_path):
    import transformers

    from tests.architectures import OPT

    config = transformers.OPTConfig(**OPT, do_layer_norm_before=False)
    transformers.OPTForCausalLM(config).save_pretrained(tmp_path)
    model = from_transformers(tmp_path, device="cpu")
    with pytest.raises(ValueError, match="the stream of a opt with do_layer_norm_before=False is itself normed"):
        direct_logit_attribution(model, torch.tensor([[1, 2, 3]]), 4)


def test_the_last_entry_edited_is_refused_too(small, tokens):
    run_with_edit(small, tokens, 3, torch.zeros_like)
    with (
        small.hooks(fwd_hooks=[("blocks.2.hook_resid_post", lambda residual, hook: 0 * residual)]),
        pytest.raises(ValueError, match="layer 2 of this native miss"),
    ):
        direct_logit_attribution(small, tokens, 3)
