"""The built book: made by Jupyter Book with every notebook executed, and served on this machine."""

from __future__ import annotations

import hashlib
import os
import platform
import queue
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from mechlib.authoring import checkout

JUPYTER_BOOK = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
STRICT = ["-W", "-n", "--keep-going"]
PORTS_TRIED = 50


def pages(folder: Path | None = None) -> Path:
    """The folder of the built pages."""
    return (folder or checkout.root()) / "_build" / "html"


def build(folder: Path | None = None, *, command: list[str] | None = None, quiet_s: float = 10.0) -> int:
    """Build the book and show the builder's lines as they come; a warning is an error. The builder's exit status.

    Args:
        folder: the checkout.
        command: what runs in it instead of Jupyter Book.
        quiet_s: after so many seconds without a line, one is printed that says for how long it has been working.
    """
    folder = folder or checkout.root()
    forget_outputs_of_another_library(folder)
    command = command or [*JUPYTER_BOOK, "build", ".", *STRICT]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        for line in _lines(process, quiet_s):
            print(line, flush=True)
    return process.returncode


def forget_outputs_of_another_library(folder: Path) -> None:
    """Drop the cached outputs of notebooks if the library, its weights or the pinned versions have changed since.

    Jupyter Book itself runs a notebook again only when the notebook changes.
    """
    digest = hashlib.sha256(platform.python_version().encode())
    for path in [*sorted((folder / "mechlib").rglob("*")), folder / "constraints.txt"]:
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.relative_to(folder).as_posix().encode() + hashlib.sha256(path.read_bytes()).digest())
    made_with = folder / "_build" / "made-with"
    if not made_with.is_file() or made_with.read_text() != digest.hexdigest():
        shutil.rmtree(folder / "_build" / ".jupyter_cache", ignore_errors=True)
        made_with.parent.mkdir(exist_ok=True)
        made_with.write_text(digest.hexdigest())


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
