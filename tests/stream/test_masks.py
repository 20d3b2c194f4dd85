"""Rows of unequal length, padded on either side, against the same rows run alone."""

import numpy as np
import pytest
import torch
import transformers

from mechlib import stream, text
from mechlib.bridge import Shape, TransformerBridge, from_transformers
from mechlib.causal import ablate, entries_with_edit, run_with_edit
from mechlib.heads import KINDS, head_scores, pattern_mask
from mechlib.heads import scores as scores_module
from mechlib.stream import inputs, running
from tests.models import random_native

SHAPE = Shape(n_layers=2, d_model=16, n_heads=4, d_head=4, d_mlp=20, n_ctx=14, d_vocab=83)
LENGTHS = (9, 5, 11, 2)
PAD = 3
"""A token like others: whoever reads it sees targets, and another stream."""

HEADS = [(0, 1), (1, 0)]


def exactly(model: TransformerBridge) -> dict[str, float]:
    """Double precision, but for rotations: their cosines are single precision whatever the weights, and some processors
    round them otherwise at the end of an array than within it."""
    closest = 1e-5 if hasattr(model, "rotary_emb") else 1e-9
    return {"atol": closest, "rtol": closest}


def llama(folder) -> TransformerBridge:
    """Rotary positions, RMSNorm and keys shared by two heads; the tokenizer is the book's."""
    config = transformers.LlamaConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=20,
        max_position_embeddings=14, vocab_size=2048, initializer_range=0.3,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.LlamaForCausalLM(config).save_pretrained(folder)
    text.for_transformers().save_pretrained(folder)
    return from_transformers(folder, device="cpu")


@pytest.fixture(scope="module", params=["native", "gpt2", "llama"])
def model(request, gpt2_folder, tmp_path_factory) -> TransformerBridge:
    made = {
        "native": lambda: random_native(SHAPE, seed=1),
        "gpt2": lambda: from_transformers(gpt2_folder, device="cpu"),
        "llama": lambda: llama(tmp_path_factory.mktemp("llama")),
    }[request.param]()
    return made.to(torch.float64, print_details=False)


@pytest.fixture(scope="module")
def alone() -> list[torch.Tensor]:
    """Few token types, so that chance repeats abound."""
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(6, (length,), generator=generator) for length in LENGTHS]


def padded(rows: list[torch.Tensor], side: str, pad: int = PAD) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, rows)) + 1  # no row is full
    place = {"left": lambda n: (width - n, 0), "right": lambda n: (0, width - n)}[side]

    def fill(row: torch.Tensor, value: int) -> torch.Tensor:
        return torch.nn.functional.pad(row, place(len(row)), value=value)

    return torch.stack([fill(row, pad) for row in rows]), torch.stack([fill(torch.ones_like(r), 0) for r in rows])


@pytest.fixture(params=["left", "right"])
def side(request) -> str:
    return request.param


@pytest.fixture
def batch(alone, side) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and attention mask."""
    return padded(alone, side)


@pytest.fixture(autouse=True)
def several_chunks(monkeypatch):
    """Chunks so small that every test crosses their borders."""
    monkeypatch.setattr(running, "TOKENS_AT_ONCE", 26)
    monkeypatch.setattr(scores_module, "TOKENS_AT_ONCE", 26)
    monkeypatch.setattr(running, "ROWS_AT_ONCE", {"cpu": 7, "cuda": 7})


def outputs_alone(model, alone, layer, head) -> torch.Tensor:
    """What a head hands to ``W_O`` at every token of every row, ``[token, d_head]``."""
    with torch.no_grad():
        return torch.cat([model.run_with_cache(row[None])[1]["z", layer][0, :, head] for row in alone])


class TestLens:
    def test_every_field(self, model, alone, batch):
        tokens, mask = batch
        targets = tokens.roll(-1, 1)
        result = stream.logit_lens(model, tokens, targets=targets, top_k=3, attention_mask=mask)
        for row, own in enumerate(alone):
            real = mask[row].bool()
            theirs = stream.logit_lens(model, own, targets=targets[row, real], top_k=3)
            for name in ("entropy", "kl_to_final", "top_log_prob", "target_log_prob"):
                values = getattr(result, name)[:, row]
                torch.testing.assert_close(values[:, real], getattr(theirs, name)[:, 0], **exactly(model))
                assert values[:, ~real].isnan().all()
            for name in ("top_ids", "target_rank"):
                values = getattr(result, name)[:, row]
                assert torch.equal(values[:, real], getattr(theirs, name)[:, 0])
                assert (values[:, ~real] == -1).all()

    def test_several_targets(self, model, batch):
        tokens, mask = batch
        several = torch.stack([tokens.roll(-1, 1), tokens])
        together = stream.logit_lens(model, tokens, targets=several, attention_mask=mask)
        for number, targets in enumerate(several):
            alone = stream.logit_lens(model, tokens, targets=targets, attention_mask=mask)
            assert torch.equal(together.target_rank[number], alone.target_rank)
            torch.testing.assert_close(
                together.target_log_prob[number], alone.target_log_prob, atol=0, rtol=0, equal_nan=True
            )

    @pytest.mark.parametrize("positions", [-1, [0, 4], slice(2, 9)])
    def test_selected_positions_are_a_slice_of_all(self, model, batch, positions):
        tokens, mask = batch
        whole = stream.logit_lens(model, tokens, attention_mask=mask)
        if not mask[:, positions].any():
            return
        part = stream.logit_lens(model, tokens, positions=positions, attention_mask=mask)
        for name in ("entropy", "top_ids"):
            expected = getattr(whole, name)[:, :, part.positions]
            torch.testing.assert_close(getattr(part, name), expected, equal_nan=True, **exactly(model))

    def test_log_probs_and_entries(self, model, alone, batch):
        tokens, mask = batch
        for read in (stream.layer_log_probs, stream.residual_entries):
            result = read(model, tokens, attention_mask=mask)
            for row, own in enumerate(alone):
                torch.testing.assert_close(result[:, row, mask[row].bool()], read(model, own)[:, 0], **exactly(model))
            assert result[:, ~mask.bool()].isnan().all()

    def test_the_last_entry_is_the_model_of_transformers(self, gpt2_folder, alone, batch):
        """An independent run, without TransformerLens, of every row alone."""
        tokens, mask = batch
        reference = transformers.GPT2LMHeadModel.from_pretrained(gpt2_folder).double().eval()
        model = from_transformers(gpt2_folder, device="cpu").to(torch.float64, print_details=False)
        result = stream.layer_log_probs(model, tokens, attention_mask=mask)[-1]
        for row, own in enumerate(alone):
            with torch.no_grad():
                expected = reference(own[None]).logits[0].log_softmax(-1)
            torch.testing.assert_close(result[row, mask[row].bool()], expected, **exactly(model))

    def test_a_prediction_is_made_after_each_prompts_last_token(self, model, alone, batch):
        tokens, mask = batch
        expected = torch.cat([stream.prediction(model, own[None]) for own in alone])
        torch.testing.assert_close(stream.prediction(model, tokens, attention_mask=mask), expected, **exactly(model))

    def test_a_tuned_lens_is_fitted_to_tokens_alone(self, model, alone):
        fits = []
        for side in ("left", "right"):
            tokens, mask = padded(alone, side)
            fits.append(stream.fit_tuned_lens(model, tokens, steps=20, rows=30, progress=False, attention_mask=mask))
        kl = torch.cat([stream.logit_lens(model, own).kl_to_final[:-1, 0] for own in alone], 1).mean(1)
        for fitted in fits:
            torch.testing.assert_close(fitted.kl_before, kl, **exactly(model))
            assert (fitted.kl_after < kl).any()
        torch.testing.assert_close(fits[0].weight, fits[1].weight, atol=1e-6, rtol=1e-6)


class TestScores:
    def test_they_are_the_mean_over_the_tokens_of_all_rows(self, model, alone, batch):
        tokens, mask = batch
        result = head_scores(model, tokens, attention_mask=mask)
        each, lengths = [head_scores(model, own) for own in alone], torch.tensor(LENGTHS).float()
        for kind in KINDS:
            expected = torch.stack([getattr(scores, kind) for scores in each], -1) @ lengths / lengths.sum()
            torch.testing.assert_close(getattr(result, kind), expected, atol=1e-6, rtol=1e-5)
            reachable = sum(scores.reachable[kind] * len(own) for scores, own in zip(each, alone, strict=True))
            assert result.reachable[kind] == pytest.approx(reachable / sum(LENGTHS))

    @pytest.mark.parametrize("kind", KINDS)
    def test_pads_have_and_are_no_targets(self, alone, batch, kind):
        tokens, mask = batch
        targets = pattern_mask(tokens, kind, attention_mask=mask)
        for row, own in enumerate(alone):
            real = mask[row].bool()
            assert torch.equal(targets[row][real][:, real], pattern_mask(own, kind)[0])
            assert not targets[row][~real].any() and not targets[row][:, ~real].any()


class TestAblation:
    @pytest.mark.parametrize("referred", [True, False])
    def test_the_mean_is_over_tokens_alone(self, model, alone, batch, referred, monkeypatch):
        """In a block without a reference over those of the batch, which the lens then takes at once."""
        monkeypatch.setattr(running, "TOKENS_AT_ONCE", 1000)
        tokens, mask = batch
        mean = outputs_alone(model, alone, 0, 1).mean(0)

        def put(outputs, hook):
            edited = outputs.clone()
            edited[:, :, 1] = mean
            return edited

        given = {"reference": tokens, "attention_mask": mask} if referred else {}
        with ablate(model, [(0, 1)], **given):
            ablated = stream.residual_entries(model, tokens, attention_mask=mask)
        for row, own in enumerate(alone):
            real = mask[row].bool()
            with model.hooks(fwd_hooks=[("blocks.0.attn.hook_z", put)]):
                torch.testing.assert_close(
                    ablated[:, row, real], stream.residual_entries(model, own)[:, 0], **exactly(model)
                )

    def test_a_pass_brings_its_mask_or_takes_that_of_the_block(self, model, alone, batch):
        """What the ablated head hands on in layer 0: without a mask of the pass, pads are seen but not averaged."""
        tokens, mask = batch
        seen = model.run_with_cache(tokens)[1]["z", 0][mask.bool()][:, 1].mean(0)
        for own, expected in (({"attention_mask": mask}, outputs_alone(model, alone, 0, 1).mean(0)), ({}, seen)):
            with torch.no_grad(), ablate(model, [(0, 1)], attention_mask=mask):
                outputs = model.run_with_cache(tokens, **own)[1]["z", 0][:, :, 1]
            torch.testing.assert_close(outputs, expected.expand_as(outputs), **exactly(model))
        with (
            ablate(model, [(0, 1)], attention_mask=mask),
            pytest.raises(ValueError, match=r"its shape is that of the tokens, \(4, 5\)"),
        ):
            model(tokens[:, :5])

    def test_zeros_as_alone(self, model, alone, batch):
        tokens, mask = batch
        with ablate(model, HEADS, mode="zero"):
            result = head_scores(model, tokens, attention_mask=mask)
            read = stream.logit_lens(model, tokens, attention_mask=mask).entropy
            for row, own in enumerate(alone):
                expected = stream.logit_lens(model, own).entropy[:, 0]
                torch.testing.assert_close(read[:, row, mask[row].bool()], expected, **exactly(model))
            lengths = torch.tensor(LENGTHS).float()
            each = torch.stack([head_scores(model, own).induction for own in alone], -1)
        torch.testing.assert_close(result.induction, each @ lengths / lengths.sum(), atol=1e-6, rtol=1e-5)

    def test_another_rows_outputs_come_from_the_same_place_in_its_text(self, model, alone, batch):
        """From a reference of one row, so that no draw decides."""
        tokens, mask = batch
        reference = torch.arange(11)[None]
        with ablate(model, HEADS, mode="resample", reference=reference):
            result = stream.residual_entries(model, tokens, attention_mask=mask)
            for row, own in enumerate(alone):
                expected = stream.residual_entries(model, own)[:, 0]
                torch.testing.assert_close(result[:, row, mask[row].bool()], expected, **exactly(model))
        with (
            ablate(model, HEADS, mode="resample", reference=reference[:, :10]),
            pytest.raises(ValueError, match="reference has 10 positions, and what is run has 11"),
        ):
            stream.residual_entries(model, tokens, attention_mask=mask)

    def test_pads_cannot_stand_for_another_rows_outputs(self, model, batch):
        tokens, mask = batch
        with (
            pytest.raises(ValueError, match="give a reference without pads"),
            ablate(model, HEADS, mode="resample", reference=tokens, attention_mask=mask),
        ):
            pass
        with (
            ablate(model, HEADS, mode="resample"),
            pytest.raises(ValueError, match="rows with pads need a reference without"),
        ):
            model(tokens, attention_mask=mask)

    def test_nothing_is_left_of_a_block(self, model, batch):
        hooks = dict(model.original_model._forward_pre_hooks)
        with pytest.raises(KeyboardInterrupt), ablate(model, HEADS):
            raise KeyboardInterrupt
        assert model.original_model._forward_pre_hooks == hooks


def test_an_edit_acts_as_on_a_row_alone(model, alone, batch):
    tokens, mask = batch
    result = run_with_edit(model, tokens, 1, lambda residual: 2 * residual + 1, batch=3, attention_mask=mask)
    for row, own in enumerate(alone):
        expected = run_with_edit(model, own, 1, lambda residual: 2 * residual + 1)[0]
        torch.testing.assert_close(result[row, mask[row].bool()], expected, **exactly(model))
    assert result[~mask.bool()].isnan().all()


def test_entries_of_an_edited_run_are_as_on_a_row_alone(model, alone, batch):
    tokens, mask = batch
    result = entries_with_edit(model, tokens, 1, torch.neg, batch=3, attention_mask=mask)
    for row, own in enumerate(alone):
        expected = entries_with_edit(model, own, 1, torch.neg)[:, 0]
        torch.testing.assert_close(result[:, row, mask[row].bool()], expected, **exactly(model))
    assert result[:, ~mask.bool()].isnan().all()


def test_what_stands_at_pads_does_not_matter(model, alone, side):
    """Unless it is read as text, as it is without a mask."""
    (tokens, mask), (others, _) = padded(alone, side), padded(alone, side, pad=5)
    first, second = (stream.logit_lens(model, t, attention_mask=mask).entropy for t in (tokens, others))
    torch.testing.assert_close(first, second, equal_nan=True, **exactly(model))
    unmasked = stream.logit_lens(model, tokens).entropy
    gap = (unmasked - first)[:, mask.bool()].abs().max()
    assert gap > 0.01 if side == "left" else gap < exactly(model)["atol"]


class TestTheMaskItself:
    TOKENS = torch.zeros(2, 4, dtype=torch.long)

    @pytest.mark.parametrize(
        "given",
        [
            torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]]),
            torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]]).bool(),
            torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]]).float(),
            torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]]).to(torch.uint8),
            np.array([[0, 0, 1, 1], [1, 1, 1, 1]]),
            [[False, False, True, True], [True, True, True, True]],
        ],
    )
    def test_truths_or_ones(self, given):
        expected = torch.tensor([[False, False, True, True], [True] * 4])
        assert torch.equal(inputs.checked_mask(given, self.TOKENS), expected)

    def test_without_pads_it_changes_nothing(self, model, alone):
        tokens = torch.stack([alone[0], alone[0].flip(0)])
        masked = stream.residual_entries(model, tokens, attention_mask=torch.ones_like(tokens))
        assert torch.equal(masked, stream.residual_entries(model, tokens))
        assert inputs.checked_mask(torch.ones(4), self.TOKENS[:1]) is None

    def test_one_row(self, model, alone):
        tokens, mask = padded(alone[:1], "left")
        result = stream.residual_entries(model, tokens[0], attention_mask=mask[0])
        torch.testing.assert_close(result[:, :, 1:], stream.residual_entries(model, alone[0]), **exactly(model))

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ([[1, 1, 1]], r"its shape is that of the tokens, \(2, 4\), not \(1, 3\)"),
            ([[1, 1, 1, 2], [1, 1, 1, 1]], "1 or true at tokens and 0 or false at pads"),
            ([[0.0, 0.0, 0.0, -torch.inf], [0.0] * 4], "1 or true at tokens"),
            ([[1, 1, 1, 1], [0, 0, 0, 0]], "row 1 of attention_mask has no token"),
            ([[1, 0, 1, 1], [1, 1, 1, 1]], "row 0 of attention_mask has pads between its tokens"),
        ],
    )
    def test_what_is_none(self, given, message):
        with pytest.raises(ValueError, match=message):
            inputs.checked_mask(given, self.TOKENS)

    def test_positions_at_pads_alone(self, model):
        tokens, mask = torch.arange(8).view(2, 4), torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
        with pytest.raises(ValueError, match="positions=-1 selects pads alone"):
            stream.logit_lens(model, tokens, positions=-1, attention_mask=mask)
