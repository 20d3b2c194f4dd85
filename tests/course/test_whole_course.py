"""A course from its release to its grades, as its instructor and two students live through it."""

import json

import pytest

from mechlib import cli
from mechlib.authoring import checkout
from mechlib.checks import submit
from tests.course.conftest import SOLUTION, rows


@pytest.fixture
def mechlib(monkeypatch, capsys):
    """``mechlib(...)`` runs the command line, which must succeed."""

    def run(*arguments) -> None:
        monkeypatch.setattr("sys.argv", ["mechlib", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert not stopped.value.code, capsys.readouterr().err

    return run


def test_two_students_with_their_own_data_are_graded_by_the_secret(
    mechlib, walled, solutions, roster_file, tmp_path, monkeypatch
):
    course, handed = tmp_path / "cs999", tmp_path / "handed"
    mechlib("release", solutions, "--course", "cs999", "--out", course, "--per-student", roster_file)
    answers = {cell["id"]: cell["source"] for cell in checkout.read_notebook(solutions / SOLUTION)["cells"]}
    for student, filled in {"ada": answers, "bob": {}}.items():
        given = course / "students" / student / SOLUTION
        notebook = checkout.read_notebook(given)
        for cell in notebook["cells"]:
            if cell["id"].endswith("-answer") or cell["id"] == "refute-written":
                cell["source"] = filled.get(cell["id"], cell["source"])
        given.write_text(checkout.dump_notebook(notebook))
        (handed / student).mkdir(parents=True)
        monkeypatch.chdir(handed / student)
        submit(given)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MECHLIB_CACHE", str(tmp_path / "nothing fetched"))
    private = course / "instructor"
    mechlib(
        "grade",
        handed,
        "--out",
        "grades",
        "--secret",
        private / "secret",
        "--roster",
        private / "roster.csv",
        "--quiet",
    )
    _, *found = rows((tmp_path / "grades" / "canvas.csv").read_text())
    assert [row[:2] + row[5:] for row in found[1:]] == [["Ada Lovelace", "101", "8"], ["Bob, Jr.", "102", "0"]]
    results = json.loads((tmp_path / "grades" / "students" / "ada" / "results.json").read_text())
    assert results["score"] == 8, "the real model is not there, without which a task is not judged"
    assert [test["name"] for test in results["tests"] if test["status"] != "passed"] == ["Leave layers out"]
    table = rows((tmp_path / "grades" / "written.csv").read_text())
    written = {row[0]: row[7] for row in table if row[2] == "refutation"}
    assert written["ada"].startswith("The final guess") and written["bob"] == ""
