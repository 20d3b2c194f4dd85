"""Head scores against TransformerLens's ``detect_head``, and against a head built to follow a pattern exactly."""

import pytest
import torch
from transformer_lens.head_detector import detect_head

from mechlib import zoo
from mechlib.heads import KINDS, head_scores, pattern_mask, repeated_tokens
from mechlib.heads import scores as scores_module


@pytest.fixture(autouse=True)
def several_chunks(monkeypatch):
    """Chunks so small that every test crosses their borders."""
    monkeypatch.setattr(scores_module, "TOKENS_AT_ONCE", 41)


def detected(model, tokens, kind, monkeypatch) -> torch.Tensor:
    """``detect_head`` takes strings and rejects the full context: here a string is the number of a row."""
    rows = [str(row) for row in range(len(tokens))]
    monkeypatch.setattr(
        model, "to_tokens", lambda seq: tokens[[int(seq)]] if isinstance(seq, str) else tokens, raising=False
    )
    monkeypatch.setattr(model.cfg, "n_ctx", model.cfg.n_ctx + 1)
    with torch.no_grad():
        return detect_head(model, rows, f"{kind}_head", error_measure="mul")


class TestAgainstTransformerLens:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("length", [2, 13, 20])
    def test_every_head(self, model, tokens, kind, length, monkeypatch):
        ours = getattr(head_scores(model, tokens[:, :length]), kind)
        theirs = detected(model, tokens[:, :length], kind, monkeypatch)
        assert ours.shape == (model.cfg.n_layers, model.cfg.n_heads)
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)

    @pytest.mark.parametrize("name", zoo.names("language"))
    def test_every_model_of_the_zoo_at_the_full_context(self, name, monkeypatch):
        model = zoo.load(name, device="cpu")
        n_ctx, generator = model.cfg.n_ctx, torch.Generator().manual_seed(0)
        tokens = repeated_tokens(2, n_ctx // 2, model.cfg.d_vocab, n_ctx=n_ctx, generator=generator)
        scores = head_scores(model, tokens)
        for kind in KINDS:
            theirs = detected(model, tokens, kind, monkeypatch)
            torch.testing.assert_close(getattr(scores, kind), theirs, atol=1e-6, rtol=0)


class TestIdentities:
    @pytest.mark.parametrize("kind", KINDS)
    def test_attained_is_the_mean_over_positions_with_a_target(self, model, tokens, kind):
        with torch.no_grad():
            _, cache = model.run_with_cache(tokens)
        mask = pattern_mask(tokens, kind)
        for layer in range(model.cfg.n_layers):
            on_targets = cache["pattern", layer].double().where(mask[:, None], 0.0).sum(-1)
            expected = on_targets.movedim(1, -1)[mask.any(-1)].mean(0)
            torch.testing.assert_close(
                head_scores(model, tokens).attained(kind)[layer].double(), expected, atol=1e-6, rtol=0
            )

    def test_no_head_exceeds_what_is_reachable(self, model, tokens):
        scores = head_scores(model, tokens)
        assert scores.reachable["previous_token"] == pytest.approx(19 / 20)
        for kind in KINDS:
            assert 0 <= getattr(scores, kind).min() <= getattr(scores, kind).max() <= scores.reachable[kind]

    def test_permuting_the_batch_changes_nothing(self, model, tokens):
        straight, permuted = head_scores(model, tokens), head_scores(model, tokens[[3, 0, 4, 1, 2]])
        for kind in KINDS:
            torch.testing.assert_close(getattr(straight, kind), getattr(permuted, kind), atol=1e-6, rtol=0)

    def test_a_head_that_follows_the_pattern_attains_one(self, small, tokens):
        """Layer 1's attention is overwritten with an exact induction pattern, where there is a target."""

        def perfect(pattern, hook):
            mask = pattern_mask(rows, "induction").float()
            ideal = mask / mask.sum(-1, keepdim=True).clamp(min=1)
            return torch.where(mask.any(-1)[:, None, :, None], ideal[:, None], pattern)

        rows = tokens[:2]
        with small.hooks(fwd_hooks=[("blocks.1.attn.hook_pattern", perfect)]):
            attained = head_scores(small, rows).attained("induction")
        torch.testing.assert_close(attained[1], torch.ones(2), atol=1e-6, rtol=0)
        assert attained[0].max() < 0.9


class TestSequencesWithoutRepeats:
    def test_scores_are_zero_and_nothing_is_attained(self, small):
        scores = head_scores(small, torch.arange(15))
        assert (scores.induction == 0).all() and scores.reachable["induction"] == 0
        assert scores.attained("induction").isnan().all()
        assert scores.previous_token.min() > 0

    def test_one_token_has_no_target_at_all(self, small):
        scores = head_scores(small, torch.tensor([3]))
        assert set(scores.reachable.values()) == {0.0}


class TestBadInput:
    @pytest.mark.parametrize(
        ("bad", "error", "message"),
        [
            (torch.zeros(2, 21, dtype=torch.long), ValueError, r"\(2, 21\) are longer than the model's context of 20"),
            (torch.zeros(2, 0, dtype=torch.long), ValueError, r"\(2, 0\) are empty"),
            (torch.full((1, 4), 83), ValueError, r"83 at \[0, 0\]; token ids are from 0 to 82"),
            (torch.zeros(2, 3), TypeError, "torch.float32"),
            ("a text", TypeError, "not str"),
        ],
    )
    def test_tokens(self, small, bad, error, message):
        with pytest.raises(error, match=message):
            head_scores(small, bad)

    def test_a_model_without_patterns(self, without_patterns, tokens):
        with pytest.raises(
            ValueError, match=r"no attention pattern to read in layers \[1\].*blocks.1.attn.hook_pattern"
        ):
            head_scores(without_patterns, tokens)

    def test_an_unknown_kind(self, small, tokens):
        with pytest.raises(ValueError, match=r"kind is one of .*, not 'reachable'"):
            head_scores(small, tokens).attained("reachable")
