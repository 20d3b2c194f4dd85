"""The built book: made by Jupyter Book with every notebook executed, and served on this machine."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from mechlib.authoring import checkout

EXECUTE = [sys.executable, "-c", "from mechlib.cli import main; main()", "book", "execute"]
JUPYTER_BOOK = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
STRICT = ["-W", "-n", "--keep-going"]
ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1", "OMP_NUM_THREADS": "1"}
"""One thread a process: two run side by side, and the rounding of sums, with it the last digits of a long run, is the
same on every number of cores."""
PORTS_TRIED = 50


def pages(folder: Path | None = None) -> Path:
    """The folder of the built pages."""
    return (folder or checkout.root()) / "_build" / "html"


def build(folder: Path | None = None, *, commands: list[list[str]] | None = None, quiet_s: float = 10.0) -> int:
    """Execute the chapters, build the book, and show the lines of both as they come; a warning is an error.

    Args:
        folder: the checkout.
        commands: what runs in it instead of the two, one after the other until one fails.
        quiet_s: after so many seconds without a line, one is printed that says for how long it has been working.

    Returns:
        the exit status of the last command that ran.
    """
    for command in commands or [EXECUTE, [*JUPYTER_BOOK, "build", ".", *STRICT]]:
        if status := _show(command, folder or checkout.root(), quiet_s):
            return status
    return 0


def _show(command: list[str], folder: Path, quiet_s: float) -> int:
    with subprocess.Popen(
        command,
        cwd=folder,
        env=ENVIRONMENT | os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        for line in _lines(process, quiet_s):
            print(line, flush=True)
    return process.returncode


def _lines(process: subprocess.Popen[str], quiet_s: float) -> Iterator[str]:
    """The process's lines as they come, and one of our own whenever none came for ``quiet_s`` seconds."""
    came: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in process.stdout or ():
            came.put(line.rstrip("\n"))
        came.put(None)

    Thread(target=read, daemon=True).start()
    start = time.monotonic()
    while True:
        try:
            line = came.get(timeout=quiet_s)
        except queue.Empty:
            yield f"  ... still running, {time.monotonic() - start:.0f} s in all"
            continue
        if line is None:
            return
        yield line


class _Pages(SimpleHTTPRequestHandler):
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}  # noqa: RUF012

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged: the address stays in sight."""


class _Server(ThreadingHTTPServer):
    allow_reuse_address = os.name == "posix"  # on Windows it would share a port that another program serves
    daemon_threads = True


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of the files in ``folder`` for this machine alone, at ``port`` or the next one that is free.

    Raises:
        OSError: if none of the 50 ports from ``port`` on can be used.
    """
    for candidate in range(port, port + PORTS_TRIED):
        try:
            return _Server(("127.0.0.1", candidate), partial(_Pages, directory=folder))
        except OSError as error:
            reason = error
    raise OSError(f"none of the ports {port} to {candidate} can be used: {reason}; choose another with --port")


def serve(folder: Path, port: int) -> None:
    """Serve the pages in ``folder`` until interrupted, and print their address."""
    with server(folder, port) as running:
        used = running.server_address[1]
        if used != port:
            print(f"Port {port} is in use; {used} is taken instead.")
        print(f"The book is at http://localhost:{used} (Ctrl-C ends it).", flush=True)
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            print("\nStopped.")
