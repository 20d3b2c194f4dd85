"""Gradescope's bundle, set up with stand-ins and run in a folder tree like its container's."""

import io
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mechlib import cli
from mechlib.authoring import checkout
from mechlib.course import autograder, gradescope
from mechlib.grading import Assignment, grade_one, sandbox
from mechlib.grading.marking import Marking
from tests.grading.class_of import answers

EXERCISE = checkout.root() / "exercises" / "02_logit_lens.ipynb"
SOLUTION = checkout.root() / "solutions" / "02_logit_lens.ipynb"
SECRET = b"0123456789abcdef" * 4
STAND_IN = '#!/bin/sh\necho "$(basename "$0") $*" >> "{log}"\n{more}\n'


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    return path


@pytest.fixture
def container(tmp_path, secret_file):
    """``container(trusted=...)``: a folder tree with the bundle unpacked, and this interpreter as its environment."""

    def made(**settings) -> Path:
        root = tmp_path / "autograder"
        with zipfile.ZipFile(io.BytesIO(gradescope.bundle(secret=secret_file, **settings))) as archive:
            for name in ("run_autograder", "setup.sh", "settings.json", "secret"):
                archive.extract(name, root / "source")
        (root / "submission").mkdir()
        stand_in(root / "venv" / "bin" / "python", f'exec "{sys.executable}" "$@"')
        return root

    return made


def stand_in(path: Path, more: str = "", log: Path = Path(os.devnull)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(STAND_IN.format(log=log, more=more))
    path.chmod(0o755)


def run(root: Path, script: str, **environment) -> subprocess.CompletedProcess:
    command = [shutil.which("bash"), root / "source" / script]
    variables = {**os.environ, "AUTOGRADER": str(root), **environment}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def results(root: Path) -> dict:
    return json.loads((root / "results" / "results.json").read_text())


def test_the_bundle_is_complete_and_its_scripts_can_be_run(secret_file):
    with zipfile.ZipFile(io.BytesIO(gradescope.bundle(secret=secret_file))) as archive:
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
        assert archive.read("secret").strip() == SECRET
    assert modes["setup.sh"] & 0o111 and modes["run_autograder"] & 0o111
    assert modes["secret"] & 0o777 == 0o600
    package = {path.relative_to(checkout.root()).as_posix() for path in checkout.root().glob("mechlib/**/*.py")}
    assert {f"mechlib/{name}" for name in package} <= set(modes)
    assert {"mechlib/pyproject.toml", "mechlib/constraints.txt"} <= set(modes)
    assert not any("__pycache__" in name or "solutions" in name for name in modes)


def test_the_same_scores_as_at_home(container, walled):
    root, handed_in = container(), json.dumps(answers()).encode()
    (root / "submission" / "mine.ipynb").write_bytes(handed_in)
    assert run(root, "run_autograder").returncode == 0
    at_home = grade_one(handed_in, Assignment.of("ch02", SECRET))
    found = results(root)
    assert found["score"] == at_home.score == 8
    assert [test["score"] for test in found["tests"]] == [question.score for question in at_home.questions]


def test_a_student_has_cases_of_their_own(container, monkeypatch):
    """By Gradescope's number, also where the name has changed; a group by all its members."""
    root, students = container(trusted=True, chapter="ch02"), []
    shutil.copyfile(SOLUTION, root / "submission" / "mine.ipynb")
    monkeypatch.setattr(autograder, "grade_one", lambda *_, student, **__: students.append(student))
    ada, bob = {"id": 12, "email": "ada@example.org", "name": "Ada"}, {"email": "bob@example.org"}
    for users in ([ada], [{**ada, "name": "Countess"}], [bob, ada], [ada, bob], None, {}, [1], [{}]):
        (root / "submission_metadata.json").write_text(json.dumps({"users": users}))
        autograder.run(root)
    assert students == ["12", "12", "12, bob@example.org", "12, bob@example.org", "", "", "", ""]


def test_an_unfilled_notebook_gets_no_points_in_a_trusting_container(container):
    root = container(trusted=True, chapter="ch02")
    shutil.copyfile(EXERCISE, root / "submission" / "mine.ipynb")
    assert run(root, "run_autograder").returncode == 0
    assert results(root)["score"] == 0
    assert {test["output"] for test in results(root)["tests"]} == {"not answered yet"}


def without_a_sandbox(monkeypatch):
    monkeypatch.setattr(sandbox, "problem", lambda engine: "the program bwrap is not installed")


def without_a_server(monkeypatch):
    def broken(*_):
        raise OSError("the program bwrap is not installed")

    monkeypatch.setattr(Marking, "run", broken)
    monkeypatch.setattr(sandbox, "require", lambda engine: None)


@pytest.mark.parametrize("fault", [without_a_sandbox, without_a_server])
def test_where_the_grader_fails_there_is_no_score_and_only_the_instructor_reads_why(
    fault, container, monkeypatch, capsys
):
    root = container()
    shutil.copyfile(SOLUTION, root / "submission" / "mine.ipynb")
    fault(monkeypatch)
    autograder.run(root)
    found = results(root)
    assert "score" not in found and not any("score" in test or "max_score" in test for test in found["tests"])
    assert found["visibility"] == "visible" and found["stdout_visibility"] == "hidden"
    assert "not graded" in found["output"] and "Ask your instructor" in found["output"]
    assert "bwrap" not in found["output"] and "trust" not in found["output"]
    assert [test["visibility"] for test in found["tests"]] == ["hidden"]
    assert "bwrap is not installed" in found["tests"][0]["output"]
    assert "bwrap is not installed" in capsys.readouterr().err


@pytest.mark.parametrize("broken", ["settings.json", "secret"])
def test_a_broken_bundle_is_no_fault_of_the_student_s(container, broken):
    root = container(trusted=True)
    shutil.copyfile(SOLUTION, root / "submission" / "mine.ipynb")
    (root / "source" / broken).write_text("{")
    autograder.run(root)
    assert "score" not in results(root) and broken not in results(root)["output"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "holds no submissions"),
        ({"a.ipynb": "{", "b.ipynb": "{"}, "2 files were handed in; hand in one notebook"),
        ({"a.ipynb": "{"}, "not a notebook"),
        ({"a.pdf": "%PDF"}, "not a notebook"),
        ({"a.ipynb": '{"nbformat": 4, "cells": []}'}, "holds no question of a chapter"),
    ],
)
def test_whatever_is_handed_in_gets_results(container, files, said):
    root = container(trusted=True)
    for name, text in files.items():
        (root / "submission" / name).write_text(text)
    autograder.run(root)
    assert results(root)["score"] == 0 and said in results(root)["output"]


@pytest.mark.parametrize(("old", "python"), [(False, "python3"), (True, "python3.11")])
def test_the_set_up_installs_the_sandbox_torch_alone_and_then_the_bundle(container, tmp_path, old, python):
    root, log, tools = container(), tmp_path / "log", tmp_path / "tools"
    fresh = f'[ "$2" = venv ] && mkdir -p "$3/bin" && cp "{tools}/pip" "$3/bin/python"'
    stand_in(tools / "python3", f'[ "$1" = -c ] && exit {int(old)}\n{fresh}\nexit 0', log)
    stand_in(tools / "python3.11", f"{fresh}\nexit 0", log)
    stand_in(tools / "apt-get", log=log), stand_in(tools / "pip", log=log)
    shutil.rmtree(root / "venv")
    done = run(root, "setup.sh", PATH=f"{tools}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    calls = log.read_text().splitlines()
    assert any(call.startswith("apt-get install") and "bubblewrap" in call for call in calls)
    assert f"{python} -m venv {root}/venv" in calls
    torch, package = [call for call in calls if " pip install " in call]
    assert torch.endswith("torch==2.13.0") and package.endswith(f"{root}/source/mechlib")


def test_without_a_secret_every_bundle_has_its_own():
    contents = [gradescope.bundle() for _ in range(2)]
    secrets = {zipfile.ZipFile(io.BytesIO(content)).read("secret") for content in contents}
    assert len(secrets) == 2


def test_a_chapter_without_questions_is_refused():
    with pytest.raises(LookupError, match="ch99"):
        gradescope.bundle(chapter="ch99")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_nobody_else_can_read_the_bundle_also_where_it_was_open_before(tmp_path, monkeypatch, umask):
    out = tmp_path / "made" / "autograder.zip"
    monkeypatch.setattr("sys.argv", ["mechlib", "gradescope", "--out", str(out)])
    monkeypatch.setattr(gradescope, "bundle", lambda **_: b"the same")
    before = os.umask(umask)
    try:
        for _ in range(2):
            with pytest.raises(SystemExit):
                cli.main()
            modes = [stat.S_IMODE(path.stat().st_mode) for path in (out, out.parent)]
            assert modes == [0o600, 0o700]
            out.chmod(0o644)
    finally:
        os.umask(before)
