"""Prose and words: pieces of one size, and words that are one token where it matters."""

import ast
import re

from mechlib import english, text


def test_every_paragraph_is_a_text_of_its_own():
    pieces = english.paragraphs()
    assert len(set(pieces)) == len(pieces) == 24
    assert all(60 <= len(piece.split()) <= 130 and piece.isascii() and piece.endswith(".") for piece in pieces)


def test_no_word_stands_twice_or_in_two_lists():
    words = [*english.NAMES, *english.PLACES, *english.THINGS]
    assert len(set(words)) == len(words)
    assert all(re.fullmatch("[A-Z][a-z]+", name) for name in english.NAMES)


def test_single_tokens_are_those_that_the_tokenizer_has(smollm2):
    encode = smollm2.tokenizer.encode
    for words in (english.NAMES, english.PLACES, english.THINGS):
        assert english.single_tokens(words, encode) == words
    assert english.single_tokens(("store", "brontosaurus"), encode) == ("store",)


def test_docstrings_are_those_of_the_files():
    documents = {document.path: document.text for document in text.files("held_out")}
    prose = text.docstrings("held_out")
    assert set(documents) >= {document.path for document in prose} and len(prose) > 0.5 * len(documents)
    for document in prose[:20]:
        tree = ast.parse(documents[document.path])
        assert document.text.startswith(ast.get_docstring(tree) or "")
        named = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        assert all(own in document.text for node in named if (own := ast.get_docstring(node)))


def test_passages_are_cut_by_the_tokenizer_that_is_given(smollm2):
    documents = text.docstrings("held_out")[:6]
    rows = text.rows(documents, n_rows=4, length=32, encode=lambda t: smollm2.to_tokens(t)[0])
    assert rows.shape == (4, 32)
    sources = [smollm2.to_tokens(document.text)[0].tolist() for document in documents]
    for row in rows.tolist():
        assert any(row == ids[i : i + 32] for ids in sources for i in range(len(ids) - 31))
