"""Chapters are executed once for their text and the library, and a chapter that fails is named."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from mechlib.authoring import outputs

CHAPTER = Path("book/part1/02_lens.ipynb")
FAILS = Path("book/part1/03_fails.ipynb")


@pytest.fixture
def book(checkout_folder):
    """A checkout with a chapter that counts how often it is executed, and one that fails."""
    (checkout_folder / "_config.yml").write_text("execute:\n  timeout: 60\n")
    (checkout_folder / "mechlib").mkdir()
    (checkout_folder / "mechlib" / "lens.py").write_text("first")
    (checkout_folder / "constraints.txt").write_text("torch==1")
    count = "with open('count', 'a') as file:\n    file.write('x')\n6 * 7"
    for path, code in ((CHAPTER, count), (FAILS, "1 / 0")):
        nbformat.write(new_notebook(cells=[new_code_cell(code)]), checkout_folder / path)
    return checkout_folder


def times_executed(book):
    return len((book / CHAPTER.parent / "count").read_text())


def test_a_chapter_is_executed_once_and_a_failing_one_is_named(book):
    assert outputs.make(book) == outputs.make(book) == [str(book / FAILS)]
    assert times_executed(book) == 1
    assert outputs.read(book, CHAPTER).cells[0].outputs[0].data["text/plain"] == "42"
    with pytest.raises(FileNotFoundError, match=f"{FAILS} has not been executed"):
        outputs.read(book, FAILS)


@pytest.mark.parametrize(("changed", "text"), [("mechlib/lens.py", "second"), ("constraints.txt", "torch==2")])
def test_outputs_made_with_another_library_are_dropped(book, changed, text):
    (book / FAILS).unlink()
    outputs.make(book)
    (book / changed).write_text(text)
    with pytest.raises(FileNotFoundError, match=f"{CHAPTER} has not been executed"):
        outputs.read(book, CHAPTER)
    outputs.make(book)
    assert times_executed(book) == 2
    assert outputs.read(book, CHAPTER).cells[0].outputs[0].data["text/plain"] == "42"


def test_outputs_stay_when_only_the_text_around_the_code_changes(book):
    outputs.make(book)
    notebook = nbformat.read(book / CHAPTER, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell("More words."))
    nbformat.write(notebook, book / CHAPTER)
    outputs.make(book)
    assert times_executed(book) == 1
    assert outputs.read(book, CHAPTER).cells[1].outputs[0].data["text/plain"] == "42"
