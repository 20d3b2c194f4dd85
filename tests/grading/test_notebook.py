"""Reading what somebody handed in as a notebook."""

import json
import subprocess
import sys

import pytest

from mechlib.grading.notebook import MOST_TEXT, MOST_WRITTEN, read
from tests.grading import toys

LARGE = """
import resource
from mechlib.grading import notebook

notebook.MEMORY = 2**27
before = resource.getrlimit(resource.RLIMIT_AS)
try:
    notebook.read(b'{"cells": [' + b"{}," * 2**22 + b"{}]}")
except ValueError as error:
    assert "takes more than 0 GB of memory when it is read" in str(error), error
else:
    raise AssertionError("it was read")
assert resource.getrlimit(resource.RLIMIT_AS) == before
assert notebook.read(b'{"cells": [{"cell_type": "code", "source": "x = 1"}]}').cells
"""


def test_code_written_answers_and_chapter_are_found():
    texts = ["# Title", "<!-- written: why -->\nBecause.", "Mine.\n<!-- written -->"]
    handed = read(toys.notebook(*toys.HONEST, texts=texts))
    assert [cell.source for cell in handed.cells] == list(toys.HONEST)
    assert [cell.index for cell in handed.cells] == list(range(len(toys.HONEST)))
    assert [(w.cell, w.text) for w in handed.written] == [("why", "Because."), ("cell 9", "Mine.")]
    assert (handed.chapter, handed.problems) == ("ch02", ())


def test_a_tagged_cell_is_a_written_answer():
    cell = {"cell_type": "markdown", "id": "essay", "source": ["One.\n", "Two."], "metadata": {"tags": ["written"]}}
    handed = read(json.dumps({"cells": [cell]}).encode())
    assert [(w.cell, w.text) for w in handed.written] == [("essay", "One.\nTwo.")]


def test_without_checks_the_names_of_the_answers_tell_the_chapter():
    assert read(toys.notebook("def cached_attention(query): ...", "def work(n): ...")).chapter == "ch01"
    assert read(toys.notebook("1 + 1")).chapter is None


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not a notebook, or is cut off"),
        (b"\x89PNG\xff", "not a notebook, or is cut off"),
        (b'{"cells": [', "not a notebook, or is cut off"),
        (b"[" * 10**5, "not a notebook, or is cut off"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not a notebook, or is cut off"),
        (b"[]", "no list of cells"),
        (b'{"worksheets": []}', "no list of cells"),
    ],
)
def test_what_is_no_notebook_is_one_sentence(content, complaint):
    with pytest.raises(ValueError, match=complaint):
        read(content)


def test_odd_cells_are_named_and_left_out():
    cells = [1, {"cell_type": "code"}, {"cell_type": "code", "source": [1]}, {"cell_type": "code", "source": "x = 1"}]
    handed = read(json.dumps({"cells": cells}).encode())
    assert [cell.source for cell in handed.cells] == ["x = 1"]
    assert handed.problems == ("Cells without readable text: 1, 2, 3.",)


def test_half_a_character_can_be_written_to_a_file():
    handed = read(b'{"cells": [{"cell_type": "code", "source": "x = \'\\ud800\'"}]}')
    assert handed.cells[0].source.encode().decode() == handed.cells[0].source


def test_too_much_writing_is_cut_and_said():
    handed = read(toys.notebook(texts=["<!-- written: a -->\nSo.", "<!-- written: b -->\n" + "x" * MOST_WRITTEN]))
    assert [w.cell for w in handed.written] == ["a"]
    assert handed.problems == ("The written answers from cell 2 on are left out: they are too long.",)
    assert len(read(toys.notebook(texts=["<!-- written -->"] * 1000)).written) == 50


def test_a_small_file_that_describes_something_large_is_refused():
    """In a process of its own: what others have freed in this one could be had without asking for more."""
    subprocess.run([sys.executable, "-c", LARGE], check=True)


def test_marks_that_are_almost_marks_are_passed_over_at_once():
    """A pattern that tries all ways to divide the white space would take days."""
    texts = ["<!-- written:" + " " * 10**5 + "x", "<!--" + "\n" * 10**5 + "written"]
    assert read(toys.notebook("check(" + "\n" * 10**5 + "x", texts=texts)).written == ()


def test_too_much_code_is_cut_and_said():
    handed = read(toys.notebook("x = 1", "#" * MOST_TEXT, "y = 1"))
    assert [cell.source for cell in handed.cells] == ["x = 1"]
    assert "from cell 2 on is left out" in handed.problems[0]
    assert "the first 2000 are graded" in read(toys.notebook(*["1"] * 2001)).problems[0]
