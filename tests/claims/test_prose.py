"""Numbers and statements of the prose are compared with what was measured: told in a test, warned of elsewhere."""

import dis
import inspect
import math
import platform
import sys

import pytest
import torch
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from mechlib.claims import ProseWarning, prose, quoted, stated


@pytest.fixture(params=["a reader", "another Python"])
def lenient(request, monkeypatch):
    """Where the numbers of the prose need not hold."""
    if request.param == "a reader":
        monkeypatch.delenv("MECHLIB_STRICT")
    else:
        monkeypatch.setattr(prose, "WRITTEN_FOR", (2, 7))
    return ".".join(map(str, prose.WRITTEN_FOR))


@pytest.fixture
def strict(monkeypatch):
    """The tests of the book on the Python that it was written for."""
    monkeypatch.setenv("MECHLIB_STRICT", "1")
    monkeypatch.setattr(prose, "WRITTEN_FOR", sys.version_info[:2])


def test_a_number_is_quoted_without_its_graph(recwarn):
    quoted(torch.tensor(3.5, requires_grad=True), 3.5, within=0.1)
    assert not recwarn.list


@pytest.mark.parametrize("measured", [3.0, 3.6, math.nan])
def test_a_quoted_number_outside_its_tolerance_fails_the_tests(strict, measured):
    quoted(torch.tensor(3.5), 3.25, within=0.25)
    quoted(5.0, 3.25, within=2)
    with pytest.raises(AssertionError, match=r"the text says 3.3 \(within 0.2\), this run gives"):
        quoted(measured, 3.3, within=0.2)


@pytest.mark.parametrize("measured", [3.0, 3.6, math.nan])
def test_elsewhere_it_warns_and_names_both_numbers_and_both_versions(lenient, measured, recwarn):
    quoted(torch.tensor(3.5), 3.25, within=0.25)
    assert not recwarn.list
    with pytest.warns(ProseWarning, match=rf"says 3.3 \(within 0.2\), this run gives {measured:g};") as warned:
        quoted(measured, 3.3, within=0.2)
    assert f"Python {lenient}" in str(warned[0].message) and platform.python_version() in str(warned[0].message)
    assert warned[0].filename == __file__


def test_what_is_stated_is_told_as_it_stands(strict):
    gap = torch.tensor([1.0, 2.0])
    stated(gap.max() < 3)
    with pytest.raises(AssertionError, match=r"rests on \(gap\.max\(\) < 1\.5\), and in this run that is not so"):
        stated(gap.max() < 1.5)


def test_where_python_keeps_no_ranges_of_code_the_first_line_is_told(strict, monkeypatch):
    """As with ``python -X no_debug_ranges``."""
    whole = inspect.getframeinfo

    def bare(frame):
        info = whole(frame)
        info.positions = dis.Positions(lineno=info.lineno)
        return info

    monkeypatch.setattr(inspect, "getframeinfo", bare)
    with pytest.raises(AssertionError, match=r"rests on \(1 \+ 1 == 3\), and in this run that is not so"):
        stated(1 + 1 == 3)


def test_what_is_stated_is_warned_of_elsewhere(lenient):
    with pytest.warns(ProseWarning, match=rf"rests on \( 1 \+ 1 == 3 \).*Python {lenient}.*Python 3"):
        stated(
            1 + 1
            == 3
        )  # fmt: skip


def test_a_notebook_goes_on_and_shows_the_statement(monkeypatch, tmp_path):
    """In a kernel, where a cell is no file."""
    monkeypatch.delenv("MECHLIB_STRICT")
    sources = ["from mechlib.claims import stated", "x = 4\nfor y in (5, 3):\n    stated(x < y)", "print('on')"]
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    (warned,) = notebook.cells[1].outputs
    assert warned.name == "stderr" and "the text rests on (x < y)" in warned.text
    assert notebook.cells[2].outputs[0].text == "on\n"
