"""The walls around a worker: a command that shows it the system and the libraries, and nothing else.

Seen from inside there is no network, no other process and no home. The system, Python and the installed packages are
read-only; of mechlib, the questions with their reference answers, the grader and the course's tools are not there.
Bubblewrap builds it, or a container engine instead of it (``containers``).

What that does not stop: a hole in the kernel; an answer that calls mechlib's own functions, which are what the chapters
teach; a notebook that finds out that it is being graded, which earns it nothing.
"""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import mechlib
from mechlib.grading import containers
from mechlib.grading.worker import rooms

__all__ = [
    "Engine",
    "NoSandbox",
    "bubblewrap",
    "environment",
    "problem",
    "refuse_if_visible",
    "require",
    "sandbox_user",
    "view",
    "visible",
]

Engine = Literal["bubblewrap", "podman", "docker", "none"]
"""What builds the walls; ``"none"`` where the submissions are trusted."""

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
CONFIGURATION = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/fonts")
FIRST_USER = 1_000_000
"""Where the grader is root, workers run as users from here on, which nobody else is."""

PACKAGE = Path(mechlib.__file__).parent
WORKER = PACKAGE / "grading" / "worker"

TRUST = (
    "With --trust-submissions the notebooks run as you, unprotected: they can read and change your files, the secret "
    "and each other's submissions included, use the network, and look up the right answers. Do so only for notebooks "
    "that you would run yourself, or in a container that holds nothing else."
)


class NoSandbox(OSError):
    """There is no sandbox to grade in."""


def require(engine: Engine = "bubblewrap") -> None:
    """Make sure that there is a sandbox, or at least a system to grade on if the submissions are trusted.

    Raises:
        NoSandbox: if the engine is missing or may not build one here; the message says what to do.
    """
    if not sys.platform.startswith("linux"):
        raise NoSandbox(f"grading needs Linux, in a container or virtual machine if need be; this is {sys.platform}")
    if engine != "none" and (reason := problem(engine)):
        raise NoSandbox(
            f"submissions are graded in a sandbox, and there is none: {reason}. Install the system package bubblewrap "
            "(0.7 or later), let a container engine that runs here stand in for it (--engine podman, --engine docker), "
            f"or let a machine or container that allows one of them grade. {TRUST}"
        )


def problem(engine: Engine) -> str:
    """Why no sandbox can be built; empty if one can."""
    program = "bwrap" if engine == "bubblewrap" else engine
    if shutil.which(program) is None:
        return f"the program {program} is not installed"
    try:
        walls = bubblewrap() if engine == "bubblewrap" else _trial(engine)
    except OSError as error:
        return str(error)
    command = [*walls, sys.executable, "-S", "-c", "import os; os.listdir('/proc/self')"]
    surroundings = environment() if engine == "bubblewrap" else None
    tried = subprocess.run(command, capture_output=True, text=True, env=surroundings, check=False)
    return "" if tried.returncode == 0 else f"{program} fails with {' '.join(tried.stderr.split())[-300:]!r}"


def _trial(engine: str) -> list[str]:
    containers.prepare(engine)
    user = sandbox_user(os.getpid() * 64)
    return containers.command(engine, f"mechlib-trial-{os.getpid()}", view(), rooms.Limits(), user=user)


def bubblewrap() -> list[str]:
    """The command line before the program to run."""
    limits = rooms.Limits()
    size = ["--perms", "1777", "--size", str(limits.disk), "--tmpfs"]
    own = ("ipc", "pid", "net", "uts", *(() if os.getuid() == 0 else ("user",)))
    command = ["bwrap", *(f"--unshare-{kind}" for kind in own), "--die-with-parent", "--new-session", "--clearenv"]
    command += ["--cap-add", "ALL"] if os.getuid() == 0 else []
    command += [*size, "/tmp"]  # first, for Python or the checkout may lie below it
    shown = list(visible())
    for folder in sorted({folder for path in shown for folder in path.parents[:-1]}):
        command += ["--perms", "0755", "--dir", str(folder)]
    for path in shown:
        command += ["--symlink", os.readlink(path), str(path)] if path.is_symlink() else ["--ro-bind", *2 * [str(path)]]
    for path in _hidden():
        command += ["--tmpfs", str(path)]
    command += ["--ro-bind", str(WORKER), str(WORKER)]
    for path in _hidden():
        command += ["--remount-ro", str(path)]
    command += ["--proc", "/proc", "--dev", "/dev", "--dev-bind", "/dev/null", "/dev/zero", "--tmpfs", "/dev/pts"]
    command += ["--remount-ro", "/dev/pts", "--remount-ro", "/dev", *size, "/dev/shm"]
    for name, value in environment().items():
        command += ["--setenv", name, value]
    return [*command, "--chdir", "/tmp", "--remount-ro", "/"]


def view() -> containers.View:
    """The same for a container."""
    return containers.View(tuple(visible()), tuple(_hidden()), (WORKER,), environment())


def environment() -> dict[str, str]:
    """All that a worker's environment holds."""
    libraries = ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    threads = dict.fromkeys(libraries, "1")
    python = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1"}
    places = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "MPLCONFIGDIR": "/tmp", "MPLBACKEND": "Agg", "USER": "student"}
    if site.ENABLE_USER_SITE:
        places["PYTHONUSERBASE"] = site.getuserbase()
    if PACKAGE.parent in (Path(entry).resolve() for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        places["PYTHONPATH"] = str(PACKAGE.parent)
    return {**threads, **python, **places, "LANG": "C.UTF-8", "HF_HUB_OFFLINE": "1"}


def visible() -> Iterator[Path]:
    """What is shown, outer folders first: the system, this Python, and what it imports from."""
    yield from (Path(path) for path in (*SYSTEM, *CONFIGURATION) if os.path.lexists(path))
    installed = (Path(path).resolve() for path in sys.path if path.rstrip("/").endswith("-packages"))
    folders = {*map(Path, (sys.prefix, sys.base_prefix, sys.exec_prefix)), *installed, PACKAGE}
    links = Path(sys.executable)
    while links.is_symlink():
        links = links.parent / links.readlink()
        folders.add(links.resolve().parents[1])
    folders |= {folder.resolve() for folder in folders}  # what a link leads to, as of an environment
    system = {Path(path) for path in SYSTEM}
    shown = {folder for folder in folders if folder.is_dir() and not system & {folder, *folder.parents}}
    yield from sorted(folder for folder in shown if not shown & set(folder.parents))


def _hidden() -> list[Path]:
    """The parts of mechlib that hold answers or belong to the teachers' side."""
    return [path for name in ("authoring", "course", "grading", "questions") if (path := PACKAGE / name).is_dir()]


def refuse_if_visible(paths: Iterable[Path | None]) -> None:
    """Make sure that no notebook can read what is in ``paths``.

    Raises:
        ValueError: if one of them lies in a folder that the sandbox shows.
    """
    shown = [path.resolve() for path in visible()]
    for path in paths:
        if path is not None and (inside := {*shown} & {path.resolve(), *path.resolve().parents}):
            raise ValueError(f"{path} lies in {inside.pop()}, which notebooks see while they are graded; move it")


def sandbox_user(number: int) -> int | None:
    """The user that a worker becomes; ``None`` where the grader is no root and cannot choose."""
    return FIRST_USER + number % 10**6 if os.getuid() == 0 else None
