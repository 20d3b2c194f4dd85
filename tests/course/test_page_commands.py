"""Every command in a block of the page for instructors is run, in the order of the page, in a small term."""

import csv
import io
import re
import shlex
import shutil
import zipfile

import pytest

from mechlib import cli
from mechlib.authoring import checkout
from mechlib.course import drawn
from mechlib.grading.bench import Bench
from tests.course import term
from tests.course.conftest import SOLUTION
from tests.grading import toys

ROOT = checkout.root()
PAGE = (ROOT / "book" / "for-instructors.md").read_text(encoding="utf-8")
BLOCKS = [text for kind, text in re.findall(r"^```(\S*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL) if not kind]
LINES = [line for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]
COMMANDS = [shlex.split(line)[1:] for line in LINES if line.startswith("mechlib ")]

ROSTER = "id,name,email,canvas_id\nada,Ada Lovelace,ada@x.org,101\nbob,Bob Byron,bob@x.org,102\n"
SHEET = (
    "Identifier,Full name,Email address,Status,Grade,Maximum grade,Grade can be changed,"
    "Last modified (submission),Last modified (grade),Feedback comments\n"
    'Participant 71,Ada Lovelace,ada@x.org,,,10.00,Yes,"Tuesday, 3 November 2026, 10:15 AM",-,\n'
    "Participant 72,Bob Byron,bob@x.org,,,10.00,Yes,-,-,\n"
)


@pytest.fixture
def small_term(tmp_path, walled, monkeypatch):
    """A folder with what the page's commands name: solutions, a roster, two downloads and a worksheet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path / "nothing fetched"))
    (tmp_path / "solutions").mkdir()
    shutil.copyfile(ROOT / "solutions" / SOLUTION, tmp_path / "solutions" / SOLUTION)
    (tmp_path / "roster.csv").write_text(ROSTER)
    (tmp_path / "worksheet-06.csv").write_text(SHEET)
    cells = {cell["id"]: cell["source"] for cell in checkout.read_notebook(ROOT / "solutions" / SOLUTION)["cells"]}
    code = ("import torch\nfrom torch.nn import functional as F", cells["read-out-answer"])
    right = toys.notebook(*code, texts=["<!-- written: refutation -->\nThe control is missing."])
    with zipfile.ZipFile(tmp_path / "submissions.zip", "w") as archive:
        archive.writestr(f"lovelaceada_101_9001_{SOLUTION}", right)
        archive.writestr(f"byronbob_LATE_102_9002_{SOLUTION}", b"{")
    with zipfile.ZipFile(tmp_path / "submissions-06.zip", "w") as archive:
        archive.writestr("Ada Lovelace_71_assignsubmission_file_/06.ipynb", b"{")
    return tmp_path


def run(monkeypatch, capsys, *arguments) -> str:
    monkeypatch.setattr("sys.argv", ["mechlib", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    said = capsys.readouterr()
    assert not stopped.value.code, (arguments, said.err)
    return said.out


def test_the_page_names_every_command_of_a_course():
    of_a_term = {"release", "grade", "regrade", "gradebook", "give-back", "hand-out"}
    assert {name for name, *_ in COMMANDS} == of_a_term | {"marking", "copied"}
    assert len(COMMANDS) >= 10


def test_every_command_on_the_page_does_what_the_page_says(small_term, monkeypatch, capsys):
    # the solution of a chapter takes half a minute; test_copied runs one
    monkeypatch.setattr(drawn, "expected", lambda notebook, secret, students, exercise: {who: [] for who in students})
    close = Bench.close
    monkeypatch.setattr(Bench, "close", lambda bench: None)  # one worker for all of them
    said = {}
    for number, arguments in enumerate(COMMANDS):
        if "--written" in arguments:
            filled = (small_term / "grades" / "written.csv").read_text(encoding="utf-8")
            header, *found = csv.reader(io.StringIO(filled))
            for row in found:
                row[header.index("points")] = "3" if row[header.index("question")] == "refutation" else ""
            term.write(small_term / "written.csv", [header, *found])
        said[number, arguments[0]] = run(monkeypatch, capsys, *arguments)
    monkeypatch.setattr(Bench, "close", close)
    shown, kept = (text for (_, name), text in said.items() if name == "regrade")
    assert "ch02.target_rank was asked of 1 of 2 submissions: 0 change, +0 points in all." in shown
    assert "Nothing is written." in shown and "are written." in kept
    assert "The control is missing." in (small_term / "grades" / "marking.html").read_text()
    assert "What the class shows: 1 submission<" in (small_term / "grades" / "class.html").read_text()
    assert "Data of others: 0 of 1 submissions" in (small_term / "copied.html").read_text()
    canvas = list(csv.reader((small_term / "term" / "canvas.csv").read_text().splitlines()))
    assert canvas[0][5:] == ["ch02", "ch06"] and canvas[2][:2] + canvas[2][5:] == ["Ada Lovelace", "101", "4", ""]
    names = {
        path: zipfile.ZipFile(small_term / f"{path}.zip").namelist()
        for path in ("feedback", "feedback-06", "exercises")
    }
    assert names["feedback"] == [
        f"{who}_feedback-ch02.html" for who in ("byronbob_LATE_102_9002", "lovelaceada_101_9001")
    ]
    assert names["feedback-06"] == ["Ada Lovelace_71_assignfeedback_file_/feedback-ch06.html"]
    assert names["exercises"] == [
        "Ada Lovelace_71_assignfeedback_file_/cs999-ada.zip",
        "Bob Byron_72_assignfeedback_file_/cs999-bob.zip",
    ]
    assert (small_term / "feedback-06.csv").read_text().splitlines()[1].startswith("Participant 71,Ada Lovelace")
