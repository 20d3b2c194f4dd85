import pytest
import torch
import transformers

from mechlib.bridge.originals import beyond_rounding, few_tokens, has_tokenizer, options


class TestRounding:
    EXPECTED = torch.randn(2, 5, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
    def test_storing_the_same_numbers_otherwise_is_rounding(self, dtype):
        assert beyond_rounding(self.EXPECTED.to(dtype), self.EXPECTED) is None

    @pytest.mark.parametrize(
        ("dtype", "gap"), [(torch.float64, 1e-3), (torch.float32, 1e-3), (torch.float16, 1.0), (torch.bfloat16, 1.0)]
    )
    def test_a_gap_is_measured(self, dtype, gap):
        own = self.EXPECTED.clone()
        own[1, 2, 3] += gap
        assert beyond_rounding(own.to(dtype), self.EXPECTED) == pytest.approx(gap, rel=0.02)

    def test_it_is_relative_to_how_the_logits_spread(self):
        assert beyond_rounding(1e3 * self.EXPECTED + 1e-3, 1e3 * self.EXPECTED) is None
        assert beyond_rounding(1e-3 * self.EXPECTED + 1e-3, 1e-3 * self.EXPECTED) == pytest.approx(1e-3)

    def test_what_is_not_finite(self):
        """Broken weights break both; a bridge that alone is broken is another model."""
        broken = self.EXPECTED.clone()
        broken[0, 0] = torch.nan
        assert beyond_rounding(broken, broken) is None
        assert beyond_rounding(broken, torch.full_like(broken, torch.nan)) is None
        assert not beyond_rounding(broken, self.EXPECTED) <= 1

    def test_logits_that_are_all_the_same(self):
        flat = torch.zeros(2, 3, 4)
        assert beyond_rounding(flat, flat) is None
        assert beyond_rounding(flat + 1e-6, flat) == pytest.approx(1e-6)


def test_options_are_what_a_configuration_sets_otherwise_than_its_kind():
    config = transformers.GPT2Config(
        n_embd=16, vocab_size=20, attn_pdrop=0.3, bos_token_id=3, scale_attn_weights=False, activation_function="relu"
    )
    assert options(config) == {
        "scale_attn_weights": (False, True),
        "activation_function": ("relu", "gelu_new"),
    }
    assert options(transformers.LlamaConfig()) == {}


def test_few_tokens_fit_the_context_and_are_always_the_same():
    model = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(n_embd=8, n_head=2, n_layer=1, n_positions=5, vocab_size=7)
    )
    tokens = few_tokens(model)
    assert tokens.shape == (2, 5) and tokens.min() >= 0 and tokens.max() < 7
    assert torch.equal(tokens, few_tokens(model))


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json", "vocab.txt", "spiece.model", "merges.txt"])
def test_a_folder_has_a_tokenizer_if_one_of_its_files_is_there(tmp_path, file):
    (tmp_path / "config.json").touch()
    assert not has_tokenizer(str(tmp_path))
    (tmp_path / file).touch()
    assert has_tokenizer(str(tmp_path))
    assert has_tokenizer("openai-community/gpt2")
