"""What a process and all that descend from it take of the machine, as Linux tells."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Look", "memory_of"]


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
        return cls(time.monotonic(), _waited(root), sum(map(_worked, _family(root))))

    def starved_since(self, before: Look) -> float:
        """Seconds in which the last process would have run, and others than this family had the processor.

        No longer than the family did not work: what its own processes take from each other is no starvation.
        """
        idle = self.at - before.at - max(0.0, self.worked - before.worked)
        return max(0.0, min(self.waited - before.waited, idle))


def memory_of(root: int) -> int:
    """Bytes that a process and all that descend from it have written to, shared pages counted once."""
    total = 0
    for process in _family(root):
        with contextlib.suppress(OSError, ValueError):
            rollup = (process / "smaps_rollup").read_text()
            own = (line.split()[1] for line in rollup.splitlines() if line.startswith(("Pss_Anon", "Pss_Shmem")))
            total += sum(map(int, own)) * 1024
    return total


def _family(root: int) -> Iterator[Path]:
    """The folders under ``/proc`` of a process and of all that descend from it."""
    processes = [str(root)]
    while processes:
        process = Path("/proc", processes.pop())
        with contextlib.suppress(OSError):
            for task in (process / "task").iterdir():
                processes += (task / "children").read_text().split()
            yield process


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
