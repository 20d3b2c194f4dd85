"""A small class, graded: grades of every status, with names and texts that would break a careless page."""

import csv
import io
import os
import shutil
from pathlib import Path

import pytest

from mechlib.authoring import checkout
from mechlib.grading import sandbox
from mechlib.grading.results import QuestionGrade, SubmissionGrade, WrittenAnswer

SOLUTION = "02_logit_lens.ipynb"


def question(name, status="right", score=None, misconception=None, needs_human=False, message="said"):
    points = 2.0
    given = points * (status == "right") if score is None else score
    return QuestionGrade(f"ch02.{name}", f"Title of {name}", points, given, status, misconception, message, needs_human)


def submission(student, *questions, number="", superseded=False, problems=(), written=(), needs_human=False):
    return SubmissionGrade(
        student,
        f"{student}.ipynb",
        "ch02",
        questions or (question("read_out"), question("target_rank", "wrong")),
        tuple(WrittenAnswer("refutation", text) for text in written),
        tuple(problems),
        needs_human,
        1.23456,
        number,
        superseded,
    )


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


@pytest.fixture
def solutions(tmp_path) -> Path:
    """A folder that holds one of the book's solutions."""
    folder = tmp_path / "solutions"
    folder.mkdir()
    shutil.copyfile(checkout.root() / "solutions" / SOLUTION, folder / SOLUTION)
    return folder


@pytest.fixture
def roster_file(tmp_path) -> Path:
    path = tmp_path / "roster.csv"
    path.write_text('id,name,email,canvas_id\nada,Ada Lovelace,ada@x.org,101\nbob,"Bob, Jr.",bob@x.org,102\n')
    return path


@pytest.fixture
def walled() -> None:
    """Skips a test where there is no sandbox; with CI=true it fails."""
    try:
        sandbox.require()
    except sandbox.NoSandbox as error:
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
