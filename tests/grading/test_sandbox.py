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
from mechlib.grading.processes import memory_of
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
    assert seen("", "[line.split(':')[0].strip() for line in open('/proc/net/dev')][2:]") == "['lo']"


TRIED = """
import ctypes, errno, fcntl, mmap, os, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
def tried(function, *arguments):
    ctypes.set_errno(0)
    try:
        function(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return errno.errorcode.get(ctypes.get_errno())
"""
"""``tried(function, *arguments)``: the name of the error that a call ends with, ``None`` where it works."""


@pytest.mark.parametrize("call", ["socket", "socketpair"])
def test_sockets_reach_no_further_than_the_notebook(call, seen):
    """A family that the machine does not have would be EAFNOSUPPORT: whatever it has is refused before that."""
    pair = ", (ctypes.c_int * 2)()" if call == "socketpair" else ""
    refused = f"tried(libc.{call}, family, kind, 0{pair}) == 'EPERM'"
    left = f"{{family for family in range(64) for kind in (1, 2, 3, 5) if not {refused}}}"
    assert seen(TRIED, left) == str({int(socket.AF_UNIX)})


def test_what_needs_no_network_works(seen):
    loop = "import asyncio\nasync def one():\n    return 1"
    assert seen(loop, "asyncio.run(one())") == "1"
    assert seen("import asyncio\nasync def one():\n    return 1\nx = await one()", "x") == "1"
    name = "import socket\ntry:\n    socket.getaddrinfo('example.org', 80)\nexcept OSError as error:\n    e = error"
    assert seen(name, "type(e).__name__") == "'gaierror'"


def test_a_file_of_the_machine_cannot_be_locked(seen):
    """Whoever wants a lock that somebody else has waits for it."""
    commands = "fcntl.F_SETLK, fcntl.F_SETLKW, fcntl.F_OFD_SETLK, fcntl.F_OFD_SETLKW"
    prepare = f"{TRIED}\nfile = os.open({str(sandbox.PACKAGE / '__init__.py')!r}, os.O_RDONLY)\n"
    prepare += "read = struct.pack('hhqqi', fcntl.F_RDLCK, 0, 0, 0, 0)"
    assert seen(prepare, "tried(fcntl.flock, file, fcntl.LOCK_SH)") == "'ENOSYS'"
    assert seen(prepare, "tried(fcntl.flock, file, fcntl.LOCK_EX | fcntl.LOCK_NB)") == "'ENOSYS'"
    assert seen(prepare, f"[tried(fcntl.fcntl, file, c, read) for c in ({commands})]") == str(4 * ["ENOSYS"])
    assert seen(prepare, "tried(fcntl.fcntl, file, fcntl.F_SETLEASE, fcntl.F_RDLCK)") == "'ENOSYS'"
    others = "(fcntl.fcntl(file, fcntl.F_GETFD), os.dup(file) > file)"
    assert seen(prepare, others) == "(1, True)"


def test_libraries_do_without_locks(seen):
    held = "import filelock\nwith filelock.FileLock('/tmp/x.lock') as lock:\n    held = lock.is_locked"
    assert seen(held, "held") == "True"
    assert seen("import sqlite3", "sqlite3.connect(':memory:').execute('select 1').fetchall()") == "[(1,)]"
    kept = "import joblib\nmemory = joblib.Memory('/tmp/joblib', verbose=0)\none = memory.cache(lambda x: x + 1)"
    assert seen(kept, "(one(1), one(1))") == "(2, 2)"


def test_there_is_no_memory_that_nothing_counts(seen):
    """What is shared without a file stays when all but a page is unmapped; sockets and terminals hold what they are
    sent."""
    shared = "tried(libc.mmap, None, 4096, 3, flags, {}, 0)"
    flags = f"{TRIED}\nflags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS"
    assert seen(flags, shared.format(-1)) == "'EPERM'"
    zero = f"{TRIED}\nflags, file = mmap.MAP_SHARED, os.open('/dev/zero', os.O_RDWR)"
    assert seen(zero, shared.format("file")) == "'ENODEV'"
    assert seen(f"{TRIED}\nflags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS", shared.format(-1)) == "None"
    assert seen(TRIED, "tried(socket.socket(socket.AF_UNIX).setsockopt, 1, socket.SO_SNDBUF, 10**6)") == "'EPERM'"
    assert seen(TRIED, "tried(socket.socket(socket.AF_UNIX).setsockopt, 1, socket.SO_PASSCRED, 1)") == "None"
    assert seen(TRIED, "tried(os.openpty)") != "None"
    assert seen("import multiprocessing", "multiprocessing.Value('i', 3).value") == "3"


def test_sockets_count_as_memory(shop):
    """Each as much as its sender may put into it."""
    source = "import socket\npairs = [socket.socketpair() for _ in range(100)]\n{}".format("raise RuntimeError")
    worker = shop.worker()
    worker.send({"cells": [[0, "1"]]}, seconds=20)
    for told in ({"cell": 0}, {"done": True}):
        assert worker.receive(seconds=20)[0] == told
    before = memory_of(shop.process.pid)
    worker.send({"cells": [[0, source]]}, seconds=20)
    assert worker.receive(seconds=20)[0] == {"cell": 0}
    assert worker.receive(seconds=20)[0]["kind"] == "RuntimeError"
    after = memory_of(shop.process.pid)
    worker.end()
    longest = int(Path("/proc/sys/net/core/wmem_default").read_text())
    assert 200 * longest <= after - before < 200 * longest + 2**24


def test_a_notebook_has_one_processor(seen):
    assert seen("import os", "len(os.sched_getaffinity(0))") == "1"
    assert seen(TRIED, "tried(os.sched_setaffinity, 0, range(64))") == "'EPERM'"


def test_many_threads_are_one(seen):
    """It works, and takes no more than the rest."""
    torch = "import os, torch\ntorch.set_num_threads(64)\ntorch.set_num_interop_threads(64)\nx = torch.ones(500, 500)"
    assert seen(torch, "((x @ x + x).max().item(), len(os.listdir('/proc/self/task')))") == "(501.0, 1)"
    apart = (
        "import os, subprocess, sys\nnames = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS')\n"
        "code = 'import numpy, torch; x = torch.ones(500, 500); print(int((x @ x + x).max()))'\n"
        "command = [sys.executable, '-c', code]\n"
        "done = subprocess.run(command, env=os.environ | dict.fromkeys(names, '64'), capture_output=True, text=True)"
    )
    assert seen(apart, "(done.stdout, done.stderr[-200:])") == "('501\\n', '')"


def test_notebooks_beside_each_other_have_different_processors(sandboxed):
    places = []
    for number in range(2):
        with Workshop(number=number) as shop:
            worker = shop.worker()
            worker.send({"cells": [[0, "import os\nraise RuntimeError(os.sched_getaffinity(0))"]]}, seconds=20)
            assert worker.receive(seconds=20)[0] == {"cell": 0}
            places.append(worker.receive(seconds=20)[0]["message"])
            worker.end()
    assert len(set(places)) == min(2, len(os.sched_getaffinity(0)))


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
    outside = list(sandbox.visible())
    monkeypatch.setattr(sandbox, "visible", lambda: iter([*outside, tmp_path]))
    command = [*sandbox.bubblewrap(), sys.executable, "-S", str(tmp_path / "library.py")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "found\n"


def test_a_checkout_that_is_not_installed_is_found(monkeypatch, sandboxed):
    """Python reads its path from the environment, of which nothing else gets in."""
    monkeypatch.setenv("PYTHONPATH", f"/elsewhere{os.pathsep}{ROOT}")
    assert sandbox.environment()["PYTHONPATH"] == str(ROOT)
    find = "from importlib.util import find_spec; print(find_spec('mechlib').origin)"
    command = [*sandbox.bubblewrap(), sys.executable, "-S", "-c", find]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert found.strip() == str(ROOT / "mechlib" / "__init__.py")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    assert "PYTHONPATH" not in sandbox.environment()


def test_an_environment_that_is_a_link_is_there(monkeypatch, tmp_path, sandboxed):
    """With what it leads to."""
    environment, link = tmp_path / "environments" / "mine", tmp_path / "checkout" / ".venv"
    for folder in (environment, link.parent):
        folder.mkdir(parents=True)
    (environment / "library.py").write_text("print('found')")
    link.symlink_to(environment)
    monkeypatch.setattr(sys, "exec_prefix", str(link))
    command = [*sandbox.bubblewrap(), sys.executable, "-S", str(link / "library.py")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "found\n"


def test_the_questions_are_not_there(seen):
    assert seen("from mechlib.checks import registry", "registry.chapters()") == "()"
    assert seen("import glob", f"glob.glob({str(sandbox.PACKAGE / 'questions' / '*')!r})") == "[]"
    assert seen("import glob", f"len(glob.glob({str(sandbox.PACKAGE / 'checks' / '*')!r})) > 5") == "True"
    loaded = "[n for n in sys.modules if n.startswith(('mechlib.questions', 'mechlib.grading.a'))]"
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
    server = shop.process.pid
    assert seen("import sys", "all(n in sys.modules for n in ('torch', 'mechlib.zoo', 'mechlib.stream'))") == "True"
    assert shop.process.pid == server


def test_closing_leaves_no_process_and_no_file(sandboxed, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Workshop() as shop:
        worker = shop.worker()
        group = shop.process.pid
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
