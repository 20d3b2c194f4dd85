"""The docstring task: its words, prompts and batches, what is measured on it, and the form its models are loaded in."""

import dataclasses
import itertools
import re

import pytest
import torch
from torch import nn

from mechlib import bridge, text
from mechlib.bridge import Shape
from mechlib.zoo import files
from mechlib.zoo.decoder import Decoder
from mechlib.zoo.kinds import docstring
from mechlib.zoo.kinds.docstring import HELD_OUT_STYLE, STYLES, prompts, words
from mechlib.zoo.kinds.language import Language
from tests.zoo.tiny import DOCSTRING


def drawn(n=8, **options):
    return prompts(n, generator=torch.Generator().manual_seed(1), **options)


def test_a_word_is_one_token_and_on_one_side():
    known, held_out = (set(words(held_out=side)) for side in (False, True))
    assert len(known) > 150 and len(held_out) > 25 and not known & held_out
    assert all(len(text.encode(f" {word}", bos=False)) == 1 for word in known | held_out)
    assert not {"self", "param", "def", "None"} & (known | held_out)


@pytest.mark.parametrize("documented", [0, 1, 2, 3])
@pytest.mark.parametrize("style", [*STYLES, HELD_OUT_STYLE])
def test_a_prompt_breaks_off_before_the_argument_that_comes_next(documented, style):
    given = drawn(style=style, documented=documented)
    assert given.tokens[:, 0].eq(text.BOS).all() and given.arguments.shape == (8, 4)
    for row, arguments, answer in zip(given.tokens, given.arguments, given.answer, strict=True):
        source = text.decode(row)
        names = [text.decode([token]).strip() for token in arguments]
        assert source.startswith("def ") and f"(self, {', '.join(names)}):" in source
        assert source.endswith(f"    {style}") and answer == arguments[documented]
        assert [line.split()[1] for line in source.splitlines()[4:-1]] == [f"{name}:" for name in names[:documented]]
        assert (row == answer).sum() == 1, "the definition alone names it"
        assert set(names) <= set(words(held_out=True))


def batches_of(tmp_path, *, n_ctx=48, **data):
    """Batches whose rows have other docstrings than those of the tiny recipe."""
    shape, rows = dataclasses.replace(DOCSTRING.shape, n_ctx=n_ctx), dataclasses.replace(DOCSTRING.data, **data)
    return docstring.DocstringBatches(dataclasses.replace(DOCSTRING, shape=shape, data=rows), tmp_path)


def parted(row):
    """The text before a row's first docstring, and its docstrings, each from its first token on."""
    starts = [*(row == text.BOS).nonzero()[:, 0].tolist(), len(row)]
    return row[: starts[0]], [row[start:end] for start, end in itertools.pairwise(starts)]


@pytest.mark.parametrize("shapes", ["free", "fixed"])
@pytest.mark.parametrize("names", ["words", "tokens"])
def test_held_out_names_and_the_held_out_style_are_in_no_docstring_of_training(names, shapes, tmp_path, small_corpus):
    batches = batches_of(tmp_path, names=names, shapes=shapes, n_ctx=127)
    seen = [one for step in range(20) for row in batches[step][-2:] for one in parted(row)[1]]
    sources = [text.decode(tokens[1:]) for tokens in seen if len(tokens) > 40]
    assert len(sources) > 40 and all(source.startswith("def") and "(self," in source for source in sources)
    assert all(any(style in source for source in sources) for style in STYLES)
    assert not any(HELD_OUT_STYLE in source for source in sources)
    tokens = {text.encode(f" {word}", bos=False).item() for word in words(held_out=True)}
    assert not tokens & set(torch.cat(seen).tolist())
    known = text.encode("".join(f" {word}" for word in words(held_out=False)), bos=False)
    of_names = torch.stack([tokens[2] for tokens in seen if len(tokens) > 2])
    assert torch.isin(of_names, known).all() == (names == "words") and len(of_names.unique()) > 25


def test_a_word_becomes_the_same_token_wherever_it_stands(tmp_path, small_corpus):
    _, (first, *_) = parted(batches_of(tmp_path, names="tokens", n_ctx=127)[0][-1])
    self_, name = text.encode("self", bos=False).item(), first[6].item()
    assert first[4] == self_ and first.tolist().count(name) >= 2, "the definition names it, and a line describes it"


def test_free_docstrings_begin_anywhere_and_have_lines_of_one_to_three_words(tmp_path, small_corpus):
    batches = batches_of(tmp_path, names="words", n_ctx=127)
    known = " ".join(map(str, batches.stdlib.tolist()))
    before, summaries, described = set(), set(), set()
    for row in torch.cat([batches[step][-2:] for step in range(60)]):
        first, whole = parted(row)
        before.add(len(first))
        assert " ".join(map(str, first.tolist())) in known, "it is text of the standard library"
        for lines in (text.decode(tokens).splitlines() for tokens in whole[:-1]):
            summaries.add(len(lines[2].split()))
            described |= {len(line.split(": ")[1].split()) for line in lines[4:-1]}
    assert min(before) < 8 and 40 < max(before) <= docstring.BEFORE
    assert summaries == {1, 2, 3, 4} and described == {1, 2, 3}


def test_fixed_docstrings_stand_at_the_start_and_have_lines_of_two_words(tmp_path, small_corpus):
    batches = batches_of(tmp_path, names="words", shapes="fixed", n_ctx=127)
    for row in torch.cat([batches[step][-2:] for step in range(6)]):
        first, (whole, *_) = parted(row)
        lines = text.decode(whole).splitlines()
        assert not len(first) and len(lines[2].split()) == 3
        assert {len(line.split()) for line in lines[4:6]} == {4}, "style, name and two words"


def test_lengths_are_told_and_hide_how_many_lines_there_are():
    lines = text.decode(drawn(documented=2, lengths=(4, 3, 1, 2, 2)).tokens[0]).splitlines()
    assert [len(line.split()) for line in (lines[2], *lines[4:6])] == [4, 2 + 3, 2 + 1]
    two, three = drawn(lengths=(4, 3, 3, 1, 1)), drawn(lengths=(1, 1, 1, 1, 1), documented=3)
    assert two.tokens.shape == three.tokens.shape
    assert torch.equal(drawn(lengths=(3, 2, 2, 2, 2)).tokens, drawn().tokens), "these are meant when none are told"


@pytest.mark.parametrize("lengths", [(3,), (3, 2, 2, 2), (3, 2, 2, 2, 2, 2)])
def test_other_than_five_lengths_are_repeated(lengths):
    with pytest.raises(ValueError, match=re.escape(f"of four descriptions, got {list(lengths)}")):
        drawn(lengths=lengths)


def test_text_before_a_definition_moves_it_and_changes_nothing_else():
    before, plain = text.encode("import os\n"), drawn()
    given = drawn(before=before)
    assert torch.equal(given.tokens[:, : len(before)], before.expand(8, -1))
    assert torch.equal(given.tokens[:, len(before) :], plain.tokens) and torch.equal(given.answer, plain.answer)


def test_the_other_rows_are_those_of_a_language_model(tmp_path, small_corpus):
    batches = docstring.DocstringBatches(DOCSTRING, tmp_path)
    plain = dataclasses.replace(DOCSTRING, data=dataclasses.replace(DOCSTRING.data, docstrings=0))
    assert batches[4].shape == (5, 49)
    assert torch.equal(batches[4][:3], Language().batches(plain, tmp_path)[4])


class Pointing(nn.Module):
    """Gives all its weight to the token at one place of the prompt."""

    def __init__(self, place):
        super().__init__()
        self.place, self.weight = place, nn.Parameter(torch.zeros(1))

    def forward(self, tokens):
        return nn.functional.one_hot(tokens[:, self.place], 2048)[:, None].expand(-1, tokens.shape[1], -1)


def test_who_points_at_the_third_argument_is_always_right():
    third, second = ((drawn().tokens[0] == token).nonzero()[0].item() for token in drawn().arguments[0, [2, 1]])
    assert docstring.arguments_right(Pointing(third)) == {"argument": 1.0, "argument_new_style": 1.0}
    assert docstring.arguments_right(Pointing(second)) == {"argument": 0.0, "argument_new_style": 0.0}


SHAPE = Shape(n_layers=2, d_model=24, n_heads=3, d_head=8, d_mlp=0, n_ctx=30, d_vocab=2048)


@pytest.mark.parametrize("d_mlp", [0, 20])
def test_loaded_it_computes_what_was_trained_in_a_form_whose_paths_can_be_patched(d_mlp):
    shape = dataclasses.replace(SHAPE, d_mlp=d_mlp)
    decoder = Decoder(shape, seed=4).eval()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for parameter in decoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model = bridge.around(docstring.as_gpt2(shape, files.weights_once(decoder)), name="tiny")
    tokens = torch.randint(2048, (3, 30), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(model(tokens), decoder(tokens), rtol=1e-4, atol=1e-5)
        _, cache = model.run_with_cache(tokens)
        assert (cache["blocks.1.hook_mlp_out"].abs().max() == 0) == (d_mlp == 0)
        model.set_use_split_qkv_input(True)
        torch.testing.assert_close(model(tokens), decoder(tokens), rtol=1e-4, atol=1e-5)
    assert bridge.kind_of(model) == "gpt2" and not model.training and not model.cfg.attn_only


@pytest.mark.parametrize("change", [{"tied": False}, {"d_head": 7}])
def test_a_shape_that_is_no_gpt2_is_refused(change):
    with pytest.raises(ValueError, match="a tied shape with"):
        docstring.as_gpt2(dataclasses.replace(SHAPE, **change), {})


@pytest.mark.parametrize(("n", "options"), [(0, {}), (2, {"documented": 4}), (2, {"documented": -1})])
def test_bad_numbers_are_repeated(n, options):
    with pytest.raises(ValueError, match="n is at least 1 and documented 0 to 3, got"):
        drawn(n, **options)
