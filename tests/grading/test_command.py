"""``mechlib grade`` as it is typed."""

import json

import pytest

from mechlib import cli
from mechlib.course import reports
from mechlib.grading import sandbox


@pytest.fixture
def run(monkeypatch, capsys):
    """Run ``mechlib grade ARGUMENTS``: (exit status, standard output, standard error)."""

    def command(*arguments):
        monkeypatch.setattr("sys.argv", ["mechlib", "grade", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        streams = capsys.readouterr()
        return int(stopped.value.code or 0), streams.out, streams.err

    return command


@pytest.fixture
def folder(tmp_path):
    """Two files, neither of them a notebook."""
    submissions = tmp_path / "submissions"
    submissions.mkdir()
    (submissions / "anna.ipynb").write_text("{")
    (submissions / "ben.pdf").write_text("%PDF")
    return submissions


def test_every_file_gets_results_and_the_class_its_tables(run, folder, tmp_path):
    out = tmp_path / "grades"
    status, said, warned = run(folder, "--out", out, "--chapter", "ch02", "--trust-submissions", "--quiet")
    assert (status, warned) == (0, sandbox.TRUST + "\n")
    assert said == f"2 notebooks are graded, 2 need a human look: see {out / 'summary.html'}.\n"
    for student in ("anna", "ben"):
        results = json.loads((out / "students" / student / "results.json").read_text())
        assert results["score"] == 0 and len(results["tests"]) == 5
    assert {path.name for path in out.iterdir()} >= {"grades.csv", "canvas.csv", "moodle.csv", "summary.html"}


def test_a_second_run_leaves_nothing_of_who_is_gone(run, folder, tmp_path):
    arguments = (folder, "--out", tmp_path / "grades", "--chapter", "ch02", "--trust-submissions", "--quiet")
    assert run(*arguments)[0] == 0
    (tmp_path / "grades" / "students" / "ben" / "remark.txt").write_text("Please talk to me.")
    (folder / "anna.ipynb").unlink(), (folder / "ben.pdf").rename(folder / "cleo.pdf")
    assert run(*arguments)[0] == 0
    students = tmp_path / "grades" / "students"
    assert {path.name for path in students.iterdir()} == {"ben", "cleo"}
    assert [path.name for path in (students / "ben").iterdir()] == ["remark.txt"]
    assert "anna" not in (tmp_path / "grades" / "grades.csv").read_text()


def test_a_run_that_is_stopped_says_how_to_go_on(run, folder, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(reports, "write", interrupted)
    arguments = (folder, "--out", tmp_path / "grades", "--chapter", "ch02", "--trust-submissions", "--quiet")
    status, _, said = run(*arguments)
    assert status == 130 and said.endswith("Stopped. The same command with --resume goes on.\n")
    monkeypatch.undo()
    monkeypatch.setattr("sys.argv", ["mechlib", "grade", *map(str, arguments), "--resume"])
    with pytest.raises(SystemExit) as done:
        cli.main()
    assert not done.value.code


def test_without_a_sandbox_the_error_says_what_trusting_means(run, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    status, said, error = run(folder, "--out", tmp_path / "grades", "--chapter", "ch02")
    assert (status, said, error.count("\n")) == (2, "", 1)
    assert "bwrap is not installed" in error and sandbox.TRUST in error
    assert not (tmp_path / "grades").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--chapter", "ch99"), "no questions on 'ch99'"),
        (("--chapter", "ch02", "--resume"), "nothing to resume"),
        (("--chapter", "ch02", "--timeout", "-1"), "must be more than 0"),
        ((), "name the chapter"),
    ],
)
def test_bad_input_is_one_line(run, folder, tmp_path, arguments, complaint):
    status, said, error = run(folder, "--out", tmp_path / "grades", "--trust-submissions", *arguments)
    assert (status, said) == (2, "")
    assert error.splitlines()[-1].startswith("error: ") and complaint in error.splitlines()[-1]


def test_a_roster_with_an_id_twice_is_refused_first(run, folder, tmp_path):
    (tmp_path / "roster.csv").write_text("id\nanna\nanna\n")
    status, _, error = run(folder, "--out", tmp_path / "grades", "--roster", tmp_path / "roster.csv")
    assert status == 2 and "more than one student: anna" in error
