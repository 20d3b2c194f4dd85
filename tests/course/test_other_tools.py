"""The tools of others that take our files in: nbgrader and copydetect, in an environment of their own.

Their dependencies are not those of the book; nbgrader's kernel is the interpreter that runs the tests.
"""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mechlib.authoring import checkout
from mechlib.checks.handing_in import Hand
from mechlib.checks.registry import asked
from mechlib.course import nbgrader, similarity
from mechlib.course.release import Course
from tests.grading.class_of import answers

ROOT = checkout.root()
PINS = Path(__file__).with_name("pins.txt")
STEM = "02_logit_lens"
SCORES = """\
import json
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db") as book:
    found = {s.student.id: [s.score, s.max_score, s.needs_manual_grade] for s in book.assignment_submissions("STEM")}
print("SCORES", json.dumps(found))
"""


def run(*command, cwd=None, environment=None) -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def tools() -> Path:
    """The ``bin`` of an environment with the pinned tools; kept in ``build`` until the pins change."""
    folder = ROOT / "build" / "course-tools"
    stamp = folder / PINS.name
    if not stamp.is_file() or stamp.read_text() != PINS.read_text():
        run(sys.executable, "-m", "venv", "--clear", folder)
        run(folder / "bin" / "python", "-m", "pip", "install", "-q", "--no-compile", "-r", PINS)
        shutil.copyfile(PINS, stamp)
    return folder / "bin"


@pytest.fixture(scope="module")
def environment(tools, tmp_path_factory) -> dict[str, str]:
    """Variables with which the tools are found, and ``python3`` is a kernel that has mechlib."""
    jupyter = tmp_path_factory.mktemp("jupyter")
    (jupyter / "kernels" / "python3").mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Python 3", "language": "python"}
    (jupyter / "kernels" / "python3" / "kernel.json").write_text(json.dumps(spec))
    found = {"PATH": f"{tools}:{os.environ['PATH']}", "JUPYTER_PATH": str(jupyter)}
    return {**os.environ, **found, "MECHLIB_CACHE": str(jupyter / "nothing fetched")}


@pytest.fixture(scope="module")
def course(environment, tmp_path_factory) -> Path:
    """The released nbgrader folder of a course, with the assignment generated: the answers of a chapter alone, since
    nbgrader starts a kernel for every submission and executes all of it."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "solutions").mkdir()
    (folder / "solutions" / f"{STEM}.ipynb").write_text(json.dumps(answers(on_models=True)))
    Course("cs999", folder / "solutions", folder / "out").write()
    made = folder / "out" / "instructor" / "nbgrader"
    run("nbgrader", "generate_assignment", STEM, cwd=made, environment=environment)
    return made


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text())["cells"]


def solved() -> dict[str, list[str]]:
    """The sources of the solution's cells, by id."""
    return {cell["id"]: cell["source"] for cell in cells(ROOT / "solutions" / f"{STEM}.ipynb")}


def test_the_generated_assignment_is_our_exercise(course):
    released = cells(course / "release" / STEM / f"{STEM}.ipynb")
    ours = cells(ROOT / "exercises" / f"{STEM}.ipynb")
    theirs = {cell["id"]: "".join(cell["source"]) for cell in released}
    stub = re.compile(r"^raise NotImplementedError  (?=# your answer here$)", re.MULTILINE)
    theirs = {name: stub.sub("", source) for name, source in theirs.items()}  # nbgrader's, also where a value is asked
    answers = [cell["id"] for cell in ours if cell["id"].endswith("-answer") or cell["id"].endswith("-check")]
    assert len(answers) == 2 * len(asked("ch02"))
    assert {name: theirs[name] for name in answers} == {
        cell["id"]: "".join(cell["source"]) for cell in ours if cell["id"] in answers
    }
    assert "Write your answer here" in theirs["refute-written"]


def filled(notebook: dict, which: str | None = None, without: str = "") -> dict:
    """The notebook with the answers of the solution, or with one of them; without the cell of one id."""
    for cell in notebook["cells"]:
        if cell["id"].endswith("-answer") and which in (None, cell["id"]):
            cell["source"] = solved()[cell["id"]]
    return {**notebook, "cells": [cell for cell in notebook["cells"] if cell["id"] != without]}


def foreign(notebook: dict) -> dict:
    """The notebook as an editor saves it that keeps no metadata of cells, with a check too many and a check too few."""
    cells = [{**cell, "metadata": {}} for cell in notebook["cells"]]
    early = {**next(cell for cell in cells if cell["id"] == "read-out-check"), "id": "early"}
    return {**notebook, "cells": [cells[0], early, *cells[1:]]}


def test_autograding_gives_the_points_of_the_questions(course, environment):
    """To nbgrader's release and to the kit's own exercises, also without nbgrader's metadata: as ``submit`` and some
    editors write them."""
    released = json.loads((course / "release" / STEM / f"{STEM}.ipynb").read_text())
    ours = answers("exercises", on_models=True)
    handed_in = {
        "released": (1, filled(copy.deepcopy(released), "read-out-answer")),
        "submitted": (8, json.loads(Hand(filled(copy.deepcopy(released))).stripped())),
        "ours": (8, foreign(filled(copy.deepcopy(ours), without="readable-check"))),
        "unfilled": (0, ours),
    }
    for student, (_, notebook) in handed_in.items():
        target = course / "submitted" / student / STEM / f"{STEM}.ipynb"
        target.parent.mkdir(parents=True)
        target.write_text(json.dumps(notebook))
    run("nbgrader", "autograde", STEM, cwd=course, environment=environment)
    script = course / "scores.py"
    script.write_text(SCORES.replace("STEM", STEM))
    printed = run(environment["PATH"].partition(":")[0] + "/python", script, cwd=course, environment=environment)
    found = json.loads(printed.partition("SCORES ")[2])
    points = {student: [expected, 11] for student, (expected, _) in handed_in.items()}
    assert {student: score[:2] for student, score in found.items()} == points


def test_nbgrader_s_marks_are_those_of_its_own_release(course):
    """Every graded cell that nbgrader released is among the marks, by a line of it."""
    space: dict = {}
    marks = re.search(
        r"^MARKS = (\{.*?\n)\n?NAMED", (course / "nbgrader_config.py").read_text(), re.DOTALL | re.MULTILINE
    )
    exec("MARKS = " + marks[1], space)
    graded = {
        cell["metadata"]["nbgrader"]["grade_id"]: cell["metadata"]["nbgrader"]["points"]
        for cell in cells(course / "release" / STEM / f"{STEM}.ipynb")
        if cell["metadata"].get("nbgrader", {}).get("grade")
    }
    assert {mark["grade_id"]: mark["points"] for mark in space["MARKS"][STEM].values()} == graded
    assert len(graded) == 7


def test_a_question_checked_twice_is_refused():
    solution = checkout.read_notebook(ROOT / "solutions" / f"{STEM}.ipynb")
    check = next(cell for cell in solution["cells"] if cell["id"] == "read-out-check")
    solution["cells"].append({**check, "id": "again"})
    with pytest.raises(ValueError, match="ch02-read_out stands in several"):
        nbgrader.assignment(solution)


def notebook(path: Path, *sources: str) -> None:
    made = [{"cell_type": "code", "metadata": {}, "source": s, "outputs": [], "execution_count": None} for s in sources]
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made}))


GIVEN = "def given(a, b):\n    total = 0\n    for x in a:\n        total += x * b\n    return total / len(a)"
COPIED = (
    "def answer(rows):\n    best = max(rows)\n    rest = [r for r in rows if r != best]\n    return best - sum(rest)"
)
OWN = "def answer(rows):\n    import numpy\n    array = numpy.sort(rows)\n    return 2 * array[-1] - array.sum()"


@pytest.fixture
def class_folder(tmp_path) -> Path:
    """Three notebooks: two share an answer, with other names in it, and all hold what was given."""
    folder = tmp_path / "class"
    folder.mkdir()
    notebook(folder / "ada.ipynb", "%matplotlib inline", GIVEN, COPIED)
    notebook(folder / "bob.ipynb", GIVEN, COPIED.replace("best", "top").replace("rest", "others"))
    notebook(folder / "eve.ipynb", GIVEN, OWN)
    return folder


def test_a_copied_answer_is_reported_though_its_names_were_changed(class_folder, environment, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", environment["PATH"])
    notebook(tmp_path / "exercise.ipynb", GIVEN)
    page = similarity.report(class_folder, tmp_path / "similarity.html", exercise=tmp_path / "exercise.ipynb")
    pairs = re.findall(r"(?:Test|Reference) file: <i>.*/(\w+)-\d+\.py</i>", page.read_text())
    assert sorted(pairs) == ["ada", "bob"]
    assert os.name == "nt" or page.stat().st_mode & 0o777 == 0o600


def test_an_answer_of_an_earlier_year_is_reported_and_pairs_of_that_year_are_not(
    class_folder, environment, monkeypatch, tmp_path
):
    monkeypatch.setenv("PATH", environment["PATH"])
    notebook(tmp_path / "exercise.ipynb", GIVEN)
    year = tmp_path / "autumn 2025"
    year.mkdir()
    for name in ("old", "older"):
        notebook(year / f"{name}.ipynb", GIVEN, OWN.replace("array", "found"))
    options = {"exercise": tmp_path / "exercise.ipynb", "earlier": [year]}
    page = similarity.report(class_folder, tmp_path / "similarity.html", **options).read_text()
    files = re.findall(r"(Test|Reference) file: <i>.*/([\w-]+)-\d+\.py</i>", page)
    pairs = {frozenset((a[1], b[1])) for a, b in zip(files[::2], files[1::2], strict=True)}
    expected = [("ada", "bob"), ("eve", "autumn_2025-old"), ("eve", "autumn_2025-older")]
    assert pairs == {frozenset(pair) for pair in expected}


def test_years_that_are_called_alike_are_refused(class_folder, environment, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", environment["PATH"])
    with pytest.raises(ValueError, match="called alike: class, class"):
        similarity.report(class_folder, tmp_path / "page.html", earlier=[class_folder, class_folder])


def test_without_the_tool_the_error_says_how_to_get_it(class_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="pip install copydetect"):
        similarity.report(class_folder, tmp_path / "similarity.html")


def test_one_notebook_cannot_be_compared(class_folder):
    for name in ("ada", "bob"):
        (class_folder / f"{name}.ipynb").write_text("not a notebook")
    with pytest.raises(ValueError, match="holds 1 readable notebooks; at least 2"):
        similarity.compared(class_folder)
