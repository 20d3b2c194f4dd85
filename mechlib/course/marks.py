"""What a person says about written answers and open tasks: the rows of ``written.csv``, and what they come to.

``mechlib grade`` writes the table with empty ``points`` and ``comment``; a person, or a marking page, fills them in, and
``mechlib grade --written FILE`` merges them. The columns, in this order; a file may have them in any other, and more:

``student``
    the id of the roster where that is certain, else the name by which the work was handed in; a real name of the
    roster, or the sign of an anonymous table (``anonymous``), is read as well.
``chapter``
    ``chNN``.
``question``
    the name of a written answer, as in its marker ``<!-- written: NAME -->``; or the id ``chNN.name`` of a question that
    a person has to mark, an open task that was not judged.
``points``
    a number from 0 to the most that the answer can have, with a point or a comma; empty where it is not marked yet.
``comment``
    what the student is told of it, over several lines if need be; empty for nothing.
``answer``
    the sign of the text that was marked, from ``sign``: a mark of another text than the one that counts now is not
    merged, and that is said. Empty, or without this column, a mark is of whatever counts.
``file``
    the name of the file as it was handed in, for the person; not read, and empty in an anonymous table.
``text``
    the answer, for the person; empty where the invitation was left; not read.

A row with empty ``points`` and ``comment`` says nothing.
"""

from __future__ import annotations

import hashlib

__all__ = ["COLUMNS", "sign"]

COLUMNS = ("student", "chapter", "question", "points", "comment", "answer", "file", "text")


def sign(text: str) -> str:
    """What tells a text from others: the first 12 hexadecimal digits of its SHA-256, in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
