"""Predictions from nothing and from prompts, against SciPy and distributions worked out by hand."""

import math

import pytest
import tokenizers
import torch
import transformers
from scipy.stats import entropy

from mechlib import text, zoo
from mechlib.bridge import Shape, TransformerBridge, from_transformers
from mechlib.stream import compare_prompts, empty_prompt, prediction
from tests.models import random_native

SHAPE = Shape(n_layers=2, d_model=12, n_heads=2, d_head=5, d_mlp=20, n_ctx=9, d_vocab=31)


@pytest.fixture(scope="module")
def model():
    return random_native(SHAPE, seed=1)


def log_probs(seed, *shape):
    return (2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).log_softmax(-1)


def test_a_prediction_is_the_models_at_the_last_position(model):
    prompts = torch.randint(31, (5, 7), generator=torch.Generator().manual_seed(2))
    expected = model(prompts).detach()[:, -1].log_softmax(-1)
    torch.testing.assert_close(prediction(model, prompts).float(), expected, atol=1e-5, rtol=1e-5)


def test_the_empty_prompt_of_a_model_with_a_first_token(model):
    expected = model(torch.tensor([[0], [6]])).detach()[:, 0].log_softmax(-1)
    torch.testing.assert_close(empty_prompt(model, bos=0).float(), expected[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(empty_prompt(model, bos=6).float(), expected[1], atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def with_tokenizer(gpt2_folder, tmp_path_factory):
    """A model whose tokenizer has three words, with the ids 0, 2 and 5, and the marks that are given."""

    def save(**marks):
        folder = tmp_path_factory.mktemp("gpt2")
        words = tokenizers.models.WordLevel({"a": 0, "<s>": 5, "b": 2}, unk_token="a")
        tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(words), **marks)
        tokenizer.save_pretrained(folder)
        transformers.GPT2LMHeadModel.from_pretrained(gpt2_folder).save_pretrained(folder)
        return from_transformers(folder, device="cpu")

    return save


@pytest.mark.parametrize(("mark", "token"), [("bos_token", "<s>"), ("eos_token", "<s>"), ("bos_token", "b")])
def test_the_first_token_is_that_of_the_models_own_tokenizer(with_tokenizer, mark, token):
    model = with_tokenizer(**{mark: token})
    expected = model(torch.tensor([[{"<s>": 5, "b": 2}[token]]])).detach()[0, 0].log_softmax(-1)
    torch.testing.assert_close(empty_prompt(model).float(), expected, atol=1e-5, rtol=1e-5)


def test_a_first_token_that_the_model_or_its_tokenizer_does_not_have(with_tokenizer):
    """Where a tokenizer has neither mark, TransformerLens adds one to it that no text ever had."""
    with pytest.raises(ValueError, match="has a tokenizer without a beginning-of-text token: give bos"):
        empty_prompt(with_tokenizer())
    model = with_tokenizer(bos_token="<s>")
    model.cfg.d_vocab = 5
    with pytest.raises(ValueError, match="has 5 as beginning-of-text token, outside its vocabulary of 5: give bos"):
        empty_prompt(model)


def test_the_first_token_of_a_shipped_model_stands_before_every_text():
    model = zoo.load("code-2l", device="cpu")
    expected = model("").detach()[0, -1].double().log_softmax(-1)
    torch.testing.assert_close(empty_prompt(model), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(empty_prompt(model), empty_prompt(model, bos=text.BOS), atol=0, rtol=0)


def test_a_model_without_a_first_token_has_to_be_told_one(model, gpt2_folder):
    """Left to itself, ``transformers`` makes up a tokenizer for a folder without one: of one token, with id 0."""
    made_up = TransformerBridge.boot_transformers(gpt2_folder, device="cpu")
    assert made_up.tokenizer.bos_token_id == 0
    for without in (model, from_transformers(gpt2_folder, device="cpu"), made_up):
        with pytest.raises(ValueError, match=r"has no tokenizer: give bos.*or first"):
            empty_prompt(without)
        with pytest.raises(ValueError, match="token ids are from 0 to"):
            empty_prompt(without, bos=83)


def test_the_empty_prompt_of_a_model_without_one_is_an_average(model):
    first = torch.zeros(31)
    first[[3, 8]] = torch.tensor([0.25, 0.75])
    probs = model(torch.tensor([[3], [8]])).detach()[:, 0].softmax(-1)
    expected = (0.25 * probs[0] + 0.75 * probs[1]).log()
    torch.testing.assert_close(empty_prompt(model, bos=None, first=first).float(), expected, atol=1e-5, rtol=1e-5)


def test_divergences_are_scipys_and_add_up():
    prompted, empty = log_probs(0, 6, 11), log_probs(1, 11)
    effect = compare_prompts(prompted, empty)
    p, q = prompted.exp().numpy(), empty.exp().numpy()
    average = p.mean(0)
    assert effect.kl.numpy() == pytest.approx([entropy(row, q) for row in p])
    assert effect.entropy.numpy() == pytest.approx([entropy(row) for row in p])
    assert effect.empty_entropy == pytest.approx(entropy(q))
    assert effect.information == pytest.approx(entropy(average) - effect.entropy.mean())  # mutual information
    assert effect.average_to_empty == pytest.approx(entropy(average, q))
    assert effect.kl.mean() == pytest.approx(effect.information + effect.average_to_empty)
    assert 0 < effect.information < math.log(6)


def test_prompts_that_say_nothing_tell_nothing():
    empty = log_probs(2, 9)
    effect = compare_prompts(empty.expand(4, -1), empty)
    assert effect.kl.abs().max() < 1e-12
    assert abs(effect.information) < 1e-12 > abs(effect.average_to_empty)


def test_impossible_tokens_count_nothing():
    sure = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).log()
    effect = compare_prompts(sure, torch.tensor([0.5, 0.25, 0.25]).log())
    assert effect.kl.tolist() == pytest.approx([math.log(2), math.log(4)])
    assert effect.entropy.tolist() == [0, 0]
    assert effect.information == pytest.approx(math.log(2))


def test_what_is_no_distribution(model):
    with pytest.raises(ValueError, match="both are given"):
        empty_prompt(model, bos=0, first=torch.full((31,), 1 / 31))
    with pytest.raises(ValueError, match=r"over 31 tokens; it has shape \(30,\)"):
        empty_prompt(model, bos=None, first=torch.full((30,), 1 / 30))
    with pytest.raises(ValueError, match="sums to 31"):
        empty_prompt(model, bos=None, first=torch.ones(31))
    with pytest.raises(ValueError, match=r"shapes \(2, 5\) and \(4,\)"):
        compare_prompts(log_probs(0, 2, 5), log_probs(0, 4))
    for none in (torch.randn(2, 5), torch.full((2, 5), torch.nan)):
        with pytest.raises(ValueError, match="log-probabilities sum to one"):
            compare_prompts(none, log_probs(0, 5))
