"""The scripts that the pages and the widgets run pass the linter, joined as a browser gets them.

The linter is ``oxlint``, a program without Node that pip installs; ``.oxlintrc.json`` says what it looks for.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mechlib import widgets
from mechlib.authoring import checkout
from mechlib.course import pages
from mechlib.guesses.view import STATIC, View
from mechlib.widgets import assets
from mechlib.widgets.playground import served

ROOT = checkout.root()
WIDGETS = (
    *(
        widgets.AttentionExplorer,
        widgets.ChainExplorer,
        widgets.CircuitExplorer,
        widgets.LensExplorer,
        widgets.RepairExplorer,
        widgets.TrainingExplorer,
        View,
    ),
    *served.ROOMS.values(),
)
GUESS = (STATIC / "guess.js").read_text(encoding="utf-8")
PAGE = GUESS + (STATIC / "guess-page.js").read_text(encoding="utf-8")
FOLDERS = (pages.SCRIPTS, ROOT / "mechlib/authoring/static")
OF_FOLDERS = {path.name: path.read_text(encoding="utf-8") for folder in FOLDERS for path in sorted(folder.glob("*.js"))}
OF_PAGES = OF_FOLDERS | {
    "guess-page.js": PAGE,
    "page.mjs": assets.rooms(),
    "widgets.js": assets.embedded(),
    "review.js": GUESS + OF_FOLDERS["review.js"],
}
SCRIPTS = {f"{widget.__name__}.mjs": widget._esm for widget in WIDGETS} | OF_PAGES


def complaints(folder: Path, scripts: dict[str, str]) -> list[str]:
    """What the linter says of scripts, each by the name of its file."""
    for name, text in scripts.items():
        (folder / name).write_text(text, encoding="utf-8")
    program = shutil.which("oxlint", path=str(Path(sys.executable).parent)) or "oxlint"
    command = [program, "--config", str(ROOT / ".oxlintrc.json"), "--format", "json", *scripts]
    run = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", check=False)
    found = json.loads(run.stdout)
    assert found["number_of_files"] == len(scripts)
    said = {(each["filename"], each["message"]) for each in found["diagnostics"]}
    return [f"{name}: {message}" for name, message in sorted(said) if not _used_elsewhere(message, said, scripts)]


def _used_elsewhere(message: str, said: set[tuple[str, str]], scripts: dict[str, str]) -> bool:
    """Whether this is the complaint that a name is not used, which holds in some scripts and not in others: widgets
    share what stands above their own text, and not every one needs all of it."""
    unused = re.match(r"\w+ '(\w+)' is declared but never used", message)
    with_it = [name for name, text in scripts.items() if unused and re.search(rf"\b{unused[1]}\b", text)]
    return any((name, message) not in said for name in with_it)


def test_the_linter_finds_nothing(tmp_path):
    assert complaints(tmp_path, SCRIPTS) == []


def test_every_script_of_ours_is_read():
    files = sorted((ROOT / "mechlib").rglob("*.js"))
    unread = [path.name for path in files if not any(path.read_text(encoding="utf-8") in s for s in SCRIPTS.values())]
    assert files and unread == []


@pytest.mark.parametrize(
    "line",
    [
        "undeclared();",
        "const never = 1;",
        "var old = 1; old += 1; export { old };",
        "if (a == b) export_();",
        "let x = ;",
    ],
)
def test_a_slip_is_found(tmp_path, line):
    assert complaints(tmp_path, {"slip.mjs": f"{line}\n"})
