"""A new chapter passes the checks of the house as it is made; what cannot be one is refused and changes nothing."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mechlib.authoring import checkout
from mechlib.authoring.new import new

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a link to the weights needs a right of its own there")

ROOT = checkout.root()
HEAVY = "mechlib/zoo/weights"
MECHLIB = "from mechlib.cli import main; main()"
NEW = ("16", 'Stages of "training"', "--part", "4", "--builds-on", "15", "--name", "stages")
MADE = {
    "book/part4/16_stages.ipynb",
    "solutions/16_stages.ipynb",
    "book/cards/16.toml",
    "exercises/16_stages.ipynb",
    "mechlib/questions/ch16/__init__.py",
    "mechlib/questions/ch16/gap.py",
    "tests/questions/alternatives/ch16/gap.py",
    "tests/questions/strangers/ch16.py",
    "tests/questions/test_ch16.py",
}
UPDATED = {"README.md", "book/for-instructors.md"}
CHECKS = (
    "tests/questions/test_ch16.py",
    "tests/questions/test_audit.py",
    "tests/questions/test_lint.py",
    "tests/questions/test_mutants.py",
    "tests/questions/test_sentences.py",
    "tests/questions/test_strangers.py",
    "tests/authoring/test_notebooks.py",
    "tests/course/test_for_instructors.py",
)


def files(folder: Path) -> dict[str, bytes]:
    """The content of every file of a checkout but the weights, by its path."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    names = {path.relative_to(folder).as_posix(): path for path in found}
    return {name: path.read_bytes() for name, path in names.items() if not name.startswith((HEAVY, "."))}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run Python in a checkout, on the library of that checkout."""
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory, program) -> Path:
    """A copy of the checkout, the weights left where they are."""
    folder = tmp_path_factory.mktemp("new") / "checkout"
    git = program("git", package="git")
    listed = subprocess.run([git, "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if not name.startswith(HEAVY) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    (folder / HEAVY).symlink_to(ROOT / HEAVY, target_is_directory=True)
    return folder


@pytest.fixture(scope="module")
def made(copy) -> tuple[Path, dict[str, bytes]]:
    """The copy with a new chapter, and what was in it before."""
    before = files(copy)
    done = run(copy, "-c", MECHLIB, "book", "new", *NEW)
    assert done.returncode == 0, done.stderr
    return copy, before


def test_every_place_is_made_and_what_lists_chapters_is_brought_up_to_date(made):
    folder, before = made
    after = files(folder)
    assert set(after) - set(before) == MADE
    assert {name for name in before if after[name] != before[name]} == UPDATED
    row = r"^\| 16 Stages of \"training\" \| 15 \| an hour \| two hours \| 1 \| 1 \| none yet \|$"
    assert re.search(row, (folder / "book/for-instructors.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("check", ["exercises", "address", "instructors", "fold"])
def test_the_generated_parts_are_up_to_date(made, check):
    folder, _ = made
    done = run(folder, "-c", MECHLIB, "book", check, "--check")
    assert (done.returncode, done.stdout) == (0, "Up to date.\n")


def test_the_text_is_one_sentence_a_line(made):
    folder, _ = made
    done = run(folder, "-c", MECHLIB, "book", "sentences", "--check")
    assert "stages" not in done.stdout


@pytest.mark.parametrize("check", [["check", "."], ["format", "--check", "."]], ids=["lint", "format"])
def test_what_is_made_is_in_the_style_of_the_house(made, check):
    folder, _ = made
    done = run(folder, "-m", "ruff", *check)
    assert done.returncode == 0, done.stdout


def test_what_is_made_passes_the_tests_and_runs(made):
    folder, _ = made
    notebooks = [name for name in MADE if name.endswith(".ipynb")]
    nbval = (
        "--nbval-lax",
        "--nbval-current-env",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-q",
        "-o",
        "addopts=--import-mode=importlib",
    )
    done = run(folder, "-m", "pytest", *nbval, "-k", "16 or stages or table", *CHECKS, *notebooks)
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_second_call_is_refused_and_changes_nothing(made):
    folder, _ = made
    before = files(folder)
    done = run(folder, "-c", MECHLIB, "book", "new", *NEW)
    assert done.returncode == 2
    assert done.stderr == "error: there is a chapter 16: book/part4/16_stages.ipynb\n"
    assert files(folder) == before


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((0, "A title", 4), "a chapter has a number from 1 to 99, not 0"),
        ((100, "A title", 4), "a chapter has a number from 1 to 99, not 100"),
        ((15, "A title", 4), r"there is a chapter 15: book/part4/15_estimating\.ipynb"),
        ((17, " ", 4), "a title is one line that is not empty, not ' '"),
        ((17, "Σ", 4), "files are named by small letters, digits and _, not ''; give another with --name"),
        (
            (17, "A title", 7),
            r"there is no part 7: the parts are 1 to \d+, and --part \d+ --caption TEXT opens another",
        ),
        ((4, "A title", 4), "chapter 04 cannot stand in part 4: chapter 05 is in part 1"),
        ((99, "A title", 2), r"chapter 99 cannot stand in part 2: chapter \d+ is in part 3"),
    ],
)
def test_what_cannot_be_a_chapter_is_refused_and_changes_nothing(copy, arguments, error):
    before = files(copy)
    with pytest.raises((ValueError, FileExistsError), match=f"^{error}"):
        new(*arguments, folder=copy)
    assert files(copy) == before


def test_a_part_that_is_there_keeps_its_caption(copy):
    with pytest.raises(ValueError, match=r"^there is a part 4 already, and it has its caption: leave --caption out"):
        new(17, "A title", 4, caption="Other", folder=copy)


def test_a_chapter_can_open_a_part(copy):
    parts = len(re.findall("glob: book/part", (copy / "_toc.yml").read_text()))
    done = run(copy, "-c", MECHLIB, "book", "new", "98", "Last", "--part", str(parts + 1), "--caption", 'The "end"')
    assert done.returncode == 0, done.stderr
    opened = f"\n    chapters:\n      - glob: book/part{parts + 1}/*\n  - caption: Ledger\n"
    assert f'The \\"end\\""{opened}' in (copy / "_toc.yml").read_text()
    assert (copy / f"book/part{parts + 1}/98_last.ipynb").is_file()
