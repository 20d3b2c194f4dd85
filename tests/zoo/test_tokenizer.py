"""Shipped language models take text wherever TransformerLens does, and read it as the book does."""

import copy

import pytest
import torch
from transformer_lens.head_detector import detect_head

from mechlib import bridge, heads, stream, text, zoo
from mechlib.bridge.native import native_parameters
from mechlib.zoo import toy
from mechlib.zoo.decoder import Decoder

SOURCE = 'def f(x):\n    return "é  ü", x  # <|endoftext|>.\n'


@pytest.fixture(scope="module")
def model():
    return zoo.load("code-2l", device="cpu")


@pytest.fixture(scope="module")
def without_text():
    shape = toy.shape_of(1)
    return bridge.native(shape, Decoder(shape, 0).state_dict(), name="toy", device="cpu")


@pytest.mark.parametrize("name", zoo.names("language"))
def test_every_language_model_reads_text_as_the_book_does(name):
    model = zoo.load(name, device="cpu")
    assert torch.equal(model.to_tokens(SOURCE), text.encode(SOURCE)[None])
    assert torch.equal(model.to_tokens(SOURCE, prepend_bos=False), text.encode(SOURCE, bos=False)[None])
    assert model.to_string(text.encode(SOURCE)) == "<|endoftext|>" + SOURCE
    assert "".join(model.to_str_tokens("def f(x):")) == "<|endoftext|>def f(x):"
    assert model.to_single_token(" return") == text.encode(" return", bos=False).item()
    assert model.tokenizer.bos_token_id == model.tokenizer.pad_token_id == model.tokenizer.eos_token_id == text.BOS


def test_a_text_and_its_ids_are_computed_alike(model):
    with torch.no_grad():
        assert torch.equal(model(SOURCE), model(text.encode(SOURCE)[None]))


def test_ids_stay_as_they_are_given(model):
    """No token is put before ids, neither on the model's first run nor after it has met a text."""
    ids = text.encode(SOURCE, bos=False)[None]
    plain = Decoder(zoo.card("code-2l").shape, 0)
    plain.load_state_dict(native_parameters(model))
    for used in (model, zoo.load("code-2l", device="cpu")):
        with torch.no_grad():
            torch.testing.assert_close(used(ids), plain(ids), atol=1e-4, rtol=1e-4)


def test_shorter_texts_are_filled_up(model):
    short, long = "def f", "class A(object): pass"
    both = model.to_tokens([short, long])
    assert torch.equal(both[1], text.encode(long))
    assert torch.equal(both[0], torch.nn.functional.pad(text.encode(short), (0, len(both[1]) - 3), value=text.BOS))


def test_a_text_is_written_on(model):
    ours = stream.continue_text(model, text.encode("def f(x"), 8).tokens[0]
    assert model.generate("def f(x", max_new_tokens=8, do_sample=False, verbose=False) == text.decode(ours)


@pytest.mark.parametrize("kind", heads.KINDS)
def test_detect_head_takes_text(model, kind):
    source = "import os\nimport sys\nimport os\nimport sys\n"
    with torch.no_grad():
        theirs = detect_head(model, source, f"{kind}_head", error_measure="mul")
    torch.testing.assert_close(getattr(heads.head_scores(model, text.encode(source)), kind), theirs, atol=1e-6, rtol=0)


def test_a_tokenizer_is_made_once_and_for_one_model(model):
    other = zoo.load("code-2l", device="cpu")
    assert other._tokenizer is None, "loading made a tokenizer that nobody asked for"
    assert other.tokenizer is other.tokenizer is not model.tokenizer
    other.tokenizer.padding_side = "left"
    assert model.tokenizer.padding_side == "right"
    assert bridge.shuffled(other, seed=0).tokenizer is other.tokenizer
    assert copy.deepcopy(other).tokenizer.padding_side == "left"


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m("a text"),
        lambda m: m.to_tokens("a text"),
        lambda m: m.to_str_tokens("a text"),
        lambda m: m.to_str_tokens(torch.tensor([1, 2])),
        lambda m: m.to_string([1, 2]),
        lambda m: m.to_single_token("a"),
        lambda m: m.generate("a text"),
        lambda m: detect_head(m, "a text", "induction_head"),
    ],
)
def test_a_model_whose_tokens_are_no_text_says_so(without_text, call):
    with pytest.raises(ValueError, match=r"the 64 tokens of 'toy' stand for no text.*integers from 0 to 63"):
        call(without_text)


def test_ids_of_such_a_model_are_written_on_as_before(without_text):
    prompt = torch.tensor([[3, 4]])
    theirs = without_text.generate(prompt, max_new_tokens=3, stop_at_eos=False, do_sample=False, verbose=False)
    assert torch.equal(theirs, stream.continue_text(without_text, prompt, 3).tokens)
