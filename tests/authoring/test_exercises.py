"""Exercises are what their solutions give, and nothing is written from a broken solution."""

import copy

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mechlib.authoring import checkout, exercises

BEGIN, END = exercises.BEGIN, exercises.END


def notebook(*sources: str, **metadata) -> checkout.Notebook:
    return new_notebook(cells=[new_code_cell(source) for source in sources], metadata=metadata)


def only_source(source: str) -> str:
    return exercises.student(notebook(source))["cells"][0]["source"]


def test_the_repository_has_no_stale_exercise():
    assert exercises.stale() == []


def test_a_solution_in_a_function_becomes_a_line_that_raises():
    source = f"def f(x):\n    y = x\n    {BEGIN}\n    y = 2 * x\n\n    return y\n    {END}\n\nf(1)"
    assert only_source(source) == "def f(x):\n    y = x\n    raise NotImplementedError  # your answer here\n\nf(1)"


def test_a_solution_at_the_margin_becomes_a_comment_so_that_the_cell_runs():
    assert only_source(f"a = None\n{BEGIN}\na = 3\n{END}\na") == "a = None\n# your answer here\na"


def test_two_solutions_in_a_cell_are_two_answers():
    source = f"def f():\n    {BEGIN}\n    1\n    {END}\ndef g():\n    {BEGIN}\n    2\n    {END}"
    assert only_source(source).count("raise NotImplementedError") == 2


def test_a_cell_without_markers_is_left_as_it_is():
    source = "x = 'BEGIN'  # a SOLUTION\n\n\ny = 1\n"
    assert only_source(source) == source


def test_outputs_and_traces_of_execution_are_stripped_and_ids_kept():
    source = notebook("1 + 1", widgets={"state": {}})
    cell = source["cells"][0]
    cell["outputs"], cell["execution_count"] = [new_output("stream", text="2")], 7
    cell["metadata"]["execution"] = {"iopub.status.busy": "now"}
    before = copy.deepcopy(source)
    exercise = exercises.student(source)
    assert source == before
    assert exercise["cells"][0] == {**cell, "outputs": [], "execution_count": None, "metadata": {}}
    assert "widgets" not in exercise["metadata"]


def test_cells_for_teachers_only_are_left_out():
    source = new_notebook(
        cells=[new_markdown_cell("# Title"), new_markdown_cell("Why", metadata={"tags": ["solution-only"]})]
    )
    assert [c["source"] for c in exercises.student(source)["cells"]] == ["# Title"]


def test_a_written_answer_becomes_an_invitation_below_its_marker():
    source = new_notebook(cells=[new_markdown_cell("<!-- written: why -->\n\nBecause."), new_markdown_cell("Why?")])
    written, question = exercises.student(source)["cells"]
    assert written["source"] == "<!-- written: why -->\n\n*Write your answer here.*"
    assert question["source"] == "Why?"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (f"{BEGIN}\n1", "line 1: '### BEGIN SOLUTION' without '### END SOLUTION'"),
        (f"1\n{END}", "line 2: '### END SOLUTION' without '### BEGIN SOLUTION'"),
        (f"{BEGIN}\n{BEGIN}\n{END}\n{END}", "line 2: '### BEGIN SOLUTION' inside the solution begun on line 1"),
        (f"{END}\n{BEGIN}", "line 1: '### END SOLUTION' without"),
        (f"x = 1  {BEGIN}\n{END}", "line 1: a marker stands alone on its line"),
    ],
)
def test_broken_markers_are_named_with_notebook_and_cell(source, complaint):
    broken = notebook("fine = 1", source)
    with pytest.raises(ValueError, match=r"lens\.ipynb, cell 1") as raised:
        exercises.student(broken, name="solutions/lens.ipynb")
    assert complaint in str(raised.value)


def test_a_marker_in_prose_is_an_error():
    with pytest.raises(ValueError, match=r"cell 0 .*outside a code cell"):
        exercises.student(new_notebook(cells=[new_markdown_cell(f"{BEGIN}\nIt is 3.\n{END}")]))


def test_write_makes_valid_notebooks_once_and_byte_for_byte(checkout_folder):
    path = checkout_folder / "exercises" / "02_lens.ipynb"
    assert len(exercises.stale(checkout_folder)) == 1
    assert exercises.write(checkout_folder) == [path]
    assert exercises.stale(checkout_folder) == []
    assert exercises.write(checkout_folder) == []
    written = nbformat.read(path, as_version=4)
    nbformat.validate(written)
    assert nbformat.writes(written) + "\n" == path.read_text()


@pytest.mark.parametrize(("old", "new"), [('"metadata"', '"metadata" '), ('"cells"', ' "cells"'), ("\n", "\r\n")])
def test_any_other_byte_is_drift(checkout_folder, old, new):
    (path,) = exercises.write(checkout_folder)
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))
    (problem,) = exercises.stale(checkout_folder)
    assert "exercises/02_lens.ipynb" in problem and "mechlib book exercises" in problem


def test_an_exercise_without_a_solution_is_drift(checkout_folder):
    (path,) = exercises.write(checkout_folder)
    path.with_name("03_old.ipynb").write_bytes(path.read_bytes())
    (problem,) = exercises.stale(checkout_folder)
    assert problem.startswith("exercises/03_old.ipynb has no solution")


def test_one_broken_solution_leaves_every_exercise_as_it_was(checkout_folder):
    (path,) = exercises.write(checkout_folder)
    before = path.read_bytes()
    good = checkout.read_notebook(checkout_folder / "solutions" / "02_lens.ipynb")
    good["cells"][-1]["source"] += "\n# changed"
    (checkout_folder / "solutions" / "02_lens.ipynb").write_text(checkout.dump_notebook(good))
    good["cells"][-1]["source"] = BEGIN
    (checkout_folder / "solutions" / "03_broken.ipynb").write_text(checkout.dump_notebook(good))
    with pytest.raises(ValueError, match=r"solutions/03_broken\.ipynb"):
        exercises.write(checkout_folder)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "{}", '{"nbformat": 4, "nbformat_minor": 4, "cells": []}'])
def test_a_file_that_is_no_notebook_of_ours_is_named(tmp_path, text):
    path = tmp_path / "bad.ipynb"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"bad\.ipynb"):
        checkout.read_notebook(path)


def test_exercises_elsewhere_have_no_address(checkout_folder, tmp_path_factory):
    made = exercises.Exercises(checkout_folder / "solutions", tmp_path_factory.mktemp("there"), checkout_folder)
    (path,) = made.write()
    assert made.stale() == []
    inside = exercises.write(checkout_folder)[0].read_text()
    assert "Open in Colab" in inside and "Open in Colab" not in path.read_text()


def test_a_folder_without_notebooks_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no notebook \(\*\.ipynb\)"):
        exercises.Exercises(tmp_path / "none", tmp_path).write()
