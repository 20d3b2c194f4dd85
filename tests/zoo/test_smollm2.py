"""The real language model as it was fetched, held to what ``transformers`` makes of the same folder."""

import pytest
import torch
import transformers
from safetensors.torch import load_file

from mechlib import bridge, zoo
from mechlib.zoo import fetched

SOURCE = fetched.SOURCES["smollm2-135m"]
TEXTS = ("The year 2024 began on a Monday.", "def f(x):\n    return x + 1\n\n\n12 lines", "naïve café: 漢字")


@pytest.fixture(scope="module")
def theirs(smollm2):
    folder = zoo.card("smollm2-135m").folder
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def tokenizer(smollm2):
    return transformers.AutoTokenizer.from_pretrained(zoo.card("smollm2-135m").folder)


def test_the_card_says_whose_it_is_and_that_it_is_not_the_published_one(smollm2):
    card = zoo.card("smollm2-135m")
    assert card.licence == "Apache-2.0" and "HuggingFaceTB" in card.attribution and "QuantFactory" in card.attribution
    assert card.notes[0].startswith("Not the published weights") and "LICENSE" in card.parts
    assert (card.shape.n_layers, card.shape.n_heads, card.shape.d_model, card.shape.d_vocab) == (30, 9, 576, 49_152)
    weights = load_file(card.folder / "model.safetensors")
    assert bridge.tensors_digest(weights) == SOURCE.converted
    assert {weight.dtype for weight in weights.values()} == {torch.float16}


@torch.no_grad()
def test_it_computes_what_transformers_does(smollm2, theirs, tokenizer):
    for text in TEXTS:
        tokens = smollm2.to_tokens(text)
        assert tokens.tolist() == [tokenizer(text).input_ids]
        torch.testing.assert_close(smollm2(tokens), theirs(tokens).logits, atol=2e-3, rtol=0)


def test_its_strings_are_the_text(smollm2):
    for text in TEXTS[:2]:
        assert "".join(smollm2.to_str_tokens(text)) == text
    assert smollm2.to_str_tokens("in 2024") == ["in", " ", "2", "0", "2", "4"]


def test_it_goes_on_with_a_text_as_transformers_does(smollm2, theirs, tokenizer):
    text = "The capital of France is"
    ours = smollm2.generate(text, max_new_tokens=6, do_sample=False, verbose=False)
    expected = theirs.generate(**tokenizer(text, return_tensors="pt"), max_new_tokens=6, do_sample=False)
    assert ours == tokenizer.decode(expected[0]) and " Paris" in ours
