"""Different data for every student in the same exercise: the seeds of the cells that are tagged ``per-student``.

Only data change, never a check: a question draws its own cases. A student's seed comes from the course's secret and the
student's id, so that the instructor can make any notebook again and no student can make another's.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import re

from mechlib.authoring.checkout import Notebook

__all__ = ["TAG", "personal", "seed", "seeds"]

TAG = "per-student"
SEED = re.compile(r"(\bmanual_seed\(|\bseed=)(\d+)\b")
"""The seeds in a cell, as ``manual_seed(0)`` or ``seed=0``."""


def seed(secret: bytes, student: str, exercise: str, number: int = 0) -> int:
    """A student's seed in an exercise, below ``2**31``, in place of the ``number`` that stands in the solution.

    The first 31 bits of HMAC-SHA256 of student, exercise and number, with the secret as its key.
    """
    message = "\0".join([student, exercise, str(number)]).encode()
    return int.from_bytes(hmac.digest(secret, message, hashlib.sha256)[:4]) >> 1


def seeds(notebook: Notebook) -> list[int]:
    """The numbers in a solution that ``seed`` puts each student's own in place of, in their order."""
    tagged = (cell["source"] for cell in notebook["cells"] if TAG in cell["metadata"].get("tags", ()))
    return [int(found[2]) for source in tagged for found in SEED.finditer(source)]


def personal(notebook: Notebook, secret: bytes, student: str, exercise: str) -> Notebook:
    """The notebook with a student's own seeds in its tagged cells.

    Raises:
        ValueError: if a tagged cell has no seed; the message names the cell.
    """
    own = copy.deepcopy(notebook)

    def drawn(found: re.Match[str]) -> str:
        return f"{found[1]}{seed(secret, student, exercise, int(found[2]))}"

    for cell in own["cells"]:
        if TAG in cell["metadata"].get("tags", ()):
            cell["source"], count = SEED.subn(drawn, cell["source"])
            if not count:
                raise ValueError(f"{exercise}, cell {cell['id']}: tagged {TAG!r} without manual_seed(N) or seed=N")
    return own
