"""A room of its own for every notebook: forked from a prepared process, and cut off from it and from the others.

The walls against the machine are bubblewrap's and stand before any of this runs. Inside them, ``enter`` gives a forked
process new namespaces of processes, mounts and (where the sandbox belongs to an ordinary user) users, an empty
temporary folder, a filter of system calls, and no privileges, so that it can neither see nor signal the server it was
forked from. Without that, one sandbox would have to be built, and the libraries loaded, for every notebook.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mechlib.grading.worker import syscalls

__all__ = ["Limits", "Room", "open_room"]

NEWNS, NEWIPC, NEWUSER, NEWPID = 0x20000, 0x8000000, 0x10000000, 0x20000000
NOSUID, NODEV, BIND, RECURSIVE = 2, 4, 0x1000, 0x4000
NICE = 10
INODES = 10000
"""Files and folders in a temporary folder."""
CAPABILITY_VERSION = 0x20080522
LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Limits:
    """What one notebook may use."""

    memory: int = 2 * 2**30
    """Bytes of a process beyond what the libraries take."""
    disk: int = 64 * 2**20
    """Bytes of the temporary folder, and of any one file."""
    processes: int = 24
    """Threads included."""
    seconds: int = 600
    """Time of the processor for a process."""
    files: int = 256
    processor: int = 0
    """All processes have one, so that notebooks beside each other keep theirs: which, counted round."""

    def apply(self) -> None:
        """Bind the running process and those that it will start; whatever else the machine does comes first."""
        os.nice(NICE)
        there = sorted(os.sched_getaffinity(0))
        with contextlib.suppress(PermissionError):  # within a container, which has a limit of its own
            os.sched_setaffinity(0, {there[self.processor % len(there)]})
        pages = int(_read("/proc/self/statm").split()[0])
        memory = pages * resource.getpagesize() + self.memory
        for what, most in {
            resource.RLIMIT_AS: memory,
            resource.RLIMIT_FSIZE: self.disk,
            resource.RLIMIT_NPROC: self.processes,
            resource.RLIMIT_CPU: self.seconds,
            resource.RLIMIT_NOFILE: self.files,
            resource.RLIMIT_CORE: 0,
        }.items():
            hard = resource.getrlimit(what)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(what, (most, most))


@dataclass(frozen=True)
class Room:
    """A notebook's process, seen from the server."""

    keeper: int
    """The server's child."""
    first: int
    """The process whose end is the end of all in the room."""

    def close(self) -> None:
        """End every process of the room."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.first, signal.SIGKILL)
        if self.first == self.keeper:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.first, signal.SIGKILL)
        os.waitpid(self.keeper, 0)


def open_room(
    work: Callable[[], None],
    limits: Limits,
    *,
    user: int | None,
    shared: bool,
    let_go: Callable[[], None] = lambda: None,
) -> Room:
    """Fork a process that does ``work`` under ``limits``.

    Args:
        let_go: closes the server's files, of which no process of the room may hold a copy: they could be taken from it.
        user: the user to become, where the server is root.
        shared: whether the room gets namespaces of its own, so that others may follow in the same sandbox.

    Raises:
        OSError: if the namespaces cannot be made.
    """
    readable, writable = os.pipe()
    keeper = os.fork()
    if not keeper:
        os.close(readable)
        let_go()
        _ends(lambda: _keep(work, limits, user, writable) if shared else _alone(work, limits, user, writable))
    os.close(writable)
    with open(readable, "rb") as pipe:
        told = pipe.read().decode()
    if not told.isdigit():
        os.waitpid(keeper, 0)
        raise OSError(told or "the process ended before it began")
    return Room(keeper, int(told) if shared else keeper)


def _ends(work: Callable[[], None]) -> None:
    """Do ``work`` in a forked process, which then ends and never returns into the code of its parent."""
    try:
        work()
    finally:
        os._exit(0)


def _alone(work: Callable[[], None], limits: Limits, user: int | None, told: int) -> None:
    with _says_why(told):
        os.setsid()
        _become(user)
        limits.apply()
        syscalls.forbid()
    os.write(told, b"0")
    os.close(told)
    work()


def _keep(work: Callable[[], None], limits: Limits, user: int | None, told: int) -> None:
    """Make namespaces, start the first process in them and wait for its end."""
    with _says_why(told):
        _unshare(own_users=os.getuid() != 0)
        ready, go = os.pipe()
        first = os.fork()
        if not first:
            os.close(ready)
            _ends(lambda: _first(work, limits, user, go, told))
        os.close(go)
        with open(ready, "rb") as pipe:
            if problem := pipe.read().decode():
                raise OSError(problem)
    os.write(told, str(first).encode())
    os.close(told)
    os.waitpid(first, 0)


def _first(work: Callable[[], None], limits: Limits, user: int | None, ready: int, told: int) -> None:
    """The first process of the namespaces: furnish the room, start the one that works, end when it ends."""
    os.close(told)
    with _says_why(ready):
        _furnish(limits)
        _become(user)
        limits.apply()
        syscalls.forbid()
        os.setsid()
    os.close(ready)
    worker = os.fork()
    if not worker:
        _ends(work)
    while os.wait()[0] != worker:
        pass


@contextlib.contextmanager
def _says_why(pipe: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        os.write(pipe, str(error).encode()[:500] or b"?")
        os._exit(1)


def _unshare(own_users: bool) -> None:
    user, group = os.getuid(), os.getgid()
    _called(LIBC.unshare(NEWNS | NEWPID | NEWIPC | (NEWUSER if own_users else 0)), "unshare")
    if own_users:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")


def _furnish(limits: Limits) -> None:
    """Mount what only this room sees: its own processes, and empty temporary folders of limited size."""
    _mount("proc", "/proc", "proc", NOSUID | NODEV)
    for folder in ("/tmp", "/dev/shm"):
        held = {path: os.open(path, os.O_PATH) for path in _mounted_below(folder)}
        _mount("tmpfs", folder, "tmpfs", NOSUID | NODEV, f"size={limits.disk},nr_inodes={INODES},mode=1777")
        for path, descriptor in held.items():
            os.makedirs(path)
            _mount(f"/proc/self/fd/{descriptor}", path, "", BIND | RECURSIVE)
            os.close(descriptor)
    if os.getuid() != 0:
        _write("/proc/sys/user/max_user_namespaces", "0")


def _mounted_below(folder: str) -> list[str]:
    """Where Python or the libraries are shown below the folder; what is mounted in these places comes along."""
    fields = (line.split()[4] for line in _read("/proc/self/mountinfo").splitlines())
    points = [re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), field) for field in fields]
    inside = sorted(point for point in points if point.startswith(f"{folder}/"))
    return [point for point in inside if not any(point.startswith(f"{outer}/") for outer in inside)]


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    arguments = (os.fsencode(source), os.fsencode(target), kind.encode(), flags, options.encode())
    _called(LIBC.mount(*arguments), f"mount {target}")


def _become(user: int | None) -> None:
    """Give up all privileges."""
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    _called(LIBC.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def _called(status: int, what: str) -> None:
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
