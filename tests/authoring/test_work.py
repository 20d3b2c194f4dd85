"""What a reader wrote stays, whatever is made again around it, and can be brought over into a new version."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from mechlib.authoring import address, checkout, exercises, work
from mechlib.authoring.given import added, given, version

STUB = "def {name}(x):\n    ### BEGIN SOLUTION\n    return {value}\n    ### END SOLUTION"
MINE = "def double(x):\n    return x + x"
WRITTEN = "<!-- written: why -->\n\n"


def solution(*, double: str = "2 * x", title: str = "Exercises", without: str = "", more: tuple = ()) -> dict:
    cells = [
        new_markdown_cell(f"# {title}\n\nText.", id="title"),
        new_code_cell(STUB.format(name="double", value=double), id="double"),
        new_code_cell('check("ch02.target_rank", double)', id="double-check"),
        new_code_cell(STUB.format(name="triple", value="3 * x"), id="triple"),
        new_markdown_cell(f"{WRITTEN}Because.", id="why"),
        *more,
    ]
    return new_notebook(cells=[cell for cell in cells if cell["id"] != without])


@pytest.fixture
def folder(checkout_folder):
    publish(checkout_folder, solution())
    return checkout_folder


def publish(folder: Path, notebook: dict) -> None:
    (folder / "solutions" / "02_lens.ipynb").write_text(checkout.dump_notebook(notebook))
    exercises.write(folder)


def desk(folder: Path) -> work.Work:
    return work.of_checkout(folder)


def write(path: Path, **sources: str) -> None:
    """Change cells as a reader does; a name that is no cell's becomes a new cell at the end."""
    notebook = checkout.read_notebook(path)
    for name, source in sources.items():
        found = [cell for cell in notebook["cells"] if cell["id"] == name]
        if not found:
            notebook["cells"].append(new_code_cell(source, id=name))
        for cell in found:
            cell["source"] = source
    path.write_text(checkout.dump_notebook(notebook))


def sources(path: Path) -> dict[str, str]:
    return {cell["id"]: cell["source"] for cell in checkout.read_notebook(path)["cells"]}


def test_the_copy_is_made_once_and_then_left_alone(folder):
    (copy,) = desk(folder).update()
    assert copy == folder / "work" / "02_lens.ipynb"
    assert copy.read_bytes() == (folder / "exercises" / "02_lens.ipynb").read_bytes()
    write(copy, double=MINE)
    before = copy.read_bytes()
    assert desk(folder).update() == [] and copy.read_bytes() == before


def test_answers_that_stand_in_the_exercise_itself_are_copied_with_it(folder):
    write(folder / "exercises" / "02_lens.ipynb", double=MINE)
    (copy,) = desk(folder).update()
    assert sources(copy)["double"] == MINE


def test_a_new_version_is_laid_beside_once(folder):
    (copy,) = desk(folder).update()
    write(copy, double=MINE)
    before = copy.read_bytes()
    publish(folder, solution(title="Better exercises"))
    (new,) = desk(folder).update()
    digest = version(checkout.read_notebook(folder / "exercises" / "02_lens.ipynb"))
    assert new == folder / "work" / f"02_lens-new-{digest}.ipynb"
    assert new.read_bytes() == (folder / "exercises" / "02_lens.ipynb").read_bytes()
    write(new, triple="def triple(x):\n    return x + x + x")
    later = new.read_bytes()
    assert desk(folder).update() == []
    assert (copy.read_bytes(), new.read_bytes()) == (before, later)


def test_another_address_or_release_is_no_new_version(folder):
    desk(folder).update()
    project = folder / "pyproject.toml"
    project.write_text(
        project.read_text().replace("1.2.3", "1.3.0").replace("example.org/somebody", "example.net/else")
    )
    old = (folder / "exercises" / "02_lens.ipynb").read_bytes()
    address.write(folder)
    assert exercises.stale(folder) == [] and (folder / "exercises" / "02_lens.ipynb").read_bytes() != old
    assert desk(folder).update() == []


def test_answers_are_brought_over_to_their_places(folder):
    (copy,) = desk(folder).update()
    write(copy, double=MINE, why=f"{WRITTEN}It adds.", own="double(2)")
    before = copy.read_bytes()
    publish(folder, solution(title="Better exercises", more=(new_code_cell("1 + 1", id="end"),)))
    (carried,) = desk(folder).carry()
    assert carried.source == copy and copy.read_bytes() == before
    assert carried.cells == ("double", "why", "own") and carried.notes == ()
    found = sources(carried.target)
    assert found["double"] == MINE and found["why"] == f"{WRITTEN}It adds." and found["own"] == "double(2)"
    assert found["title"].startswith("# Better exercises") and "raise NotImplementedError" in found["triple"]
    assert list(found).index("own") == list(found).index("why") + 1


def test_what_is_asked_otherwise_now_takes_the_answer_and_says_so(folder):
    (copy,) = desk(folder).update()
    write(copy, double=MINE)
    notebook = solution()
    notebook["cells"][1]["source"] = notebook["cells"][1]["source"].replace("(x):", "(x):\n    '''Two times.'''")
    publish(folder, notebook)
    (carried,) = desk(folder).carry()
    assert sources(carried.target)["double"] == MINE
    assert carried.notes == ("double: what is asked has changed; compare your answer with the exercise",)


def test_a_question_that_is_gone_keeps_its_answer(folder):
    (copy,) = desk(folder).update()
    write(copy, triple="def triple(x):\n    return 3 * x")
    publish(folder, solution(without="triple"))
    (carried,) = desk(folder).carry()
    found = sources(carried.target)
    assert found["triple"].endswith("3 * x") and list(found).index("triple") == list(found).index("double-check") + 1
    assert "no longer asks" in carried.notes[0]


def test_a_text_that_both_changed_stays_as_the_new_version_has_it_and_is_told(folder):
    (copy,) = desk(folder).update()
    write(copy, title="# Exercises\n\nMy remark.", double=MINE)
    publish(folder, solution(title="Better exercises"))
    (carried,) = desk(folder).carry()
    assert carried.cells == ("double",) and sources(carried.target)["title"].startswith("# Better")
    assert "yours is in 02_lens.ipynb" in carried.notes[0] and "My remark." in copy.read_text()


def test_what_was_written_in_the_new_version_is_not_written_over(folder):
    (copy,) = desk(folder).update()
    write(copy, double=MINE, triple="def triple(x):\n    return 3 * x")
    publish(folder, solution(title="Better exercises"))
    (new,) = desk(folder).update()
    other = "def double(x):\n    return x * 2"
    write(new, double=other)
    (carried,) = desk(folder).carry()
    assert carried.cells == ("triple",) and "you have written in the new version too" in carried.notes[0]
    assert sources(new)["double"] == other and sources(copy)["double"] == MINE
    assert desk(folder).carry()[0].cells == ()


def test_the_version_written_in_last_is_brought_over_or_the_one_that_is_named(folder):
    (first,) = desk(folder).update()
    publish(folder, solution(title="Second"))
    (second,) = desk(folder).update()
    write(first, double=MINE)
    write(second, double="def double(x):\n    return x * 2")
    os.utime(first, (1, 1))
    publish(folder, solution(title="Third"))
    (carried,) = desk(folder).carry()
    assert carried.source == second
    carried.target.unlink()
    (carried,) = desk(folder).carry(first)
    assert carried.source == first and sources(carried.target)["double"] == MINE
    with pytest.raises(ValueError, match=r"elsewhere\.ipynb is no older version"):
        desk(folder).carry(folder / "elsewhere.ipynb")


def test_nothing_written_is_nothing_to_bring_over(folder):
    desk(folder).update()
    assert desk(folder).carry() == []
    publish(folder, solution(title="Better exercises"))
    assert desk(folder).carry() == [] and len(list((folder / "work").iterdir())) == 2


def test_a_copy_that_does_not_tell_its_version_loses_nothing(folder):
    (copy,) = desk(folder).update()
    write(copy, double=MINE, own="double(2)")
    notebook = json.loads(copy.read_text())
    del notebook["metadata"]["mechlib"]
    copy.write_text(json.dumps(notebook))
    (carried,) = desk(folder).carry()
    assert carried.cells == ("double", "own") and sources(carried.target)["double"] == MINE


@pytest.mark.parametrize("stamped", [True, False])
@pytest.mark.parametrize("changes", [{"double": MINE}, {"why": f"{WRITTEN}It adds."}, {"own": "double(2)"}])
def test_an_exercise_in_which_somebody_wrote_is_not_made_again(folder, changes, stamped):
    path = folder / "exercises" / "02_lens.ipynb"
    write(path, **changes)
    if not stamped:
        notebook = json.loads(path.read_text())
        del notebook["metadata"]["mechlib"]
        path.write_text(json.dumps(notebook))
    before = path.read_bytes()
    (problem,) = exercises.stale(folder)
    assert "holds what somebody wrote" in problem and "mechlib work" in problem and "book exercises" not in problem
    other = folder / "solutions" / "03_other.ipynb"
    other.write_text(checkout.dump_notebook(solution()))
    with pytest.raises(ValueError, match=rf"exercises/02_lens\.ipynb holds .*cells {next(iter(changes))}.*"):
        exercises.write(folder)
    assert path.read_bytes() == before and not (folder / "exercises" / "03_other.ipynb").exists()


def test_an_answer_above_a_stub_that_was_left_is_an_answer(folder):
    path = folder / "exercises" / "02_lens.ipynb"
    write(path, double=sources(path)["double"].replace("    raise", "    y = x + x\n    raise"))
    (reason,) = exercises.of_checkout(folder).kept().values()
    assert "(cells double)" in reason


def test_an_exercise_that_was_only_executed_is_made_again(folder):
    path = folder / "exercises" / "02_lens.ipynb"
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["execution_count"], cell["outputs"] = 1, [{"output_type": "stream", "name": "stdout", "text": "4"}]
    path.write_text(json.dumps(notebook))
    assert exercises.write(folder) == [path]


def test_a_file_in_the_place_of_an_exercise_that_is_no_notebook_is_named_and_kept(folder):
    path = folder / "exercises" / "02_lens.ipynb"
    path.write_text("<<<<<<< mine")
    (problem,) = exercises.stale(folder)
    assert "02_lens.ipynb cannot be read" in problem and "is left as it is" in problem
    with pytest.raises(ValueError, match=r"02_lens\.ipynb cannot be read"):
        exercises.write(folder)
    assert path.read_text() == "<<<<<<< mine"


def test_the_exercises_of_the_repository_say_what_they_give():
    for path in checkout.notebooks(checkout.root(), "exercises"):
        notebook = checkout.read_notebook(path)
        assert added(notebook, notebook) == [] and len(given(notebook)) == len(notebook["cells"]) - 1


TOOL = '#!/bin/sh\nexec "{python}" - "$@" <<"EOF"\n{body}\nEOF\n'
MECHLIB = """\
import sys
sys.argv[0] = "mechlib"
pages = ("build", "serve", "claims", "instructors", "notebooks", "slides")
slow = (["zoo", "fetch"], *(["book", each] for each in pages))
if sys.argv[1:3] not in slow:
    from mechlib.cli import main
    main()
"""
SKIPPED = ("git clone", "cd ", "python -m venv", "make PYTHON", "mechlib zoo", "mechlib grade")
"""Beginnings of those commands of the README that neither read nor write exercises, or set up what is set up here."""


def readme_commands() -> list[str]:
    text = (checkout.root() / "README.md").read_text()
    blocks = re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    inline = re.findall(r"`(make \w+|mechlib [^`]*)`", text)
    lines = [line.strip().replace(".venv\\Scripts\\", "") for block in blocks for line in block.splitlines()]
    found = dict.fromkeys([*lines, *inline])
    return [line for line in found if line.startswith(("make", "mechlib")) and not line.startswith(SKIPPED)]


@pytest.fixture
def cloned(folder, program):
    """The small checkout as a clone of the repository would be: its Makefile, the package, and tools that are quick."""
    program("make", package="make")
    for name in ("Makefile", "constraints.txt", "requirements.txt", ".gitignore"):
        shutil.copyfile(checkout.root() / name, folder / name)
    (folder / "mechlib").symlink_to(Path(checkout.home()) / "mechlib")
    tools = folder / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name in ("mechlib", "pytest", "jupyter-lab", "python", "ruff", "mypy"):
        (tools / name).write_text(TOOL.format(python=sys.executable, body=MECHLIB if name == "mechlib" else ""))
        (tools / name).chmod(0o755)
    (folder / ".venv" / "installed").touch()
    return folder


def test_no_command_of_the_readme_touches_an_answer(cloned):
    def run(command: str) -> subprocess.CompletedProcess:
        environment = os.environ | {"PYTHONPATH": str(cloned), "PATH": f"{cloned}/.venv/bin:{os.environ['PATH']}"}
        return subprocess.run(command, shell=True, cwd=cloned, env=environment, capture_output=True, text=True)

    assert run("make lab").returncode == 0
    copy = cloned / "work" / "02_lens.ipynb"
    write(copy, double=MINE, why=f"{WRITTEN}It adds.", own="double(2)")
    before = copy.read_bytes()
    publish(cloned, solution(title="A newer version"))
    address.write(cloned)

    commands = readme_commands()
    assert {"make book", "make test", "make lab", "make clean", "mechlib work", "mechlib carry"} <= set(commands)
    for command in commands:
        done = run(command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        assert copy.read_bytes() == before, command
    (new,) = [path for path in copy.parent.glob("*.ipynb") if path != copy]
    found = sources(new)
    assert found["double"] == MINE and found["why"].endswith("It adds.") and found["own"] == "double(2)"
    assert found["title"].startswith("# A newer version")
