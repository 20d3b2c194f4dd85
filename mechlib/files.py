"""Files that are whole or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["written_whole"]


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
