"""An exercise alone in an empty folder on Colab: its first cell installs mechlib, and nothing that was there changes.

The twin of a Colab session is a fresh environment with the versions that Colab publishes (``pins.txt``) and a stand-in
for ``google.colab``. The first cell runs as it is; git's own setting ``insteadOf`` leads the repository's address to a
repository made from this checkout, which has the reference that the cell names. Colab runs Python 3.13; the twin has
the Python that runs the tests, and in place of two packages (``INSTEAD``) a version that this Python can have.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from mechlib.authoring import address, checkout

HERE = Path(__file__).parent
ROOT = checkout.root()
EXERCISE = "02_logit_lens.ipynb"
INSTEAD = {
    "torch": "2.13.0",  # the one of constraints.txt: Colab's 2.11.0 would bring gigabytes of CUDA along
    **({"xarray-einstats": "0.9.1"} if sys.version_info < (3, 12) else {}),  # 0.11.0 needs Python 3.12
}
"""Versions that the twin has in place of Colab's."""

INSTALLED_FROM = ("pyproject.toml", "README.md", "LICENSE")

OURS = """\
import mechlib
from google.colab import output
from mechlib import text, zoo
from mechlib.widgets import lens_explorer

tokens = text.encode("for i in range(10):")
explorer = lens_explorer(zoo.load("code-4l-mlp"), tokens, token_strings=text.token_strings)
print(mechlib.__file__, mechlib.__version__, output.custom_widget_manager_enabled)
explorer"""
THEIRS = "import ipywidgets\nprint(ipywidgets.__version__)\nipywidgets.IntSlider(3)"
WIDGET = "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True)
class Session:
    """What was seen on the twin."""

    environment: Path
    folder: Path
    notebook: nbformat.NotebookNode
    """The executed exercise, with two cells of ours at its end: our widget, and one of ipywidgets."""
    before: dict[str, str]
    """Versions of what was installed before the first cell ran, by name."""
    after: dict[str, str]


def run(*command: str | Path, cwd: Path | None = None) -> str:
    result = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}"
    return result.stdout


def pip(python: Path, *arguments: str | Path) -> str:
    return run(sys.executable, "-m", "pip", "--python", python, *arguments)


def versions(python: Path) -> dict[str, str]:
    return {package["name"]: package["version"] for package in json.loads(pip(python, "list", "--format=json"))}


def pins() -> dict[str, str]:
    """The versions that Colab publishes, by name."""
    lines = (HERE / "pins.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def twin() -> dict[str, str]:
    """The versions that the twin has, by name."""
    return pins() | INSTEAD


def environment(folder: Path) -> Path:
    """A fresh environment with Colab's versions and the stand-in for ``google.colab``; its interpreter."""
    run(sys.executable, "-m", "venv", folder)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip(python, "install", "-q", "--no-compile", *(f"{name}=={version}" for name, version in twin().items()))
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    shutil.copytree(HERE / "stub", packages, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    (packages / "colab.pth").write_text("import google.colab\n")
    return python


def repository(folder: Path) -> Path:
    """A git repository with what is installed of this checkout, under the reference that the first cell asks for."""
    for name in INSTALLED_FROM:
        folder.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    shutil.copytree(ROOT / "mechlib", folder / "mechlib", ignore=shutil.ignore_patterns("__pycache__"))
    author = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")
    for command in (["init", "-q", "-b", address.ref(ROOT)], ["add", "."], [*author, "commit", "-q", "-m", "twin"]):
        run("git", *command, cwd=folder)
    return folder


def kernel(folder: Path, python: Path, source: Path) -> None:
    """A kernel named ``twin``, to which the public address means the repository ``source``."""
    settings = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{source.as_uri()}.insteadOf"}
    settings |= {"GIT_CONFIG_VALUE_0": address.repository(ROOT), "GIT_ALLOW_PROTOCOL": "file"}
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": argv, "display_name": "Colab's twin", "language": "python", "env": settings}
    (folder / "kernels" / "twin").mkdir(parents=True)
    (folder / "kernels" / "twin" / "kernel.json").write_text(json.dumps(spec))


@pytest.fixture(scope="module")
def session(tmp_path_factory, program) -> Session:
    program("git", package="git")
    folder = tmp_path_factory.mktemp("colab")
    python = environment(folder / "environment")
    kernel(folder / "jupyter", python, repository(folder / "repository"))
    (folder / "content").mkdir()
    shutil.copyfile(ROOT / "exercises" / EXERCISE, folder / "content" / EXERCISE)
    notebook = nbformat.read(folder / "content" / EXERCISE, as_version=4)
    notebook.cells += [new_code_cell(OURS), new_code_cell(THEIRS)]
    before = versions(python)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder / "jupyter"))
        NotebookClient(
            notebook,
            kernel_name="twin",
            timeout=600,
            coalesce_streams=True,
            resources={"metadata": {"path": str(folder / "content")}},
        ).execute()
    return Session(folder / "environment", folder / "content", notebook, before, versions(python))


def outputs(session: Session, index: int) -> list[nbformat.NotebookNode]:
    return session.notebook.cells[index].outputs


def test_the_twin_holds_what_colab_publishes(session):
    before = {re.sub("[-_.]+", "-", name).lower(): version for name, version in session.before.items()}
    wanted = {re.sub("[-_.]+", "-", name).lower(): version for name, version in twin().items()}
    assert {name: before.get(name, "").partition("+")[0] for name in wanted} == wanted
    assert {name: before[name] for name in ("ipython", "ipywidgets", "numpy")} == {
        "ipython": "7.34.0",
        "ipywidgets": "7.7.1",
        "numpy": "2.1.3",
    }
    assert "mechlib" not in session.before


def test_nothing_preinstalled_changes_version(session):
    assert {name: session.after.get(name) for name in session.before} == session.before


def test_the_first_cell_installs_this_checkout(session):
    where, version, _ = outputs(session, -2)[0].text.split()
    assert Path(where).is_relative_to(session.environment)
    assert version == session.after["mechlib"] == checkout.project(ROOT)["version"]


def test_the_unfilled_exercise_runs_to_its_end(session):
    code = [cell for cell in session.notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    assert all(cell.execution_count for cell in code)
    assert [output for cell in code for output in cell.outputs if output.output_type == "error"] == []


def test_nothing_is_left_beside_the_notebook(session):
    assert [path.name for path in session.folder.iterdir()] == [EXERCISE]


def test_our_widget_is_shown_and_asks_colab_for_the_manager_of_such_widgets(session):
    printed, shown = outputs(session, -2)
    assert printed.text.endswith(" True\n")
    assert WIDGET in shown.data


def test_the_widgets_that_colab_has_still_work(session):
    printed, shown = outputs(session, -1)
    assert printed.text == "7.7.1\n"
    assert WIDGET in shown.data
