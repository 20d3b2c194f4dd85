"""Which files of the checkout a notebook read while it ran: what ``mechlib.authoring.reach`` said is held to it.

The kernel runs this file before the first cell. It sees what Python opens to read, modules included; it does not see
what another process opens, or a library that is not written in Python.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.util import source_from_cache
from pathlib import Path
from typing import Any


def arguments(folder: Path, log: Path) -> list[str]:
    """The arguments of a kernel that writes to ``log`` which files below ``folder`` it reads."""
    start = f"__import__('runpy').run_path({__file__!r})['watch']({str(folder)!r}, {str(log)!r})"
    return [f"--IPKernelApp.exec_lines={start}"]


def opened(log: Path) -> set[str]:
    """The files of the checkout that were read, by their paths in it; byte code counts as its source."""
    return set(log.read_text(encoding="utf-8").splitlines()) if log.is_file() else set()


def watch(folder: str, log: str) -> None:
    """From now on write down each file below ``folder`` that this process reads, but for hidden ones and ``_build``."""
    written = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    sys.addaudithook(_noting(os.path.realpath(folder), lambda line: os.write(written, line)))


def _noting(folder: str, write: Callable[[bytes], Any]) -> Callable[[str, tuple[Any, ...]], None]:
    seen: set[str] = set()

    def note(event: str, details: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(details[0], str | bytes | os.PathLike) or details[2] & os.O_WRONLY:
            return
        path = os.path.abspath(os.fsdecode(details[0]))
        if path in seen:
            return
        seen.add(path)
        real = os.path.realpath(_source(path))
        if real.startswith(folder + os.sep):
            where = real[len(folder) + 1 :].replace(os.sep, "/")
            if not where.startswith((".", "_build/")):
                write(f"{where}\n".encode())

    return note


def _source(path: str) -> str:
    try:
        return source_from_cache(path) if path.endswith(".pyc") else path
    except ValueError:
        return path
