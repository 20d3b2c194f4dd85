"""Files that are whole or not there, and made by one process at a time."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

__all__ = ["one_process", "written_whole"]


@contextmanager
def written_whole(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """A stream whose bytes are at ``path`` once the block has ended, in place of what was there; nothing if it raises.

    They are written beside it first, so whoever opens ``path``, at whatever moment, finds the old file or the new one.
    With ``private`` nobody but its owner can read the file, from its first byte and whatever the umask is, where the
    system knows such rights.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    mode = 0o600 if private else 0o666
    try:
        with open(partial, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as stream:
            if private:  # whatever the umask took
                partial.chmod(0o600)
            yield stream
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def one_process(lock: Path, waiting: Callable[[], object]) -> Iterator[None]:
    """No other process is inside a block with the same ``lock``, a file that stays; ``waiting`` is called if one is."""
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        waiting()
        held.acquire()
    try:
        yield
    finally:
        held.release()
