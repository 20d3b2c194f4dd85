"""Places in a text that a command of the authors fills."""

from __future__ import annotations

import re

__all__ = ["filled", "replaced"]

BEGIN, END = "<!-- begin chapters: generated -->", "<!-- end chapters -->"


def filled(text: str, table: str, name: str) -> str:
    """The text with ``table`` between its two marks.

    Raises:
        ValueError: if the marks are not there once; the message has the text's ``name``.
    """
    return replaced(text, rf"(?s){BEGIN}\n.*{END}", f"{BEGIN}\n{table}\n{END}", f"{name}: {BEGIN!r}")


def replaced(text: str, pattern: str, replacement: str, place: str) -> str:
    """The text with the one match of ``pattern`` replaced.

    Raises:
        ValueError: if there is none, or more; the message names the ``place``.
    """
    text, count = re.subn(pattern, lambda _: replacement, text)
    if count != 1:
        raise ValueError(f"{place} is there {count} times; what 'mechlib book' writes there needs it once")
    return text
