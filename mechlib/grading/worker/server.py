"""The process that loads the libraries once and forks a worker for every notebook.

Started as ``python -m mechlib.grading.worker.server SETTINGS`` with the control socket as file 3, or with its path in
the settings. The grader sends one byte at a time: ``n`` together with a socket opens a room for a notebook whose worker
talks on that socket, ``e`` closes it. Each is answered by one line of JSON, with ``"error"`` where it failed.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import json
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from mechlib.grading.worker.rooms import Limits, Room, open_room

__all__ = ["CONTROL", "PRELOADED"]

CONTROL = 3
"""The file of the control socket."""

PRELOADED = (
    "matplotlib.pyplot",
    "numpy",
    "torch",
    "IPython.core.inputtransformer2",
    "mechlib.checks",
    "mechlib.figures.plots",
    "mechlib.stream",
    "mechlib.text",
    "mechlib.zoo",
    "mechlib.grading.worker.cells",
)


def main(settings: dict[str, Any]) -> None:
    """Answer the grader until it hangs up."""
    for name in settings["preload"]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    _read_ahead()
    gc.freeze()  # no worker looks through what is here for garbage, which would copy it
    limits, user = Limits(**settings["limits"]), settings["user"]
    with _connected(settings["control"]) as control:
        shared = settings["sandboxed"] and _can_share(limits, user, functools.partial(_let_go, control))
        _tell(control, {"shared": shared})
        _serve(control, limits, user, shared)


def _read_ahead() -> None:
    """Read once what notebooks of several chapters read, which takes a second: every worker has it from its birth."""
    with contextlib.suppress(KeyError):
        sys.modules["mechlib.text"].files("held_out")


def _connected(path: str | None) -> socket.socket:
    if path is None:
        return socket.socket(fileno=CONTROL)
    control = socket.socket(socket.AF_UNIX)
    control.connect(path)
    return control


def _can_share(limits: Limits, user: int | None, let_go: Callable[[], None]) -> bool:
    try:
        open_room(lambda: None, limits, user=user, shared=True, let_go=let_go).close()
    except OSError:
        return False
    return True


def _serve(control: socket.socket, limits: Limits, user: int | None, shared: bool) -> None:
    room: Room | None = None
    while True:
        command, files, _, _ = socket.recv_fds(control, 1, 1)
        if room is not None:
            room.close()
            room = None
        if not command:
            return
        problem = {}
        if command == b"n":
            channel = socket.socket(fileno=files[0])
            try:
                work = functools.partial(_work, channel)
                let_go = functools.partial(_let_go, control)
                room = open_room(work, limits, user=user, shared=shared, let_go=let_go)
            except OSError as error:
                problem = {"error": str(error)}
            channel.close()
        _tell(control, problem)


def _tell(control: socket.socket, message: dict[str, Any]) -> None:
    control.sendall(json.dumps(message).encode() + b"\n")


def _let_go(control: socket.socket) -> None:
    """Close what a forked process has of the server's: the control socket and the log."""
    control.close()
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.close(null)


def _work(channel: socket.socket) -> None:
    """Serve one notebook, in a forked process."""
    from mechlib.grading.worker.cells import Notebook

    os.chdir("/tmp")
    sys.argv = ["notebook"]
    Notebook(channel).serve()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
