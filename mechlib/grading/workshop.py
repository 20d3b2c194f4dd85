"""A server in its sandbox, and the workers that it forks, seen from the grader."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

from mechlib.grading import sandbox
from mechlib.grading.worker import frames, rooms, server
from mechlib.grading.worker.frames import BadFrame, Blob, Message

__all__ = ["Lost", "Worker", "Workshop"]

STARTING = 300.0
"""Seconds in which a server must have loaded the libraries."""

ANSWERING = 20.0
"""Seconds in which a server must answer."""

TICK = 0.25
"""Seconds between two looks at the memory."""


class Lost(Exception):
    """A worker is of no use any more; the message completes "it ..."."""

    def __init__(self, message: str, *, slow: bool = False) -> None:
        super().__init__(message)
        self.slow = slow
        """Whether it was stopped because time was up."""


class Workshop:
    """One server; it has one worker at a time. Close it, or use it in a ``with`` statement."""

    def __init__(self, limits: rooms.Limits | None = None, *, trusted: bool = False, number: int = 0) -> None:
        """Nothing is started before the first worker is asked for.

        Args:
            trusted: without a sandbox.
            number: different for every workshop that is open at the same time.
        """
        self.limits = limits or rooms.Limits()
        self.trusted = trusted
        self.user = None if trusted else sandbox.sandbox_user(os.getpid() * 64 + number)
        self._process: subprocess.Popen[bytes] | None = None
        self._shared = False

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def worker(self) -> Worker:
        """A fresh worker. The one before it must have been ended.

        Raises:
            OSError: if no server can be started.
        """
        for attempt in range(2):
            try:
                if self._process is None or not (self._shared or self.trusted):
                    self.close()
                    self._start()
                return self._opened()
            except OSError:
                self.close()
                if attempt:
                    raise
        raise AssertionError

    def close(self) -> None:
        """End the server and whatever runs in its sandbox."""
        if self._process is None:
            return
        self._control.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()
        self._process = None

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        settings = {
            "limits": asdict(replace(self.limits, processes=self.limits.processes + counted_already())),
            "user": self.user,
            "sandboxed": not self.trusted,
            "preload": server.PRELOADED,
        }
        walls = [] if self.trusted else sandbox.bubblewrap()
        command = [*walls, sys.executable, "-P", "-m", server.__name__, json.dumps(settings)]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._control = ours
        with theirs:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", f'exec "$@" {server.CONTROL}<&0 </dev/null', "sh", *command],
                stdin=theirs,
                stdout=self._log,
                stderr=self._log,
                env=sandbox.environment(),
                start_new_session=True,
            )
        self._shared = bool(self._answer(STARTING)["shared"])

    def _opened(self) -> Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"n"], [theirs.fileno()])
        if problem := self._answer(ANSWERING).get("error"):
            ours.close()
            raise OSError(f"no process for a notebook could be started: {problem}")
        assert self._process is not None
        return Worker(self, ours, self._process.pid, self.limits.memory)

    def end_worker(self) -> None:
        """Close the room of the worker; a server that cannot do so is ended itself."""
        try:
            self._control.sendall(b"e")
            self._answer(ANSWERING)
        except OSError:
            self.close()

    def _answer(self, seconds: float) -> Message:
        """The server's next line."""
        self._control.settimeout(seconds)
        line = bytearray()
        try:
            while not line.endswith(b"\n"):
                part = self._control.recv(1)
                if not part:
                    raise OSError("it ended")
                line += part
        except OSError as error:
            self._log.seek(0)
            said = self._log.read().decode(errors="replace").strip()[-500:]
            raise OSError(f"the server that grades notebooks does not answer ({error}). {said}".strip()) from None
        return json.loads(line)


class Worker:
    """A process that executes one notebook."""

    def __init__(self, workshop: Workshop, channel: socket.socket, root: int, memory: int) -> None:
        self._workshop, self._channel, self._root, self._memory = workshop, channel, root, memory
        self._deadline = 0.0
        self._looked = 0.0

    def send(self, message: Message, blob: Blob | None = None, *, seconds: float) -> None:
        """Send a message.

        Raises:
            Lost: if the worker is gone, or does not read it in time.
        """
        self._channel.settimeout(seconds)
        try:
            frames.send(self._channel, message, blob)
        except TimeoutError:
            raise Lost(f"was stopped after {seconds:g} seconds", slow=True) from None
        except OSError:
            raise Lost("ended the process") from None

    def receive(self, *, seconds: float) -> tuple[Message, Blob]:
        """The next message.

        Raises:
            Lost: if there is none in time, the worker is gone, uses too much memory or says what makes no sense.
        """
        self._deadline = time.monotonic() + seconds
        try:
            return frames.receive(self._channel, self._wait)
        except TimeoutError:
            raise Lost(f"was stopped after {seconds:g} seconds", slow=True) from None
        except (EOFError, OSError):
            raise Lost("ended the process") from None
        except BadFrame as error:
            raise Lost(f"interfered with grading: {error}") from None

    def end(self) -> None:
        """End the process and all that it started."""
        self._channel.close()
        self._workshop.end_worker()

    def _wait(self) -> None:
        """Return when there is something to read."""
        while True:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if select.select([self._channel], [], [], min(TICK, left))[0]:
                return
            if memory_of(self._root) > 2 * self._memory:
                raise Lost(f"used more than {2 * self._memory / 2**30:.1f} GB of memory")


def counted_already() -> int:
    """Threads that the limit on a worker's processes counts, though they are none of it.

    Linux counts per sandbox since 5.14, and before that whatever the user runs anywhere. Where the grader is root,
    every worker has a user of its own.
    """
    release = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    if os.getuid() == 0 or release >= (5, 14):
        return 0
    mine = [process for process in Path("/proc").glob("[0-9]*") if _owner(process) == os.getuid()]
    return sum(len(list(process.glob("task/*"))) for process in mine)


def _owner(process: Path) -> int | None:
    with contextlib.suppress(OSError):
        return process.stat().st_uid
    return None


def memory_of(root: int) -> int:
    """Bytes that a process and all that descend from it have written to, shared pages counted once."""
    processes, total = [root], 0
    while processes:
        process = Path("/proc", str(processes.pop()))
        with contextlib.suppress(OSError, ValueError):
            for task in (process / "task").iterdir():
                processes += map(int, (task / "children").read_text().split())
            rollup = (process / "smaps_rollup").read_text()
            total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss_Anon")) * 1024
    return total
