"""Captions and alternative texts are plain: neither the page nor a screen reader sets their mathematics."""

import ast

import pytest

from mechlib.authoring import checkout

ROOT = checkout.root()
PAGES = {path.stem: path for path in checkout.notebooks(ROOT, "book")}


def plain_texts(source: str) -> list[str]:
    """The constant parts of all captions and alternative texts in a cell, but for what ``replace`` takes out."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    given = [word.value for call in calls for word in call.keywords if word.arg in ("caption", "alt")]
    names = [c for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr == "replace"]
    taken_out = {id(argument) for call in names for argument in call.args}
    parts = [part for value in given for part in ast.walk(value) if id(part) not in taken_out]
    return [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]


@pytest.mark.parametrize("page", PAGES)
def test_no_caption_has_the_signs_of_mathematics(page):
    cells = [c for c in checkout.read_notebook(PAGES[page])["cells"] if c["cell_type"] == "code"]
    sources = [line for c in cells for line in ["".join(c["source"])] if "%pip" not in line]
    assert not [text for source in sources for text in plain_texts(source) if "$" in text]


def test_the_signs_are_found():
    source = "show(a, caption='the set $w$', alt=f'up to {x}' + ', $y$' + n.replace('$', ''))"
    assert sorted(plain_texts(source)) == [", $y$", "the set $w$", "up to "]
