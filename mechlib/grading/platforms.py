"""How Canvas, Moodle and Gradescope name what they give to download."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import PurePosixPath

__all__ = ["GRADESCOPE", "METADATA", "PATTERNS", "gradescope_students", "who"]

CANVAS = re.compile(r"(?P<student>[^_]+)_(?:LATE_)?(?P<number>\d+)_\d+_(?P<rest>.+)", re.DOTALL)
MOODLE = re.compile(r"(?P<student>[^_]+)_(?P<number>\d+)_assignsubmission_[a-z]+_?(?P<rest>.*)", re.DOTALL)
GRADESCOPE = re.compile(r"(?P<student>submission_(?P<number>\d+))")
AGAIN = re.compile(r"(.*?)(?:-(\d{1,6})| \((\d{1,6})\))?", re.DOTALL)

PATTERNS = (MOODLE, GRADESCOPE, CANVAS)

METADATA = "submission_metadata.yml"
"""Gradescope's list of who handed in which folder."""

ENTRY = re.compile(r"(submission_\d+):\s*")
DETAIL = re.compile(r"\s+(?:- )?:(name|sid): *(.*)")


def who(name: PurePosixPath) -> tuple[str, str, int]:
    """Student, number and attempt, from a path relative to the folder of the class.

    Only its first part is the platform's, or the teacher's; what lies deeper was named by a student.

    >>> who(PurePosixPath("doejane_LATE_4711_99_lens-2.ipynb"))
    ('doejane', '4711', 2)
    """
    first = name.parts[0]
    for pattern in PATTERNS:
        if found := pattern.fullmatch(first):
            _, attempt = attempt_of(PurePosixPath(found.groupdict().get("rest") or first).stem)
            return found["student"].strip(), found["number"], attempt if pattern is CANVAS else 0
    if len(name.parts) > 1:
        return name.parts[0], "", 0
    student, attempt = attempt_of(name.stem) if " (" in name.stem else (name.stem, 0)
    return student, "", attempt


def attempt_of(stem: str) -> tuple[str, int]:
    """A name without the number that platforms and browsers add to what is handed in again, and that number."""
    found = AGAIN.fullmatch(stem)
    assert found is not None
    return found[1], int(found[2] or found[3] or 0)


def gradescope_students(metadata: str) -> dict[str, tuple[str, str]]:
    """Name and number of the student of every folder, from the lines of Gradescope's metadata file.

    A group goes by the names of all its members; it has no number.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for line in metadata.splitlines():
        if entry := ENTRY.fullmatch(line):
            details = found.setdefault(entry[1], defaultdict(list))
        elif found and (detail := DETAIL.fullmatch(line)):
            details[detail[1]].append(detail[2].strip().strip("'\""))
    return {
        folder: (", ".join(of["name"]), of["sid"][0] if len(of["sid"]) == 1 else "")
        for folder, of in found.items()
        if any(of["name"])
    }
