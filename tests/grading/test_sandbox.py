"""What a notebook sees and may do while it is graded."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mechlib.authoring import checkout
from mechlib.grading import sandbox
from mechlib.grading.workshop import Workshop

ROOT = checkout.root()


@pytest.fixture
def seen(mark):
    """``seen("import os", "os.listdir('/')")``: the value, as text, of an expression in a notebook's process."""

    def value(preparation, expression):
        marking = mark(f"{preparation}\nraise RuntimeError(repr({expression}))", timeout=30.0)
        (problem,) = marking.problems
        return problem.removeprefix("Cell 1 raised RuntimeError: ").removesuffix(".")

    return value


def test_there_is_no_network(seen):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reach = f"socket.socket().connect_ex(('127.0.0.1', {port}))"
        assert int(seen("import socket", reach)) != 0
    assert seen("import socket", "[name for _, name in socket.if_nameindex()]") == "['lo']"


@pytest.mark.parametrize("name", ["solutions", "tests", "book", ".git", "pyproject.toml", "mechlib/grading/marking.py"])
def test_the_rest_of_the_repository_is_not_there(name, seen):
    assert (ROOT / name).exists()
    assert seen("import os", f"os.path.exists({str(ROOT / name)!r})") == "False"


def test_the_secret_and_other_submissions_are_not_there(seen, tmp_path):
    (tmp_path / "secret").write_text("hush")
    paths = [str(tmp_path / "secret"), "/home", "/var", "/mnt", "/srv", "/etc/passwd", "/sys", "/run"]
    assert seen(f"import os\npaths = {paths}", "[os.path.exists(path) for path in paths]") == str([False] * len(paths))
    below = [path.parts[2] for path in (ROOT, Path(sys.prefix)) if path.parts[:2] == ("/", "tmp")]
    assert seen("import os", "os.listdir('/tmp')") == str(sorted(set(below)))


def test_a_library_below_the_temporary_folder_is_there(monkeypatch, tmp_path, sandboxed):
    """A checkout there is a common place to look at a book first."""
    (tmp_path / "library.py").write_text("print('found')")
    outside = list(sandbox._visible())
    monkeypatch.setattr(sandbox, "_visible", lambda: iter([*outside, tmp_path]))
    command = [*sandbox.bubblewrap(), sys.executable, "-S", str(tmp_path / "library.py")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "found\n"


def test_the_questions_are_not_there(seen):
    assert seen("from mechlib.checks import registry", "registry.chapters()") == "()"
    assert seen("import glob", f"glob.glob({str(sandbox.PACKAGE / 'checks' / 'ch*' / '*')!r})") == "[]"
    assert seen("import glob", f"len(glob.glob({str(sandbox.PACKAGE / 'checks' / '*')!r})) > 5") == "True"
    loaded = "[n for n in sys.modules if n.startswith(('mechlib.checks.ch', 'mechlib.grading.a'))]"
    assert seen("import sys", loaded) == "[]"


def test_no_other_process_and_no_privilege(seen):
    assert seen("import os", "len([n for n in os.listdir('/proc') if n.isdigit()])") == "2"
    assert seen("import os", "os.getuid() == 0") == "False"
    status = (
        "[line.split()[1] for line in open('/proc/self/status') if line.startswith(('CapEff', 'CapPrm', 'NoNewPrivs'))]"
    )
    assert seen("", status) == "['0000000000000000', '0000000000000000', '1']"


def test_the_environment_is_what_is_written_down(seen, monkeypatch):
    monkeypatch.setenv("COURSE_TOKEN", "hush")
    names = seen("import os", "sorted(set(os.environ) - {'PWD', 'SHLVL', '_', 'LC_CTYPE', 'KMP_INIT_AT_FORK'})")
    assert set(eval(names)) <= set(sandbox.environment()) | {"KMP_DUPLICATE_LIB_OK", "TORCHINDUCTOR_CACHE_DIR"}


def test_nothing_but_the_temporary_folder_can_be_written(seen):
    prepare = (
        "import os, tempfile\ndef tried(folder):\n    try:\n        return bool(tempfile.mkdtemp(dir=folder))\n"
        "    except OSError:\n        return False"
    )
    folders = ["/", "/usr", "/dev", "/proc", sys.prefix, str(sandbox.PACKAGE), str(sandbox.PACKAGE / "grading")]
    assert seen(prepare, f"[f for f in {folders} if tried(f)]") == "[]"
    assert seen(prepare, "[f for f in ('/tmp', '/dev/shm') if tried(f)]") == "['/tmp', '/dev/shm']"


def test_a_notebook_finds_nothing_of_the_one_before(seen):
    leave = "import os, builtins\nopen('/tmp/left', 'w').close()\nopen('/dev/shm/left', 'w').close()\nbuiltins.left = 1"
    look = "['left' in os.listdir('/tmp'), os.listdir('/dev/shm'), hasattr(builtins, 'left')]"
    assert seen(leave, look) == "[True, ['left'], True]"
    assert seen("import os, builtins", look) == "[False, [], False]"


def test_libraries_are_loaded_once(shop, seen):
    shop.worker().end()
    server = shop._process.pid
    assert seen("import sys", "all(n in sys.modules for n in ('torch', 'mechlib.zoo', 'mechlib.lens'))") == "True"
    assert shop._process.pid == server


def test_closing_leaves_no_process_and_no_file(sandboxed, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Workshop() as shop:
        worker = shop.worker()
        group = shop._process.pid
        worker.end()
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)
    assert list(tmp_path.iterdir()) == []


def test_without_bubblewrap_the_reason_and_the_choices_are_said(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(sandbox.NoSandbox, match=r"bwrap is not installed.*--trust-submissions.*change your files"):
        sandbox.require()


def test_what_bubblewrap_says_is_repeated(monkeypatch, sandboxed):
    monkeypatch.setattr(sandbox, "bubblewrap", lambda: ["bwrap", "--no-such-option"])
    with pytest.raises(sandbox.NoSandbox, match="Unknown option --no-such-option"):
        sandbox.require()


@pytest.mark.parametrize("folder", [Path(sys.prefix), sandbox.PACKAGE / "zoo"])
def test_what_notebooks_could_see_is_refused(folder):
    with pytest.raises(ValueError, match="which notebooks see while they are graded; move it"):
        sandbox.refuse_if_visible([None, folder / "secret"])


def test_what_they_cannot_see_is_not(tmp_path):
    sandbox.refuse_if_visible([tmp_path, ROOT / "solutions"])
