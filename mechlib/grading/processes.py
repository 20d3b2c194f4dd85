"""What a process and all that descend from it take of the machine, as Linux tells."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Look", "Watch", "family", "memory_of", "owner"]

SHARES = ("Pss_Anon", "Pss_Shmem", "SwapPss", "Private_Hugetlb")
"""Lines of a process's ``smaps_rollup``: what it wrote to, wherever that is now, and of shared pages its part."""

WHOLE = ("RssAnon", "RssShmem", "VmSwap", "HugetlbPages")
"""Lines of its ``status``: the same with the whole of shared pages, and told a hundred times as fast."""

SOCKET = 212992
"""Bytes that may wait in a socket, where the system does not tell."""


@dataclass(frozen=True)
class Look:
    """How a family of processes has fared so far, in seconds; only the difference of two looks means anything."""

    at: float
    """On the clock of ``time.monotonic``."""
    waited: float
    """For a processor: the root, its first child, the first child of that and so on. In a sandbox all but the last of
    them, which executes the notebook, mostly sleep."""
    worked: float
    """On processors: the whole family, with those that have ended and were waited for."""

    @classmethod
    def now(cls, root: int) -> Look:
        """Look at the family of the process ``root``; where the system does not tell, nobody has waited."""
        return cls(time.monotonic(), _waited(root), sum(map(_worked, family(root))))

    def starved_since(self, before: Look) -> float:
        """Seconds in which the last process would have run, and others than this family had the processor.

        No longer than the family did not work: what its own processes take from each other is no starvation.
        """
        idle = self.at - before.at - max(0.0, self.worked - before.worked)
        return max(0.0, min(self.waited - before.waited, idle))


class Watch:
    """Looks by the clock at the memory of a family of processes, whatever they and their grader are doing."""

    def __init__(self, root: int, most: int, end: Callable[[], object], *, every: float) -> None:
        """Begin to watch.

        Args:
            root: the process that the others descend from.
            most: bytes that they may have, see ``memory_of``.
            end: called once if they have more, from another thread.
            every: seconds between two looks.
        """
        self.exceeded = False
        self._about = root, most, end, every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        root, most, end, every = self._about
        while not self._over.wait(every):
            if _memory(root, "status", WHOLE) > most and memory_of(root) > most:
                self.exceeded = True
                end()
                return

    def close(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()


def memory_of(root: int) -> int:
    """Bytes that a process and all that descend from it have written to, shared pages counted once, and those that may
    wait in their sockets, which the system does not tell. Sockets count where the processes have a network apart."""
    return _memory(root, "smaps_rollup", SHARES)


def _memory(root: int, file: str, counted: tuple[str, ...]) -> int:
    total, networks = 0, {_network("self")}
    for process in family(root):
        with contextlib.suppress(OSError, ValueError):
            lines = (process / file).read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith(counted)) * 1024
            if (network := _network(process.name)) not in networks:
                networks.add(network)
                total += _in_sockets(process)
    return total


def _network(process: str) -> int:
    """Which network a process has; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        return os.stat(f"/proc/{process}/ns/net").st_ino
    return 0


def _in_sockets(process: Path) -> int:
    """Bytes that may wait in all sockets of a process's network."""
    longest = SOCKET
    with contextlib.suppress(OSError):
        longest = int(Path("/proc/sys/net/core/wmem_default").read_text())
    return longest * (len((process / "net" / "unix").read_text().splitlines()) - 1)


def family(root: int) -> Iterator[Path]:
    """The folders under ``/proc`` of a process and of all that descend from it."""
    processes = [str(root)]
    while processes:
        process = Path("/proc", processes.pop())
        with contextlib.suppress(OSError):
            for task in (process / "task").iterdir():
                processes += (task / "children").read_text().split()
            yield process


def owner(process: Path) -> int | None:
    """The user of a process, by its folder under ``/proc``; ``None`` if it is gone."""
    with contextlib.suppress(OSError):
        return process.stat().st_uid
    return None


def _waited(root: int) -> float:
    nanoseconds, process = 0, str(root)
    with contextlib.suppress(OSError, ValueError, IndexError):
        while process:
            nanoseconds += int(Path("/proc", process, "schedstat").read_text().split()[1])
            process = Path("/proc", process, "task", process, "children").read_text().split()[0]
    return nanoseconds / 1e9


def _worked(process: Path) -> float:
    with contextlib.suppress(OSError, ValueError):
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0.0
