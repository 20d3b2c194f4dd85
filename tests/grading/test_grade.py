"""A generated class, graded: every file has its grade, and earns what it must."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mechlib.authoring import checkout
from mechlib.checks import registry
from mechlib.checks.registry import asked, chapters
from mechlib.grading import NoSandbox, grade, grade_one, sandbox, versions
from mechlib.grading.assignment import Assignment
from mechlib.grading.marking import Marking
from mechlib.grading.notebook import read
from mechlib.grading.versions import version
from tests.grading import class_of, toys
from tests.grading.hostile import DISRUPTIVE

SIZE = 30
"""One of every kind, and a dozen of misconceptions and alternatives."""
MECHLIB = (sys.executable, "-c", "import sys; from mechlib.cli import main; sys.exit(main())")


@pytest.fixture(scope="session")
def course(tmp_path_factory, sandboxed):
    """A folder with the submissions of a class and a secret, and the members of the class."""
    folder = tmp_path_factory.mktemp("course")
    members = class_of.class_of(SIZE, heavy=10**7)
    class_of.write(members, folder / "submissions")
    (folder / "secret").write_text("f" * 64)
    return folder, members


@pytest.fixture(scope="session")
def graded(course):
    """The grades of that class, by file, and the state of its folder before."""
    folder, _ = course
    before = contents(folder)
    grading = grade(folder / "submissions", folder / "grades", secret=folder / "secret", jobs=2)
    return {each.source: each for each in grading}, before


def contents(folder, without="grades"):
    """A fingerprint of every file."""
    files = (path for path in folder.rglob("*") if path.is_file() and without not in path.parts)
    return {path: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mode) for path in files}


def scores(grades):
    """What must not differ between two runs."""
    return {g.source: [(q.id, q.status, q.score, q.misconception, q.message) for q in g.questions] for g in grades}


def test_every_file_earns_what_it_must(course, graded):
    _, members = course
    grades, _ = graded
    assert len(grades) == SIZE
    assert list(class_of.disagreements(members, grades)) == []


def test_the_folder_is_unchanged(course, graded):
    assert contents(course[0]) == graded[1]


def test_a_misconception_is_called_by_its_name(course, graded):
    grades, _ = graded
    named = [
        question.misconception
        for number, member in enumerate(course[1])
        for question in grades[f"{number:03}-{member.name}.ipynb"].questions
        if question.id in member.misconceptions
    ]
    assert len(named) >= 5
    assert sum(name is not None for name in named) >= 0.8 * len(named)


def test_a_run_that_was_killed_goes_on_and_gives_the_same(course, graded, tmp_path):
    """A third of the class, whose grades must be those that it has in the whole."""
    folder, out, handed_in = course[0], tmp_path / "grades", tmp_path / "submissions"
    handed_in.mkdir()
    files = sorted((folder / "submissions").iterdir())[::3]
    for file in files:
        shutil.copyfile(file, handed_in / file.name)
    command = [*MECHLIB, "grade", handed_in, "--out", out, "--secret", folder / "secret", "--quiet", "--jobs", "1"]
    with subprocess.Popen(command, cwd=checkout.root()) as process:
        wait_for(lambda: (out / "state.jsonl").is_file() and len(lines(out)) > 3)
        started = descendants(process.pid)
        process.kill()
    assert any("mechlib.grading.worker.server" in command for command in started.values())
    wait_for(lambda: not any(line and commandline(pid) == line for pid, line in started.items()))
    assert 4 <= len(lines(out)) < len(files) + 1
    with (out / "state.jsonl").open("a") as file:
        file.write('{"key": "cut of')
    finished = list(grade(handed_in, out, secret=folder / "secret", resume=True, jobs=1))
    assert scores(finished) == scores(graded[0][file.name] for file in files)
    assert len(lines(out)) == len(files) + 1


def lines(out):
    return (out / "state.jsonl").read_text().splitlines()


def wait_for(condition):
    """Wait until a condition holds."""
    ends = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


def descendants(pid):
    """The command lines of all processes that a process started, by id."""
    found = {}
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found |= {child: commandline(child), **descendants(child)}
    return found


def commandline(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


@pytest.mark.parametrize("chapter", chapters())
def test_solutions_earn_everything_and_exercises_nothing(chapter, shop):
    root = checkout.root()
    assignment = Assignment.of(chapter, b"another secret of the tests")
    for folder, state in (("solutions", "right"), ("exercises", "unanswered")):
        for path in root.glob(f"{folder}/{chapter[2:]}_*.ipynb"):
            marking = Marking(assignment, read(path.read_bytes()).cells, timeout=60)
            marking.run(shop)
            assert [(q.id, q.status) for q in marking.grades() if q.status != state] == [], path


def test_without_a_sandbox_trusted_notebooks_are_graded_the_same():
    assignment = Assignment.of("ch02", b"a secret of the tests", only=toys.TOYS)
    cells = (*toys.HONEST[:3], "import os\nos._exit(1)", toys.WRONG_ENDS, toys.CHECK_ENDS)
    given = grade_one(toys.notebook(*cells), assignment, student="s", source="s.ipynb", engine="none")
    assert [q.status for q in given.questions] == ["right", "wrong"]
    assert given.problems == ("Cell 4 ended the process; the rest was graded without it.",)
    assert given.needs_human


@pytest.fixture
def small(tmp_path):
    """A folder with two notebooks that need no sandbox to be told apart."""
    folder = tmp_path / "handed in"
    folder.mkdir()
    for name, chapter in (("anna", "ch02"), ("ben", "ch02")):
        (folder / f"{name}.ipynb").write_bytes(toys.notebook(f'check("{chapter}.read_out", None)'))
    return folder


@pytest.fixture
def no_sandbox_asked(monkeypatch):
    monkeypatch.setattr(sandbox, "require", lambda engine: None)


def test_without_a_sandbox_nothing_is_graded(small, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(NoSandbox, match="--trust-submissions"):
        grade(small, tmp_path / "grades")
    assert not (tmp_path / "grades").exists()


@pytest.mark.usefixtures("no_sandbox_asked")
class TestBadInput:
    def test_an_empty_folder(self, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(ValueError, match="holds no submissions"):
            grade(tmp_path / "empty", tmp_path / "grades")

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(ValueError, match="neither a folder nor a zip"):
            grade(tmp_path / "nowhere", tmp_path / "grades")

    def test_an_unknown_chapter(self, small, tmp_path):
        with pytest.raises(ValueError, match="no questions on 'ch99'"):
            grade(small, tmp_path / "grades", chapter="ch99")

    def test_chapters_without_a_majority(self, small, tmp_path):
        (small / "ben.ipynb").write_bytes(toys.notebook('check("ch01.work", None)'))
        with pytest.raises(ValueError, match=r"several chapters \(1 of ch01, 1 of ch02\)"):
            grade(small, tmp_path / "grades")

    def test_notebooks_without_any_question(self, small, tmp_path):
        for path in small.iterdir():
            path.write_bytes(toys.notebook("1 + 1"))
        with pytest.raises(ValueError, match="name the chapter"):
            grade(small, tmp_path / "grades")

    def test_grades_among_the_submissions(self, small):
        with pytest.raises(ValueError, match="must not lie in one another"):
            grade(small, small / "grades")

    def test_a_folder_of_something_else(self, small, tmp_path):
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious" / "thesis.tex").write_text("...")
        with pytest.raises(ValueError, match="something else than grades"):
            grade(small, tmp_path / "precious")

    def test_nothing_to_resume(self, small, tmp_path):
        with pytest.raises(ValueError, match="nothing to resume"):
            grade(small, tmp_path / "grades", resume=True)

    def test_a_short_secret(self, small, tmp_path):
        (tmp_path / "secret").write_text("password\n")
        with pytest.raises(ValueError, match="holds 8 bytes; a secret has at least 16"):
            grade(small, tmp_path / "grades", secret=tmp_path / "secret")

    def test_no_time(self, small, tmp_path):
        with pytest.raises(ValueError, match="must be more than 0"):
            grade(small, tmp_path / "grades", timeout=0)


def test_another_chapter_and_a_damaged_file_are_listed_for_a_human(small, tmp_path, no_sandbox_asked):
    (small / "cleo.ipynb").write_bytes(toys.notebook('check("ch01.work", None)', texts=["<!-- written: why -->\nSo."]))
    for name in ("anna", "ben"):
        (small / f"{name}.ipynb").write_bytes(b"{")
    grades = {each.student: each for each in grade(small, tmp_path / "grades", chapter="ch02")}
    assert grades["cleo"].problems == ("The notebook is on ch01, not on ch02.",)
    assert grades["anna"].problems[0].startswith("The file is not a notebook, or is cut off")
    assert all(
        each.needs_human and (each.score, each.points) == (0, sum(task.points for task in asked("ch02")))
        for each in grades.values()
    )
    assert {name: each.ungraded for name, each in grades.items()} == {"anna": "file", "ben": "file", "cleo": "chapter"}
    assert [(w.cell, w.text) for w in grades["cleo"].written] == [("why", "So.")]


@pytest.fixture
def two_each(tmp_path):
    """A folder in which two students handed in twice, at different times."""
    folder = tmp_path / "submissions"
    for name in ("ada", "bob"):
        (folder / name).mkdir(parents=True)
        for number in (1, 2):
            path = folder / name / f"{number}.ipynb"
            path.write_bytes(toys.notebook(f"{number}", texts=[f"<!-- written: why -->\n{number}"]))
            os.utime(path, (1e9 + number, 1e9 + number))
    return folder


@pytest.fixture
def executed(monkeypatch, no_sandbox_asked):
    """The sources of the notebooks that are executed, in order, instead of executing them."""
    found = []
    monkeypatch.setattr(Marking, "run", lambda self, shop: found.append(self.cells[0].source))
    return found


def test_what_a_later_file_replaces_is_not_executed(two_each, tmp_path, executed):
    grades = {each.source: each for each in grade(two_each, tmp_path / "grades", chapter="ch02")}
    assert executed == ["2", "2"]
    assert {name: each.ungraded for name, each in grades.items()} == {
        "ada/1.ipynb": "superseded",
        "ada/2.ipynb": "",
        "bob/1.ipynb": "superseded",
        "bob/2.ipynb": "",
    }
    early = grades["ada/1.ipynb"]
    assert not early.needs_human and early.written[0].text == "1" and not early.score
    assert {question.message for question in early.questions} == {"not graded: a later submission counts."}


def test_on_demand_it_is_executed_after_what_counts(two_each, tmp_path, executed):
    list(grade(two_each, tmp_path / "grades", chapter="ch02", jobs=1))
    again = grade(two_each, tmp_path / "grades", chapter="ch02", jobs=1, resume=True, superseded=True)
    assert not any(each.ungraded for each in again)
    assert executed == ["2", "2", "1", "1"]
    executed.clear()
    list(grade(two_each, tmp_path / "grades", chapter="ch02", jobs=1, superseded=True))
    assert executed == ["2", "2", "1", "1"]


def test_a_student_gets_the_same_cases_again_and_another_student_others(two_each, tmp_path, monkeypatch, executed):
    (tmp_path / "secret").write_text("5" * 64)
    drawn = {}

    def run(self, shop):
        (asked, *_) = self.assignment.asked.values()
        drawn[asked.student] = asked.blob.content

    monkeypatch.setattr(Marking, "run", run)
    list(grade(two_each, tmp_path / "grades", chapter="ch02", secret=tmp_path / "secret"))
    before = dict(drawn)
    assert before.keys() == {"ada", "bob"} and before["ada"] != before["bob"]
    (two_each / "ada" / "3.ipynb").write_bytes(toys.notebook("3"))
    (two_each / "cleo").mkdir()
    (two_each / "cleo" / "1.ipynb").write_bytes(toys.notebook("1"))
    list(grade(two_each, tmp_path / "grades", chapter="ch02", secret=tmp_path / "secret"))
    assert {name: drawn[name] for name in before} == before and drawn["cleo"] not in before.values()


def test_of_two_submissions_the_later_counts_and_both_are_listed(tmp_path, no_sandbox_asked):
    folder = tmp_path / "submissions"
    folder.mkdir()
    for name in ("doejane_77_123_lens.ipynb", "doejane_LATE_77_124_lens-1.ipynb"):
        (folder / name).write_bytes(b"{")
    written = []
    grading = grade(folder, tmp_path / "grades", chapter="ch02", write=lambda g, where: written.append((g, where)))
    grades = {each.source: each for each in grading}
    assert {name: each.superseded for name, each in grades.items()} == {
        "doejane_77_123_lens.ipynb": True,
        "doejane_LATE_77_124_lens-1.ipynb": False,
    }
    assert {g.source: where.relative_to(tmp_path / "grades").as_posix() for g, where in written} == {
        "doejane_LATE_77_124_lens-1.ipynb": "students/doejane",
        "doejane_77_123_lens.ipynb": "students/doejane~2",
    }


def test_of_two_files_of_one_time_neither_counts_unless_they_are_the_same(tmp_path, no_sandbox_asked):
    folder = tmp_path / "submissions"
    for name, text in {"anna/a": "{", "anna/b": "[", "ben/a": "{", "ben/b": "{"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.ipynb").write_text(text)
        os.utime(folder / f"{name}.ipynb", (1e9, 1e9))
    grades = {each.source: each for each in grade(folder, tmp_path / "grades", chapter="ch02")}
    assert {name: (each.superseded, each.tied) for name, each in grades.items()} == {
        "anna/a.ipynb": (False, True),
        "anna/b.ipynb": (False, True),
        "ben/a.ipynb": (False, False),
        "ben/b.ipynb": (True, False),
    }


def test_a_file_that_the_roster_knows_is_its_owner_s(tmp_path, no_sandbox_asked):
    folder = tmp_path / "submissions"
    folder.mkdir()
    (folder / "doe_4711_12399_a.ipynb").write_bytes(b"{")
    for known, student in (((), "doe"), (("doe_4711_12399_a",), "doe_4711_12399_a")):
        (each,) = grade(folder, tmp_path / "grades", chapter="ch02", known=known)
        assert (each.student, each.platform) == (student, "" if known else "canvas")


def test_folders_are_named_after_students_in_any_script(tmp_path, no_sandbox_asked):
    folder = tmp_path / "submissions"
    folder.mkdir()
    for name in ("王芳", "Łukasz Ž", "?", "a\nb", "Ａnna", "anna", "x" * 200):
        (folder / f"{name}_7_8_x.ipynb").write_bytes(b"{")
    grading = grade(folder, tmp_path / "grades", chapter="ch02", write=lambda grade, where: where.mkdir(parents=True))
    assert len(list(grading)) == 7
    named = {path.name for path in (tmp_path / "grades" / "students").iterdir()}
    assert named == {"王芳", "Łukasz_Ž", "student", "a_b", "anna", "Anna~2", "x" * 50}


AS_SOMEBODY = """
import sys
from mechlib.grading import grade

grades = sorted(grade(sys.argv[1], sys.argv[2], secret=sys.argv[3], jobs=1), key=lambda grade: grade.source)
print([(each.student, each.score, each.needs_human) for each in grades])
"""


def test_an_unprivileged_user_grades_the_same(sandboxed, tmp_path):
    """As root, the test becomes another user, who sees the folders of Python wherever they are."""
    folder, answered = tmp_path / "class", toys.HONEST[:2]
    folder.mkdir()
    solution = class_of.answers()
    (folder / "honest.ipynb").write_text(json.dumps(solution))
    for name in ("os._exit", "files taken from other processes"):
        cell = {"cell_type": "code", "source": DISRUPTIVE[name], "metadata": {}}
        (folder / f"{name.split()[0]}.ipynb").write_text(json.dumps({**solution, "cells": [cell, *solution["cells"]]}))
    (folder / "wrong.ipynb").write_bytes(toys.notebook(*answered, 'check("ch02.refute", total)'))
    (tmp_path / "secret").write_text("5" * 64)
    (tmp_path / "grades").mkdir()
    command = [sys.executable, "-c", AS_SOMEBODY, folder, tmp_path / "grades", tmp_path / "secret"]
    if os.getuid() == 0:
        for path in (tmp_path, *tmp_path.rglob("*")):
            path.chmod(0o755)
        os.chown(tmp_path / "grades", 4321, 4321)
        command = [*as_user(4321, tmp_path), *command]
    environment = {**sandbox.environment(), "MECHLIB_CACHE": str(tmp_path / "nothing fetched")}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (
        result.stdout == "[('files', 8, False), ('honest', 8, False), ('os._exit', 8, True), ('wrong', 0, False)]\n"
    ), result.stderr


def as_user(user, folder):
    """A command that runs another as ``user``, to whom the folders above Python and ``folder`` are open."""
    shown = [Path(sys.base_prefix), Path(sys.prefix), checkout.root(), folder]
    private = {path for each in shown for path in each.parents if path.stat().st_mode & 0o005 != 0o005}
    tops = sorted(path for path in private if not private & set(path.parents))
    command = ["bwrap", "--dev-bind", "/", "/", "--cap-add", "ALL"]
    for top in tops:
        command += ["--perms", "0755", "--tmpfs", str(top)]
    for path in shown:
        if set(path.parents) & set(tops):
            for parent in reversed(path.parents):
                if set(parent.parents) & set(tops):
                    command += ["--perms", "0755", "--dir", str(parent)]
            command += ["--bind", str(path), str(path)]
    return [*command, "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


def test_what_fails_on_one_notebook_fails_on_no_other_and_is_tried_again(tmp_path, no_sandbox_asked, monkeypatch):
    folder = tmp_path / "submissions"
    folder.mkdir()
    (folder / "anna.ipynb").write_bytes(b"{")
    (folder / "ben.ipynb").write_bytes(toys.notebook("1 + 1"))

    def broken(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(Marking, "run", broken)
    grades = {each.student: each for each in grade(folder, tmp_path / "grades", chapter="ch02", jobs=1)}
    assert grades["ben"].problems == ("The grader failed on this notebook: RuntimeError: a bug",)
    assert grades["ben"].needs_human and "cut off" in grades["anna"].problems[0]
    assert grades["ben"].ungraded == "grader"
    monkeypatch.setattr(Marking, "run", lambda *_: None)
    again = {each.student: each for each in grade(folder, tmp_path / "grades", chapter="ch02", resume=True)}
    assert again["ben"].problems == () and again["anna"] == grades["anna"]


@pytest.fixture
def toy_class(tmp_path, monkeypatch, no_sandbox_asked):
    """``toy_class(questions, resume)``: the grades by student, and every question that was put to a notebook."""
    folder, asked = tmp_path / "submissions", []
    folder.mkdir()
    for name, answer in {"anna": toys.RIGHT_TOTAL, "ben": toys.WRONG_TOTAL}.items():
        (folder / f"{name}.ipynb").write_bytes(toys.notebook(toys.IMPORTS, answer, toys.RIGHT_ENDS, toys.CHECK_ENDS))
    (folder / "cleo.ipynb").write_bytes(b"{")
    run, of = Marking.run, Assignment.of

    def noted(marking, workshop):
        asked.extend(marking.assignment.asked)
        run(marking, workshop)

    def graded(questions, resume):
        asked.clear()
        monkeypatch.setattr(Marking, "run", noted)
        monkeypatch.setattr(Assignment, "of", lambda chapter, secret, only: of(chapter, secret, only=questions))
        grading = grade(folder, tmp_path / "grades", chapter="ch02", resume=resume, engine="none", jobs=1)
        found = {
            each.student: {q.id.partition(".")[2]: (q.score, q.points) for q in each.questions} for each in grading
        }
        return found, sorted(asked)

    return graded


def test_a_resumed_run_asks_a_repaired_question_again_and_no_other(toy_class):
    """The first version of a question wants one more than its text says; ``ends`` is the same in both."""
    broken = dataclasses.replace(toys.TOTAL, reference=lambda x, factor: toys.total(x, factor) + 1)
    first, asked = toy_class((broken, toys.ENDS), resume=False)
    assert asked == ["ch02.ends"] * 2 + ["ch02.total"] * 2
    assert (first["anna"]["total"], first["ben"]["total"]) == ((0, 2), (2, 2))
    assert toy_class((broken, toys.ENDS), resume=True) == (first, [])
    second, asked = toy_class((toys.TOTAL, toys.ENDS), resume=True)
    assert asked == ["ch02.total"] * 2
    assert second["anna"] == {"total": (2, 2), "ends": (3, 3)} and second["ben"] == {"total": (0, 2), "ends": (3, 3)}
    assert toy_class((toys.TOTAL, toys.ENDS), resume=True) == (second, [])
    third, asked = toy_class((toys.ENDS,), resume=True)
    assert asked == [] and third["anna"] == {"ends": (3, 3)} and third["cleo"] == {"ends": (0, 3)}


@pytest.mark.parametrize(
    "change",
    [
        {"points": 3},
        {"title": "Another"},
        {"fields": (dataclasses.replace(toys.TOTAL.fields[0], atol=0.1),)},
        {"reference": lambda x, factor: toys.total(x, factor) * 1.01},
        {"cases": lambda generator: toys.cases(generator)[:2]},
        {"misconceptions": {}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_of_a_question_decides_a_grade_is_in_its_version(change):
    assert version(toys.TOTAL) == version(dataclasses.replace(toys.TOTAL)) != version(toys.ENDS)
    assert version(dataclasses.replace(toys.TOTAL, **change)) != version(toys.TOTAL)


def test_the_version_follows_the_source_of_what_a_question_is_made_from(monkeypatch):
    """Of its own module, of what that imports, and of the judging; not of its neighbours in the chapter."""
    question = registry.find("ch06.induction_score")
    before, source = version(question), versions.source
    for name, same in {
        "questions.ch06.patterns": False,
        "checks.judging": False,
        "questions.ch06.copying_score": True,
        "questions.ch01.work": True,
    }.items():
        changed = f"mechlib.{name}"
        monkeypatch.setattr(versions, "source", lambda n, c=changed: source(n) + "\n# changed" * (n == c))
        assert (version(question) == before) is same, name
