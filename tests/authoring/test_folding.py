"""What one tag folds on the page is folded in JupyterLab and on Colab as well, and nothing else is."""

import copy

import pytest

from mechlib.authoring import checkout, folding

BOTH = {"cellView": "form", "jupyter": {"source_hidden": True}}


def cell(*tags, kind="code", **metadata):
    return {"cell_type": kind, "id": "a", "source": "x", "metadata": {"tags": list(tags), **metadata}}


def test_the_chapters_are_folded_as_their_tags_say():
    assert folding.stale() == []


@pytest.mark.parametrize(
    ("given", "marks"),
    [
        (cell("hide-input"), BOTH),
        (cell("remove-cell", "more"), BOTH),
        (cell("bootstrap", "remove-cell"), {}),
        (cell("remove-input"), {}),
        (cell(), {}),
        (cell("hide-input", kind="markdown"), {}),
        (cell(**BOTH), {}),
        (cell(jupyter={"source_hidden": True, "outputs_hidden": True}), {"jupyter": {"outputs_hidden": True}}),
        (
            cell("hide-input", jupyter={"outputs_hidden": False}),
            BOTH | {"jupyter": {"outputs_hidden": False, "source_hidden": True}},
        ),
    ],
)
def test_marks_follow_the_tag(given, marks):
    before = copy.deepcopy(given)
    (done,) = folding.folded({"cells": [given]})["cells"]
    assert done == {**given, "metadata": {"tags": given["metadata"]["tags"], **marks}}
    assert given == before
    assert folding.folded({"cells": [done]})["cells"] == [done]


def test_write_reaches_the_chapters_of_a_checkout(checkout_folder):
    (path, *_) = checkout.notebooks(checkout_folder, "book")
    notebook = checkout.read_notebook(path)
    notebook["cells"].append(cell("hide-input") | {"outputs": [], "execution_count": None})
    path.write_text(checkout.dump_notebook(notebook), encoding="utf-8")
    (problem,) = folding.stale(checkout_folder)
    assert path.name in problem and "mechlib book fold" in problem
    assert folding.write(checkout_folder) == [path]
    assert folding.stale(checkout_folder) == folding.write(checkout_folder) == []
    assert checkout.read_notebook(path)["cells"][-1]["metadata"] == {"tags": ["hide-input"], **BOTH}
