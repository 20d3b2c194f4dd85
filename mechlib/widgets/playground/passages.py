"""Passages on which the book's language models were not trained: functions and classes of held-out files."""

from __future__ import annotations

import re
from functools import cache

from mechlib import text

N_PASSAGES = 12
N_TOKENS = 72
BEGINNING = re.compile(r"^(?:def|class) ", re.MULTILINE)


@cache
def passages() -> tuple[str, ...]:
    """The beginnings of functions and classes, one a file, of ``N_TOKENS`` tokens each.

    They come from held-out files of the running interpreter's standard library, spread evenly over those that have one:
    the same for a given version of Python.
    """
    found = [start for document in text.files("held_out") if (start := _first(document.text))]
    return tuple(found[len(found) * n // N_PASSAGES] for n in range(N_PASSAGES))


def _first(source: str) -> str:
    """The first function or class of a file, cut to ``N_TOKENS`` tokens; nothing if the file is shorter."""
    begun = BEGINNING.search(source)
    ids = text.encode(source[begun.start() :], bos=False)[:N_TOKENS] if begun else ()
    return text.decode(ids) if len(ids) == N_TOKENS else ""
