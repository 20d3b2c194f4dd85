"""A chapter asks before it tells, and answers in the same section."""

import pytest

from mechlib.authoring import checkout
from mechlib.authoring.guesses import problems

ROOT = checkout.root()
ASK = 'guess("02a", "How much?", unit="nats")'
TELL = 'answer("02a", fall, within=1.0, below="a", above="b")'


def code(source, *tags):
    return {"cell_type": "code", "source": source, "metadata": {"tags": list(tags)}}


def text(source):
    return {"cell_type": "markdown", "source": source, "metadata": {}}


ASKING, TELLING, BETWEEN = code(ASK, "remove-input"), code(TELL, "hide-input"), text("What is measured.")


def of(*cells):
    return problems({"cells": [text("# A lens"), code("%pip install x", "bootstrap"), *cells]}, "02_lens.ipynb")


@pytest.mark.parametrize("path", list(checkout.notebooks(ROOT, "book")), ids=lambda path: path.stem)
def test_the_chapters_ask_before_they_tell(path):
    assert problems(checkout.read_notebook(path), path.name) == []


def test_a_guess_before_its_answer_is_as_it_should_be():
    assert of(ASKING, BETWEEN, code("guess = 1\nguess"), TELLING) == []
    other = [code(cell["source"].replace("02a", "02b"), *cell["metadata"]["tags"]) for cell in (ASKING, TELLING)]
    assert of(ASKING, other[0], BETWEEN, other[1], TELLING) == []


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([TELLING, BETWEEN, ASKING], "is not answered after its guess"),
        ([ASKING, text("## More\n\nText."), TELLING], "before the next heading"),
        ([ASKING], "asked 1 times and answered 0 times"),
        ([TELLING], "asked 0 times and answered 1 times"),
        ([ASKING, ASKING, TELLING], "asked 2 times"),
        ([code(ASK), TELLING], "without the tag remove-input"),
        ([ASKING, code(TELL)], "without the tag hide-input"),
        (
            [code(ASK.replace('"nats"', '"nats", mine=3'), "remove-input"), TELLING],
            "mine=",
        ),
        ([code(ASK.replace("much", "large is $x$"), "remove-input"), TELLING], "formula"),
        ([ASKING, code(TELL.replace("fall", "4.2"), "hide-input")], "is typed"),
        ([ASKING, code(TELL.replace("fall", "-4.2 + 1"), "hide-input")], "is typed"),
    ],
)
def test_what_a_reader_would_stumble_over_is_named(cells, said):
    (problem,) = of(*cells)
    assert problem.startswith("02_lens.ipynb: ") and "02a" in problem and said in problem


def test_names_begin_with_the_number_of_the_chapter():
    cells = [code(cell["source"].replace("02a", "03a"), *cell["metadata"]["tags"]) for cell in (ASKING, TELLING)]
    assert all("begins with 02" in problem for problem in of(*cells)) and len(of(*cells)) == 2
    assert any("not named by a string" in p for p in of(code('guess(name, "?")', "remove-input"), TELLING))
