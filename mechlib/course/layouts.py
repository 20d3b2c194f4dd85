"""Files for many students in one zip, laid out as a platform takes them in: feedback pages, or exercises of their own.

===========  =========================================================================================================
Canvas       ``name_101_555_feedback.html``: the number of the student and of a file that they handed in, as Canvas
             wrote them into the names of its download. Upload with 'Upload submissions' in the gradebook's menu of the
             assignment. Without a file that was handed in there is no such number, and Canvas passes over the file.
Moodle       ``Full name_12_assignfeedback_file_/feedback.html``: the number of the participant. Upload with 'Upload
             multiple feedback files in a zip'; feedback files have to be on in the assignment's settings.
Brightspace  ``12-34 - Name - Nov 3, 2026 1105 AM/feedback.html``: the folder of the download, whose name has to stay.
             Upload with 'Add Feedback Files'.
===========  =========================================================================================================

Sources: Canvas, ``infer_comment_context_from_filename`` of its assignments; Moodle,
``mod/assign/feedback/file/importziplib.php``; Brightspace, its help on feedback files, not tried.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, get_args

from mechlib.course.archive import packed
from mechlib.course.matching import Match
from mechlib.grading.platforms import BRIGHTSPACE, CANVAS, CANVAS_ANONYMOUS, MOODLE

__all__ = ["Address", "Platform", "addresses", "laid_out", "participants"]

Platform = Literal["canvas", "moodle", "brightspace"]

UNSAFE = re.compile(r'[\x00-\x1f/\\:*?"<>|_]+')
"""What a name in the zip may not hold: the underscore stands between its parts."""


@dataclass(frozen=True)
class Address:
    """Where a file goes so that a platform gives it to one student."""

    student: str
    """As ``matching.person`` tells them."""
    before: str
    """What stands before the name of the file: a prefix, or a folder with its ``/``."""


def addresses(found: Iterable[Match], platform: Platform) -> list[Address]:
    """Where the students of a class are reached by what they handed in: as the names of their files say.

    Of several files of one student the one that counts says it; those of no platform, and of another, say nothing.
    """
    reached: dict[str, Address] = {}
    for match in found:
        if match.grade.platform not in (platform, "unnamed"):
            continue  # whoever named it, it was not this platform
        before = _before(PurePosixPath(match.grade.source).parts, platform)
        if before and match.people:
            who = match.people[0] if not match.members or match.student is None else match.student.id
            reached.setdefault(who, Address(who, before))
    return list(reached.values())


def _before(parts: Sequence[str], platform: Platform) -> str:
    """What a platform reads of the path of a download; empty if the path is not its own."""
    for part in parts:
        if platform == "canvas" and part == parts[-1]:
            found = CANVAS.fullmatch(part) or CANVAS_ANONYMOUS.fullmatch(part)
            rest = found["rest"] if found and found["upload"] else None
            if rest is not None:
                return part[: -len(rest)]
        if platform == "moodle" and (found := MOODLE.fullmatch(part)):
            return _participant(found["student"], found["number"])
        if platform == "brightspace" and BRIGHTSPACE.fullmatch(part) and part != parts[-1]:
            return f"{part}/"
    return ""


def _participant(name: str, number: str) -> str:
    return f"{UNSAFE.sub(' ', name).strip() or 'Participant'}_{number}_assignfeedback_file_/"


def participants(people: Mapping[str, str], whose: Mapping[str, str]) -> list[Address]:
    """Where the participants of an assignment of Moodle are reached, handed in or not.

    Args:
        people: their names, by number, from a worksheet.
        whose: the students, as ``matching.person`` tells them, by number.
    """
    return [Address(whose[number], _participant(name, number)) for number, name in people.items() if number in whose]


def laid_out(reached: Iterable[Address], files: Mapping[str, Mapping[str, bytes]]) -> tuple[bytes, list[str]]:
    """The zip, and the students who have files and cannot be reached.

    Args:
        reached: where students are reached.
        files: what everybody is given: contents by name, by student.

    Raises:
        ValueError: if nobody can be reached, or two would be reached at one place.
    """
    by_student = {each.student: each.before for each in reached}
    places = {who: by_student[who] for who in files if who in by_student}
    if twice := [before for before, count in Counter(places.values()).items() if count > 1]:
        raise ValueError(
            f"two students would get the files of {twice[0]!r}: the names of the files do not tell them apart"
        )
    if not places:
        raise ValueError(
            "no file was named by this platform, so that it could not tell whose is whose: grade its own download, "
            f"not renamed, or name another of {', '.join(get_args(Platform))}"
        )
    content = {f"{before}{name}": data for who, before in places.items() for name, data in files[who].items()}
    return packed(content), [who.removeprefix("?") for who in files if who not in places]
