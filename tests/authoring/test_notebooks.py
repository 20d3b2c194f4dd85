"""Notebooks are committed as they were written: valid, without outputs, for any Python 3."""

import re
from pathlib import Path

import nbformat
import pytest

from mechlib.authoring import checkout

ROOT = checkout.root()
NOTEBOOKS = [path.relative_to(ROOT) for path in checkout.notebooks(ROOT)]


@pytest.fixture(params=NOTEBOOKS, ids=str)
def notebook(request) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / request.param, as_version=nbformat.NO_CONVERT)


def test_there_are_notebooks_of_every_kind():
    assert {path.parts[0] for path in NOTEBOOKS} == set(checkout.NOTEBOOKS)


def test_it_is_valid_with_an_id_for_every_cell(notebook):
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    ids = [cell.id for cell in notebook.cells]
    assert len(ids) == len(set(ids))


def test_it_has_no_outputs(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == []
    assert [cell.id for cell in code if "execution" in cell.metadata] == []
    assert "widgets" not in notebook.metadata


def test_it_asks_for_no_particular_environment(notebook):
    assert notebook.metadata.kernelspec.name == "python3"


def test_a_number_that_is_no_longer_so_does_not_stop_a_reader(notebook):
    """Cells that compare prose with measurements use ``quoted`` and ``stated``, which warn; ``assert`` stops."""
    folded = [c for c in notebook.cells if c.cell_type == "code" and "remove-cell" in c.metadata.get("tags", ())]
    assert [cell.id for cell in folded if re.search(r"^\s*assert\b", cell.source, re.MULTILINE)] == []


def test_a_second_page_stands_behind_its_first_and_has_no_exercises():
    pages = list(checkout.notebooks(ROOT, "book"))
    for page in (each for each in pages if each.stem.endswith(checkout.MORE)):
        first = page.with_stem(page.stem.removesuffix(checkout.MORE))
        assert pages.index(page) == pages.index(first) + 1
        assert not (ROOT / "solutions" / page.name).exists()


def test_a_page_is_called_by_its_chapters_number():
    labels = [checkout.label(path) for path in checkout.notebooks(ROOT, "book")]
    assert len(set(labels)) == len(labels)
    assert checkout.label(Path("book/part1/02_lens.ipynb")) == "02"
    assert checkout.label(Path("book/part1/02_lens_more.ipynb")) == "02 (more)"
