"""The instructors' page says what is true of the chapters, the commands and the files."""

import dataclasses
import re

import pytest
from typer.main import get_command

from mechlib import cli
from mechlib.authoring import checkout, instructors
from mechlib.checks.handing_in import WRITTEN
from mechlib.course import reports
from mechlib.course.roster import Student
from mechlib.grading import marking, notebook, submissions
from mechlib.grading.worker import cells, rooms
from mechlib.grading.worker.rooms import Limits
from tests.course.conftest import submission

ROOT = checkout.root()
PAGE = (ROOT / "book" / "for-instructors.md").read_text(encoding="utf-8")
SOLUTIONS = {path.stem[:2]: path for path in checkout.notebooks(ROOT, "solutions")}


def test_the_table_of_chapters_is_what_the_chapters_give():
    assert instructors.stale() == []


@pytest.mark.parametrize("number", sorted(SOLUTIONS))
def test_every_set_of_exercises_has_a_written_part(number):
    cells = checkout.read_notebook(SOLUTIONS[number])["cells"]
    assert any(WRITTEN.match(cell["source"]) for cell in cells)


def test_every_command_and_option_on_the_page_exists():
    commands = get_command(cli.app).commands
    course = ("release", "gradescope", "gradebook", "grade", "similarity", "regrade", "give-back", "hand-out")
    course += ("marking", "copied")
    used = re.findall(rf"mechlib ({'|'.join(course)})\b([^`\n]*)", PAGE)
    assert {name for name, _ in used} == set(course)
    for name, rest in used:
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, name


def test_the_files_of_a_graded_class_are_those_that_are_written(tmp_path):
    grade = submission("ada")
    reports.write(grade, tmp_path / "students" / "ada")
    reports.write_class({"students/ada": grade}, tmp_path)
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()} | {reports.OF_BRIGHTSPACE}
    assert all(f"{name}`" in PAGE for name in names), names


def test_every_column_of_a_roster_is_on_the_page():
    assert all(f"`{field.name}`" in PAGE for field in dataclasses.fields(Student))


def test_the_limits_on_the_page_are_those_that_hold():
    limits, said = Limits(), dict(re.findall(r"^\| ([a-z][^|]*) \| ([^|]+) \|$", PAGE, re.MULTILINE))
    assert said["time of the processor, for each process"] == f"{limits.seconds} s"
    assert said["memory of a process, beyond that of the libraries"] == f"{limits.memory // 2**30} GB"
    together = said["memory of all its processes together, with what waits in their sockets"]
    assert together.startswith(f"{2 * limits.memory // 2**30} GB, ")
    assert said["processes and threads"] == str(limits.processes)
    assert said["temporary folder"] == f"{limits.disk // 2**20} MB, {rooms.INODES} files"
    assert said["open files"] == str(limits.files)
    assert said["time of a notebook as a whole, from when its process is there"].startswith(
        f"{marking.WHOLE:g} times that"
    )
    answers = (
        f"{cells.LARGEST // 10**6} million numbers; each question's checks are answered {marking.MOST_TRIES} times"
    )
    assert said["answers"] == answers
    read = (submissions.LARGEST // 2**20, notebook.MOST_CELLS, notebook.MOST_TEXT, notebook.MOST_WRITTEN)
    assert [int(number) for number in re.findall(r"\d+", said["what is read of a notebook"])] == list(read)
