"""``mechlib grade`` as it is typed."""

import json
import os
import stat

import pytest

from mechlib import cli
from mechlib.authoring import checkout
from mechlib.checks.registry import asked
from mechlib.course import reports
from mechlib.grading import sandbox
from tests.grading import toys


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
        assert results["score"] == 0 and len(results["tests"]) == len(asked("ch02"))
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


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_nobody_else_can_read_anything_of_the_grades(run, folder, tmp_path, umask):
    """Neither what is made, nor what is written once more after somebody opened it."""
    out = tmp_path / "grades"
    arguments = (folder, "--out", out, "--chapter", "ch02", "--trust-submissions", "--quiet")
    before = os.umask(umask)
    try:
        for again in ((), ("--resume",), ()):
            assert run(*arguments, *again)[0] == 0
            modes = {p.relative_to(tmp_path): stat.S_IMODE(p.stat().st_mode) for p in (out, *out.rglob("*"))}
            assert len(modes) > 10
            assert {str(path): oct(mode) for path, mode in modes.items() if mode not in (0o600, 0o700)} == {}
            out.chmod(0o755)
            for path in out.rglob("*"):
                path.chmod(0o755 if path.is_dir() else 0o644)
    finally:
        os.umask(before)


def test_points_go_to_the_right_student_from_the_files_to_the_tables(run, tmp_path):
    """A class from Moodle: its numbers are others' ids, one name and number disagree, one file is no notebook."""
    folder, solution = tmp_path / "class", checkout.read_notebook(next(checkout.root().glob("solutions/02_*.ipynb")))
    answer = next(cell["source"] for cell in solution["cells"] if cell["id"] == "read-out-answer")
    answered = toys.notebook("import torch\nfrom torch.nn import functional as F", answer)
    for name, number, content in (("Ada Lovelace", 12, answered), ("Bob Byron", 13, b"{"), ("Éva Kiss", 12, b"{")):
        place = folder / f"{name}_{number}_assignsubmission_file_" / "02_logit_lens.ipynb"
        place.parent.mkdir(parents=True)
        place.write_bytes(content)
    roster = "id;name;moodle_id\n12;Bob Byron;13\n13;Ada Lovelace;12\n14;Éva Kiss;14\n15;Dan;15\n"
    (tmp_path / "roster.csv").write_bytes(roster.encode("utf-16"))
    arguments = ("--out", tmp_path / "grades", "--chapter", "ch02", "--roster", tmp_path / "roster.csv")
    status, said, _ = run(folder, *arguments, "--trust-submissions", "--quiet")
    assert status == 0 and "1 of them count for nobody until you decide" in said
    table = (tmp_path / "grades" / "moodle.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] + ":" + line.split(",")[3] for line in table[1:]] == ["12:", "13:1", "14:", "15:"]
