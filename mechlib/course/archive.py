"""Zip archives with the same bytes for the same content."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection, Mapping

__all__ = ["packed"]

LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The date of every member, the first that the format can hold."""


def packed(files: Mapping[str, bytes], executable: Collection[str] = (), private: Collection[str] = ()) -> bytes:
    """A zip archive of ``files``, contents by name; the names in ``executable`` may be run, those in ``private`` are
    for the owner of the unpacked files alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            member = zipfile.ZipInfo(name, LONG_AGO)
            member.compress_type = zipfile.ZIP_DEFLATED
            mode = 0o100755 if name in executable else 0o100600 if name in private else 0o100644
            member.external_attr = mode << 16
            archive.writestr(member, content)
    return buffer.getvalue()
