"""A server in its sandbox, and the workers that it forks, seen from the grader."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

from mechlib.grading import containers, sandbox
from mechlib.grading.processes import Look, Watch, owner
from mechlib.grading.sandbox import Engine
from mechlib.grading.worker import frames, rooms, server
from mechlib.grading.worker.frames import BadFrame, Blob, Message

__all__ = ["Lost", "Worker", "Workshop"]

STARTING = 300.0
"""Seconds in which a server must have loaded the libraries."""

ANSWERING = 20.0
"""Seconds in which a server must answer."""

LONGEST_LINE = 2000
"""Bytes of such an answer."""

TICK = 0.25
"""Seconds between two looks at the processes of a notebook, whether it says anything or not."""

BRIEF = 0.02
"""Seconds before the first look at who waits: most messages are there by then, and a look costs some."""


class Lost(Exception):
    """A worker is of no use any more; the message completes "it ..."."""

    def __init__(self, message: str, *, slow: bool = False) -> None:
        super().__init__(message)
        self.slow = slow
        """Whether it was stopped because time was up."""


class Workshop:
    """One server; it has one worker at a time. Close it, or use it in a ``with`` statement."""

    def __init__(self, limits: rooms.Limits | None = None, *, engine: Engine = "bubblewrap", number: int = 0) -> None:
        """Nothing is started before the first worker is asked for.

        Args:
            engine: what builds the sandbox.
            number: different for every workshop that is open at the same time.
        """
        self.limits = limits or rooms.Limits()
        self.engine = engine
        self._number = os.getpid() + number
        self.user = None if engine == "none" else sandbox.sandbox_user(os.getpid() * 64 + number)
        self._names = (f"mechlib-{os.getpid()}-{number}-{count}" for count in itertools.count())
        self._name = ""
        self.process: subprocess.Popen[bytes] | None = None
        """The server in its sandbox, while there is one."""
        self.shared = False
        """Whether the server forks one worker after another, where the machine allows namespaces in the sandbox; else
        every worker has a server of its own."""
        self._lock = threading.RLock()
        """Held while a room or the server is ended, which two threads may be about to do."""

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
                if self.process is None or not (self.shared or self.engine == "none"):
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
        with self._lock:
            if self.process is None:
                return
            self._control.close()
            if self._contained:
                containers.remove(self.engine, self._name)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self._log.close()
            self.process = None

    @property
    def _contained(self) -> bool:
        return self.engine in ("podman", "docker")

    def _start(self) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        if self._contained:
            self._start_container()
        else:
            self._start_here()
        self.shared = bool(self._answer(STARTING)["shared"])

    def _start_here(self) -> None:
        """Start a server that has the control socket from its birth."""
        ours, theirs = socket.socketpair()
        self._control = ours
        walls = sandbox.bubblewrap() if self.engine == "bubblewrap" else []
        command = ["/bin/sh", "-c", f'exec "$@" {server.CONTROL}<&0 </dev/null', "sh", *walls, *self._server()]
        with theirs:
            self.process = self._popen(command, theirs.fileno(), sandbox.environment())

    def _start_container(self) -> None:
        """Start a server that connects to the control socket: an engine hands no open file on."""
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as waiting:
            path = Path(folder, "control")
            waiting.bind(str(path))
            path.chmod(0o666)
            waiting.listen(1)
            view, user, self._name = sandbox.view(), self.user, next(self._names)
            walls = containers.command(self.engine, self._name, view, self.limits, user=user, control=path)
            self._control = socket.socket()
            self.process = self._popen([*walls, *self._server(containers.CONTROL)], subprocess.DEVNULL, None)
            waiting.settimeout(TICK)
            ends = time.monotonic() + STARTING
            while self.process.poll() is None and time.monotonic() < ends:
                with contextlib.suppress(TimeoutError):
                    self._control = waiting.accept()[0]
                    return
        raise OSError(f"{self.engine} starts no server. {self._said()}".strip())

    def _server(self, control: str | None = None) -> list[str]:
        processes = self.limits.processes + counted_already(apart=not self._contained)
        limits = replace(self.limits, processes=processes, processor=self._number)
        settings = {
            "limits": asdict(limits),
            "user": None if self._contained else self.user,
            "sandboxed": self.engine != "none",
            "preload": server.PRELOADED,
            "control": control,
        }
        return [sys.executable, "-P", "-m", server.__name__, json.dumps(settings)]

    def _popen(self, command: list[str], given: int, surroundings: dict[str, str] | None) -> subprocess.Popen[bytes]:
        log = self._log
        return subprocess.Popen(command, stdin=given, stdout=log, stderr=log, env=surroundings, start_new_session=True)

    def _opened(self) -> Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"n"], [theirs.fileno()])
        if problem := self._answer(ANSWERING).get("error"):
            ours.close()
            raise OSError(f"no process for a notebook could be started: {problem}")
        assert self.process is not None
        return Worker(self, ours, self.process.pid, self.limits.memory)

    def end_worker(self) -> None:
        """Close the room of the worker; a server that cannot do so is ended itself."""
        with self._lock:
            if self.process is None:
                return
            try:
                self._control.sendall(b"e")
                self._answer(ANSWERING)
            except OSError:
                self.close()

    def _answer(self, seconds: float) -> Message:
        """The server's next line."""
        ends, line = time.monotonic() + seconds, bytearray()
        try:
            while not line.endswith(b"\n"):
                self._control.settimeout(max(0.01, ends - time.monotonic()))
                part = self._control.recv(1)
                if not part or len(line) > LONGEST_LINE:
                    raise OSError("it ended" if not part else "it does not come to an end")
                line += part
            answer = json.loads(line)
        except (OSError, ValueError) as error:
            raise OSError(
                f"the server that grades notebooks does not answer ({error}). {self._said()}".strip()
            ) from None
        return answer if isinstance(answer, dict) else {}

    def _said(self) -> str:
        """The end of what the server wrote."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace").strip()[-500:]


class Worker:
    """A process that executes one notebook."""

    def __init__(self, workshop: Workshop, channel: socket.socket, root: int, memory: int) -> None:
        self._workshop, self._channel, self._most = workshop, channel, 2 * memory
        self.root = root
        """The number of the first of its processes."""
        self._watch = Watch(root, self._most, workshop.end_worker, every=TICK)
        self.starved = 0.0
        """Seconds in which the process would have run and had no processor, as far as the system tells: whoever
        is graded beside it costs it none of its own time."""
        self.latest = math.inf
        """When it is stopped in any case, on the clock of ``time.monotonic``."""

    def send(self, message: Message, blob: Blob | None = None, *, seconds: float) -> None:
        """Send a message.

        Raises:
            Lost: if the worker is gone, or does not read it in time.
        """
        self._channel.settimeout(seconds)
        try:
            frames.send(self._channel, message, blob)
        except OSError as error:
            raise self._lost(error, seconds) from None

    def receive(self, *, seconds: float) -> tuple[Message, Blob]:
        """The next message.

        Raises:
            Lost: if there is none in time, the worker is gone, uses too much memory or says what makes no sense.
        """
        ends = time.monotonic() + seconds - self.starved
        try:
            return frames.receive(self._channel, lambda: self._wait(ends))
        except (EOFError, OSError, BadFrame) as error:
            raise self._lost(error, seconds) from None

    def _lost(self, error: Exception, seconds: float) -> Lost:
        if self._watch.exceeded:
            return Lost(f"used more than {self._most / 2**30:.1f} GB of memory")
        if isinstance(error, BadFrame):
            return Lost(f"interfered with grading: {error}")
        if isinstance(error, TimeoutError):
            return Lost(f"was stopped after {seconds:g} seconds", slow=True)
        return Lost("ended the process")

    def end(self) -> None:
        """End the process and all that it started."""
        self._watch.close()
        self._channel.close()
        self._workshop.end_worker()

    def _wait(self, ends: float) -> None:
        """Return when there is something to read, unless time is up."""
        before = None
        while True:
            left = min(self.latest, ends + self.starved) - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if select.select([self._channel], [], [], min(TICK if before else BRIEF, left))[0]:
                return
            now = Look.now(self.root)
            if before:
                self.starved += now.starved_since(before)
            before = now


def counted_already(*, apart: bool) -> int:
    """Threads that the limit on a worker's processes counts, though they are none of it.

    Linux counts apart what runs in a sandbox with users of its own since 5.14, and else whatever the user runs
    anywhere. Where the grader is root, every worker has a user of its own.

    Args:
        apart: whether the sandbox has users of its own.
    """
    release = tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])
    if os.getuid() == 0 or (apart and release >= (5, 14)):
        return 0
    mine = [process for process in Path("/proc").glob("[0-9]*") if owner(process) == os.getuid()]
    return sum(len(list(process.glob("task/*"))) for process in mine)
