"""What is handed in is the notebook that was run, after a list of what is missing."""

import json

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mechlib.checks import asking, submit, whereabouts
from mechlib.checks.handing_in import INVITATION, Hand, unsaved

READ_OUT = "def read_out(x):\n    return 1"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def notebook(folder):
    """A notebook with two answers, one of which is written, and outputs."""
    cells = [
        new_markdown_cell("# Exercises"),
        new_code_cell(READ_OUT, outputs=[new_output("stream", text="x" * 10_000)], execution_count=3),
        new_code_cell('check("ch02.read_out", read_out)'),
        new_code_cell('check("ch02.refute", refute)\n# hint("ch02.refute")'),
        new_markdown_cell(f"<!-- written: refutation -->\n\n{INVITATION}"),
    ]
    path = folder / "02_lens.ipynb"
    path.write_text(json.dumps(new_notebook(cells=cells, metadata={"widgets": {"state": {}}})))
    return path


def test_the_file_is_the_notebook_without_outputs(notebook, folder, capsys):
    submit(notebook)
    assert "The file to hand in is 02_lens_submission.ipynb." in capsys.readouterr().out
    handed = json.loads((folder / "02_lens_submission.ipynb").read_text())
    given = json.loads(notebook.read_text())
    assert [cell["source"] for cell in handed["cells"]] == [cell["source"] for cell in given["cells"]]
    assert [cell["id"] for cell in handed["cells"]] == [cell["id"] for cell in given["cells"]]
    assert all(not cell.get("outputs") for cell in handed["cells"]) and "widgets" not in handed["metadata"]


def test_what_is_missing_is_listed_first(notebook, record, capsys):
    record.judged("ch02.read_out", "wrong")
    submit(notebook)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "· not answered: the written answer 'refutation'",
        "· not checked in this session: Refute: the guess that every model shows (ch02.refute)",
        "· not right yet: Read a residual stream out (ch02.read_out)",
        "0 of 3 answers are complete. The file to hand in is 02_lens_submission.ipynb.",
    ]


def test_what_is_complete_is_not_listed(notebook, record, capsys):
    record.judged("ch02.read_out", "right"), record.judged("ch02.refute", "right")
    notebook.write_text(notebook.read_text().replace(INVITATION, "Because."))
    submit(notebook)
    assert capsys.readouterr().out.startswith("3 of 3 answers are complete.")


def test_handing_in_again_takes_the_same_name(notebook, folder):
    submit(notebook)
    submit(folder / "02_lens_submission.ipynb")
    assert sorted(path.name for path in folder.iterdir()) == ["02_lens.ipynb", "02_lens_submission.ipynb"]


@pytest.mark.parametrize("text", ["", "{}", '{"nbformat": 3, "cells": []}', '{"nbformat": 4, "cells": 1}'])
def test_a_file_that_is_no_notebook_is_told(folder, capsys, text):
    (folder / "a.ipynb").write_text(text)
    submit("a.ipynb")
    assert capsys.readouterr().out.startswith("✗ Nothing is written: a.ipynb is not a notebook of format 4")
    assert [path.name for path in folder.iterdir()] == ["a.ipynb"]


def test_an_unknown_place_asks_for_the_name(folder, capsys):
    submit()
    assert "name it: submit('NAME.ipynb')" in capsys.readouterr().out
    submit("none.ipynb")
    assert "none.ipynb" in capsys.readouterr().out


def test_a_notebook_that_was_not_saved_is_not_handed_in(notebook, folder, capsys, monkeypatch):
    monkeypatch.setattr(whereabouts, "executed", lambda: [READ_OUT, "def read_out(x):\n    return 2"])
    submit(notebook)
    assert "another read_out than you ran. Save the notebook first." in capsys.readouterr().out
    assert not (folder / "02_lens_submission.ipynb").exists()


@pytest.mark.parametrize(
    ("executed", "found"),
    [
        ([], []),
        (["def other(): pass", READ_OUT], []),
        (["def read_out(x):  return 1 # layout and comments do not matter"], []),
        (["def read_out(x):\n    return 2", READ_OUT], []),
        ([READ_OUT, "def read_out(x):\n    return 2"], ["read_out"]),
        (["%pip install x", "def broken("], []),
    ],
)
def test_only_another_function_of_the_same_name_run_last_is_unsaved(executed, found):
    assert unsaved(Hand(new_notebook(cells=[new_code_cell(READ_OUT)])), executed) == found


def test_a_check_of_an_unknown_question_is_told(folder, capsys):
    cells = [new_code_cell('check("ch02.nothing", f)')]
    (folder / "a.ipynb").write_text(json.dumps(new_notebook(cells=cells)))
    submit("a.ipynb")
    assert "✗ Nothing is written: there is no question 'ch02.nothing'" in capsys.readouterr().out


def test_the_state_of_the_session_is_what_counts(notebook):
    hand = Hand(json.loads(notebook.read_text()))
    assert [question.id for question in hand.questions] == ["ch02.read_out", "ch02.refute"]
    assert hand.written == {"refutation": ""}
    assert len(hand.open(asking.RECORD)) == 3


def test_a_file_to_hand_in_in_which_somebody_wrote_is_not_replaced(notebook, folder, capsys):
    submit(notebook)
    handed = folder / "02_lens_submission.ipynb"
    first = handed.read_bytes()
    submit(notebook)
    assert handed.read_bytes() == first
    handed.write_text(handed.read_text().replace("return 1", "return 7"))
    written = handed.read_bytes()
    capsys.readouterr()
    submit(notebook)
    assert "Nothing is written: somebody has written in 02_lens_submission.ipynb since" in capsys.readouterr().out
    assert handed.read_bytes() == written
    submit(handed)
    assert "The file to hand in is 02_lens_submission.ipynb." in capsys.readouterr().out
    assert "return 7" in handed.read_text()
