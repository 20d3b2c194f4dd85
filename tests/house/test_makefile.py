"""What ``make`` does, seen with stand-ins for Python and the tools: the order of the steps, and what it says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mechlib.authoring import checkout

ROOT = checkout.root()
FILES = ("Makefile", "pyproject.toml", "constraints.txt", "requirements.txt")
SHELL_TOOLS = ("sh", "cp", "mkdir", "touch", "rm", "find", "basename", "dirname")
FETCH = "mechlib zoo fetch smollm2-135m"
TOOLS = ("mechlib", "ruff", "mypy", "pytest", "jupyter-lab")

STAND_IN = """\
#!/bin/sh
if [ "$1" = -c ]; then
  exec "{python}" -c 'import sys; sys.version_info = {version}; exec(sys.argv[1])' "$2"
fi
echo "$(basename "$0") $*" >> "{log}"
if [ "$2" = venv ]; then
  mkdir -p "$3/bin"
  for tool in python {tools}; do cp "$0" "$3/bin/$tool"; done
fi
"""


class Workshop:
    """A folder with the Makefile in it, where every tool is a stand-in that writes down how it was called."""

    def __init__(self, folder: Path, make: str):
        self.folder, self.make, self.log = folder / "repository", make, folder / "log"
        self.bin = folder / "bin"
        self.folder.mkdir()
        self.bin.mkdir()
        for name in FILES:
            shutil.copyfile(ROOT / name, self.folder / name)
        for name in SHELL_TOOLS:
            (self.bin / name).symlink_to(shutil.which(name))
        self.stand_in("python3")
        self.stand_in("chromium")
        self.stand_in("chromedriver")
        self.stand_in("bwrap")

    def stand_in(self, name: str, script: str = STAND_IN, version: tuple = (3, 11, 7)) -> None:
        text = script.format(log=self.log, python=sys.executable, version=version, tools=" ".join(TOOLS))
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def run(self, *arguments: str, ci: str = "") -> subprocess.CompletedProcess:
        """Run ``make`` with nothing on the path but the stand-ins; ``calls`` then holds what this run called."""
        self.log.write_text("")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
        environment |= {"PATH": str(self.bin), "CI": ci}
        return subprocess.run(
            [self.make, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def workshop(tmp_path, program) -> Workshop:
    return Workshop(tmp_path, program("make", package="make"))


def test_book_installs_torch_first_then_builds_and_serves(workshop):
    assert workshop.run("book").returncode == 0
    assert workshop.calls == [
        "python3 -m venv .venv",
        "python -m pip install -c constraints.txt torch",
        "python -m pip install -r requirements.txt",
        FETCH,
        "mechlib book serve --port 8000",
    ]


def test_the_second_time_installs_nothing(workshop):
    workshop.run("book")
    assert workshop.run("book", "PORT=9000").returncode == 0
    assert workshop.calls == [FETCH, "mechlib book serve --port 9000"]


@pytest.mark.parametrize("name", FILES[1:])
def test_a_change_of_what_is_needed_installs_again_into_the_same_environment(workshop, name):
    workshop.run("html")
    stamp = (workshop.folder / ".venv" / "installed").stat().st_mtime
    os.utime(workshop.folder / name, (stamp + 5, stamp + 5))
    assert workshop.run("html").returncode == 0
    assert workshop.calls == [
        "python -m pip install -c constraints.txt torch",
        "python -m pip install -r requirements.txt",
        FETCH,
        "mechlib book build",
    ]


def test_a_failed_installation_is_tried_again(workshop):
    workshop.run("html")
    (workshop.folder / ".venv" / "installed").unlink()
    pip = workshop.folder / ".venv" / "bin" / "python"
    working = pip.read_text()
    pip.write_text("#!/bin/sh\nexit 1\n")
    assert workshop.run("html").returncode != 0
    pip.write_text(working)
    assert workshop.run("html").returncode == 0
    assert "python -m pip install -r requirements.txt" in workshop.calls


def test_an_older_python_is_refused_with_what_was_found(workshop):
    workshop.stand_in("python3", version=(3, 9, 18))
    result = workshop.run("book")
    assert result.returncode != 0 and workshop.calls == []
    assert "Python 3.11 or newer is needed; python3 is 3.9." in result.stderr


def test_no_python_at_all_is_said(workshop):
    result = workshop.run("book", "PYTHON=python3.99")
    assert result.returncode != 0
    assert "Python 3.11 or newer is needed; there is no python3.99." in result.stdout


def test_tests_run_cheap_first_and_end_with_pytest(workshop):
    workshop.run("html")
    assert workshop.run("test").returncode == 0
    steps = [" ".join(call.split()[:3]) for call in workshop.calls]
    assert steps[0] == "ruff check ."
    assert steps.index("mypy") < steps.index("mechlib zoo fetch") < steps.index("mechlib book exercises")
    assert steps.index("mechlib book exercises") < steps.index("mechlib book build") < len(steps) - 1
    last = workshop.calls[-1]
    assert last.startswith("pytest --nbval-lax --nbval-current-env")
    assert last.endswith(" tests solutions exercises")


def test_every_notebook_is_executed_once(workshop):
    """The chapters by the build, from whose outputs the pages and the ledger are made; the others by nbval."""
    workshop.run("html")
    workshop.run("test")
    executing = [call for call in workshop.calls if call == "mechlib book build" or "--nbval" in call]
    assert len(executing) == 2
    folders = set(executing[1].split()) & set(checkout.NOTEBOOKS)
    assert folders == set(checkout.NOTEBOOKS) - {"book"}


@pytest.mark.parametrize("step", ["ruff", "mypy", "mechlib", "pytest"])
def test_a_failing_step_fails_the_tests(workshop, step):
    workshop.run("html")
    (workshop.folder / ".venv" / "bin" / step).write_text("#!/bin/sh\nexit 1\n")
    assert workshop.run("test").returncode != 0


@pytest.mark.parametrize("target", ["book", "html", "test"])
@pytest.mark.parametrize("ci", ["", "true"])
def test_without_the_real_model_it_goes_on_but_not_in_ci(workshop, target, ci):
    workshop.run("html")
    tool = workshop.folder / ".venv" / "bin" / "mechlib"
    tool.write_text(tool.read_text() + '[ "$2" != fetch ]\n')
    result = workshop.run(target, ci=ci)
    assert (result.returncode != 0) == bool(ci) and (workshop.calls[-1] == FETCH) == bool(ci)
    assert ("Without smollm2-135m, what needs it says so and is skipped" in result.stdout) == (not ci)


@pytest.mark.parametrize("missing", ["chromium", "chromedriver", "bwrap"])
def test_a_missing_program_is_installed_by_root(workshop, missing):
    (workshop.bin / missing).unlink()
    workshop.stand_in("id", "#!/bin/sh\necho 0\n")
    workshop.stand_in("apt-get")
    workshop.run("test")
    installs = [call for call in workshop.calls if call.startswith("apt-get")]
    assert installs[-1].endswith("bubblewrap chromium chromium-driver")


@pytest.mark.parametrize("sudo_asks", [True, False])
def test_a_missing_program_needs_sudo_without_a_password(workshop, sudo_asks):
    (workshop.bin / "chromium").unlink()
    workshop.stand_in("id", "#!/bin/sh\necho 1000\n")
    workshop.stand_in("apt-get")
    workshop.stand_in(
        "sudo", "#!/bin/sh\nexit 1\n" if sudo_asks else '#!/bin/sh\n[ "$2" = true ] || {{ shift; "$@"; }}\n'
    )
    result = workshop.run("test")
    assert result.returncode == 0
    assert any(call.startswith("apt-get install") for call in workshop.calls) != sudo_asks
    assert ("the tests that need them are skipped" in result.stdout) == sudo_asks


def test_clean_keeps_the_environment_and_the_training_runs(workshop):
    for kept in (".venv/bin/x", "build/zoo/model/state.pt"):
        (workshop.folder / kept).parent.mkdir(parents=True)
        (workshop.folder / kept).touch()
    for gone in ("_build/html/x", "book/library/x", ".ruff_cache/x", "mechlib/__pycache__/x"):
        (workshop.folder / gone).parent.mkdir(parents=True)
        (workshop.folder / gone).touch()
    assert workshop.run("clean").returncode == 0
    left = {path.relative_to(workshop.folder).as_posix() for path in workshop.folder.rglob("*") if path.is_file()}
    assert left == {*FILES, ".venv/bin/x", "build/zoo/model/state.pt"}


def test_ci_runs_make_test_and_nothing_else(workshop):
    target = workshop.folder / ".ci" / "run"
    target.parent.mkdir()
    shutil.copy(ROOT / ".ci" / "run", target)
    workshop.stand_in("make")
    workshop.log.write_text("")
    subprocess.run([str(target)], env={"PATH": str(workshop.bin)}, check=True, cwd=workshop.folder.parent)
    assert workshop.calls == ["make test"]
