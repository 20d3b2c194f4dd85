"""The walls around a worker as a container: where there is no bubblewrap, podman or docker builds them.

The container shows what ``sandbox`` shows, by mounting it read-only into an image that holds nothing; that image is
made from an empty archive on the spot, and nothing is downloaded. Engines may not make further namespaces inside a
container, so that every notebook gets a container of its own and waits for the libraries.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mechlib.grading.worker.rooms import Limits

__all__ = ["CONTROL", "IMAGE", "View", "command", "prepare", "remove"]

IMAGE = "localhost/mechlib-nothing:1"
CONTROL = "/control"
"""Where the container sees the grader's socket."""

EMPTY_ARCHIVE = bytes(10240)
SERVER = 8
"""Processes and threads of the server itself."""


@dataclass(frozen=True)
class View:
    """What is seen inside."""

    shown: tuple[Path, ...]
    """Folders and files, read-only."""
    hidden: tuple[Path, ...]
    """Folders within them that are empty."""
    shown_again: tuple[Path, ...]
    """Folders within those."""
    environment: Mapping[str, str]


def prepare(engine: str) -> None:
    """Make sure that the engine runs and has the empty image.

    Raises:
        OSError: if it fails; the message repeats what it says.
    """
    if subprocess.run([engine, "image", "inspect", IMAGE], capture_output=True, check=False).returncode:
        made = subprocess.run([engine, "import", "-", IMAGE], input=EMPTY_ARCHIVE, capture_output=True, check=False)
        if made.returncode:
            said = " ".join(made.stderr.decode(errors="replace").split())[-300:]
            raise OSError(f"{engine} fails with {said!r}")


def command(
    engine: str, name: str, view: View, limits: Limits, *, user: int | None = None, control: Path | None = None
) -> list[str]:
    """The command line before the program to run.

    Args:
        name: of the container, for ``remove``.
        user: the user inside, where the grader is root; else it is the grader's own.
        control: the grader's socket, if the program is to talk to it.
    """
    mine = (os.getuid(), os.getgid()) if user is None else (user, user)
    line = [engine, "run", "--rm", "--name", name, "--pull=never", "--log-driver=none", "--network=none"]
    line += ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--security-opt=label=disable"]
    line += [f"--pids-limit={limits.processes + SERVER}", "--cpus=1", f"--user={mine[0]}:{mine[1]}", "--workdir=/tmp"]
    line += [f"--memory={2 * limits.memory}", f"--memory-swap={2 * limits.memory}", f"--shm-size={limits.disk}"]
    if engine == "podman":
        line += ["--read-only-tmpfs=false", *(["--userns=keep-id"] if user is None else [])]
    line += [_empty(Path("/tmp"), limits.disk, "1777", engine), *_bound(view.shown)]
    line += [*(_empty(path, 4096, "0755", engine) for path in view.hidden), *_bound(view.shown_again)]
    line += [f"--mount=type=bind,source={control},target={CONTROL}"] if control else []
    return [*line, *(f"--env={name}={value}" for name, value in view.environment.items()), IMAGE]


def _bound(paths: Iterable[Path]) -> list[str]:
    return [f"--mount=type=bind,source={path},target={path},readonly" for path in paths]


def _empty(path: Path, size: int, mode: str, engine: str) -> str:
    """An empty folder of limited size. Podman fills it with what the folder held, unless it is told not to."""
    options = f"tmpfs-size={size},tmpfs-mode={mode}" + (",notmpcopyup" if engine == "podman" else "")
    return f"--mount=type=tmpfs,destination={path},{options}"


def remove(engine: str, name: str) -> None:
    """End a container, with all that runs in it. The first call spares the time that an engine gives it to end."""
    for call in (["kill"], ["rm", "--force"]):
        with contextlib.suppress(OSError):
            subprocess.run([engine, *call, name], capture_output=True, check=False)
