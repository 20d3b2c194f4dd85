"""``mechlib grade --out``, ``regrade``, ``gradebook``, ``give-back`` and ``hand-out`` as they are typed amiss."""

import json
import shutil

import pytest

from mechlib import cli
from tests.course.conftest import submission


@pytest.fixture
def run(monkeypatch, capsys):
    """Run ``mechlib ARGUMENTS``: (exit status, standard output, standard error)."""

    def command(*arguments):
        monkeypatch.setattr("sys.argv", ["mechlib", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        streams = capsys.readouterr()
        return int(stopped.value.code or 0), streams.out, streams.err

    return command


@pytest.fixture
def graded(run, tmp_path):
    """A class of two files that cannot be read, graded by a secret with tables beside it."""
    (tmp_path / "handed").mkdir(), (tmp_path / "instructor").mkdir()
    (tmp_path / "handed" / "ada.ipynb").write_text("{")
    (tmp_path / "handed" / "bob.ipynb").write_text("{")
    (tmp_path / "instructor" / "secret").write_text("of this test, and of nothing else")
    (tmp_path / "instructor" / "overrides.csv").write_text("student,question,points,reason\n")
    (tmp_path / "roster.csv").write_text("id\nada\nbob\n")
    named = ("--secret", tmp_path / "instructor" / "secret", "--roster", tmp_path / "roster.csv", "--chapter", "ch02")
    status, _, error = run(
        "grade", tmp_path / "handed", "--out", tmp_path / "grades", *named, "--trust-submissions", "--quiet"
    )
    assert status == 0, error
    return tmp_path / "grades"


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("grade", "--out", "NEW"), "there is no graded class in"),
        (("grade", "--out", "GRADES", "--resume"), "name the submissions, or leave these options out"),
        (("grade", "--out", "GRADES", "--written", "NEW"), "is not there, and the grades in"),
        (
            ("regrade", "GRADES", "--question", "ch02.rank"),
            "the class was not asked 'ch02.rank'; its questions are ch02.",
        ),
        (("regrade", "GRADES", "--question", "ch02.read_out", "--submissions", "NEW"), "say where, --submissions PATH"),
        (("gradebook", "GRADES", "GRADES", "--out", "NEW"), "name one of them"),
        (("give-back", "GRADES", "--platform", "canvas", "--out", "NEW"), "no file was named by this platform"),
        (("hand-out", "NEW", "--platform", "moodle", "--out", "NEW"), "release the course with --per-student ROSTER"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(run, graded, tmp_path, arguments, complaint):
    before = contents(tmp_path)
    names = {"GRADES": graded, "NEW": tmp_path / "new"}
    status, said, error = run(*(names.get(each, each) for each in arguments))
    assert (status, said, error.count("\n")) == (2, "", 1) and complaint in error
    assert contents(tmp_path) == before


def test_a_row_that_fits_nobody_stops_before_anything_is_graded_or_written(run, graded, tmp_path):
    table = tmp_path / "instructor" / "overrides.csv"
    table.write_text("student,question,points,reason\nadda,ch02.read_out,1,seen\n")
    before = contents(tmp_path)
    for submissions in ((), (tmp_path / "handed", "--trust-submissions", "--chapter", "ch02")):
        status, _, error = run("grade", *submissions, "--out", graded, "--quiet")
        assert status == 2 and f"{table}, line 2: nobody in the roster or the class is called 'adda'" in error
        assert contents(tmp_path) == before


def test_tables_that_one_run_was_given_hold_in_the_next(run, graded, tmp_path):
    table = tmp_path / "decided.csv"
    questions = [q["id"] for q in json.loads(grade_line(graded))["questions"]]
    rows = "".join(f"ada,{name},0.5,by hand\n" for name in questions)
    table.write_text(f"student,question,points,reason\n{rows}")
    assert run("grade", "--out", graded, "--overrides", table)[0] == 0
    again = (tmp_path / "handed", "--out", graded, "--chapter", "ch02", "--trust-submissions", "--quiet")
    for arguments in (("--out", graded), again):
        assert run("grade", *arguments)[0] == 0
        row = (graded / "grades.csv").read_text().splitlines()[1]
        assert row.startswith(f"ada,,ada.ipynb,ch02,counts,{0.5 * len(questions):g},") and "by hand" in row
    shutil.move(table, tmp_path / "moved.csv")
    status, _, error = run("grade", "--out", graded)
    assert status == 2 and "decided.csv is not there" in error and "run.json" in error


def grade_line(graded) -> str:
    return json.loads((graded / "class.jsonl").read_text().splitlines()[0])["grade"]


def test_a_sign_of_another_secret_says_so(tmp_path):
    from mechlib.course.settling import Term, settle

    (tmp_path / "w.csv").write_text("student,question,points\nanon-12345678,refutation,1\n")
    with pytest.raises(ValueError, match="another secret drew this sign"):
        settle([submission("ada", written=("x",))], Term.read(written=[tmp_path / "w.csv"], secret=b"x" * 16))
