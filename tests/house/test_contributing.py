"""What the texts for contributors name is there: commands and options, targets, files; and the forms are valid."""

import re
import shlex
from collections.abc import Iterator

import pytest
import typer
import yaml
from typer.main import get_command

from mechlib import cli
from mechlib.authoring import checkout

ROOT = checkout.root()
TEXTS = ["CONTRIBUTING.md", "README.md", ".github/PULL_REQUEST_TEMPLATE.md", ".github/workflows/book.yml"]
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/book.yml").read_text(encoding="utf-8"))
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

INPUTS = {"input", "textarea", "dropdown", "checkboxes"}
ATTRIBUTES = {"label", "description", "placeholder", "value", "render", "options", "multiple"}


def commands(text: str, program: str) -> Iterator[list[str]]:
    """The words of every call of a program, at the start of a line or of code within a line."""
    for line in re.findall(rf"(?:^|`|- run: )\s*((?:\.venv/bin/)?{program} [^`\n]+)", text, re.MULTILINE):
        yield shlex.split(line.partition(" #")[0].rstrip("\\"))[1:]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TEXTS)
def test_every_target_of_make_exists(name):
    called = [word for words in commands(text(name), "make") for word in words if "=" not in word]
    assert set(called) <= TARGETS


@pytest.mark.parametrize("name", TEXTS)
def test_every_command_of_mechlib_exists_with_its_options(name):
    for words in commands(text(name), "mechlib"):
        command, rest = get_command(cli.app), list(words)
        while isinstance(command, typer.core.TyperGroup):
            assert rest and rest[0] in command.commands, words
            command = command.commands[rest.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("-")} <= known, words


def test_the_commands_are_found():
    assert {"html", "test"} <= {word for words in commands(text("CONTRIBUTING.md"), "make") for word in words}
    assert ["zoo", "train", "NAME", "--ship"] in commands(text("CONTRIBUTING.md"), "mechlib")
    assert ["book", "exercises", "--check"] in commands(text(TEXTS[-1]), "mechlib")


@pytest.mark.parametrize("name", TEXTS)
def test_every_file_and_folder_exists(name):
    named = re.findall(r"`((?:\.github|book|mechlib|solutions|tests)/[\w./-]*)`", text(name))
    named += re.findall(r"(?<!\.)\btests/[\w./]+", text(name))
    assert [path for path in named if "NN" not in path and not (ROOT / path).exists()] == []


def test_the_workflow_tests_on_every_system_and_publishes_what_passed():
    jobs = WORKFLOW["jobs"]
    assert {"run": "make test"} in jobs["linux"]["steps"]
    assert jobs["pages"]["needs"] == "linux"
    assert set(jobs["elsewhere"]["strategy"]["matrix"]["os"]) == {"macos-latest", "windows-latest"}
    for job in jobs.values():
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])


@pytest.mark.parametrize("path", [path for path in FORMS if path.stem != "config"], ids=lambda path: path.stem)
def test_a_form_for_issues_is_valid(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(form) <= {"name", "description", "title", "labels", "body"} and form["name"] and form["description"]
    ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert len(ids) == len(set(ids)) > 1
    for field in form["body"]:
        attributes = field["attributes"]
        assert set(attributes) <= ATTRIBUTES
        if field["type"] == "markdown":
            assert attributes["value"]
        else:
            assert field["type"] in INPUTS and attributes["label"]
            assert set(field) <= {"type", "id", "attributes", "validations"}
        assert ("options" in attributes) == (field["type"] == "dropdown")


def test_there_is_a_form_for_every_kind_of_report():
    assert {path.stem for path in FORMS} == {"answer", "verdict", "number", "text", "bug", "config"}
