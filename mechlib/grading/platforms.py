"""How Canvas, Moodle, Gradescope and Brightspace name what they give to download, and whose a file therefore is.

Sources: Canvas, ``lib/content_zipper.rb``; Moodle, ``mod/assign/locallib.php``. Students choose names too: one that
only looks like a platform's is its owner's, see ``owners``.
"""

from __future__ import annotations

import datetime
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = ["GRADESCOPE", "METADATA", "Owner", "folded", "gradescope_students", "owners"]

CANVAS = re.compile(
    r"(?P<student>[^_]+)_(?P<late>LATE_)?(?P<number>[1-9][0-9]{0,18})_"
    r"(?:(?P<upload>[1-9][0-9]{0,18})_(?P<rest>.+)|(?:text|link)\.html)",
    re.DOTALL,
)
"""The name without spaces, the user's number and that of the uploaded file; a text or a link has no such number."""
CANVAS_ANONYMOUS = re.compile(
    r"(?P<late>LATE_)?anon_(?P<number>[A-Za-z0-9]+)_(?P<upload>[1-9][0-9]{0,18})_(?P<rest>.+)", re.DOTALL
)
MOODLE = re.compile(r"(?P<student>[^_]+)_(?P<number>[0-9]+)_assignsubmission_[a-z]+_?.*", re.DOTALL)
GRADESCOPE = re.compile(r"(?P<student>submission_(?P<number>[0-9]+))")
BRIGHTSPACE = re.compile(
    r"(?P<number>[0-9]+)-[0-9]+ - (?P<student>.+?) ?- (?P<when>[^-]*[0-9]{4},? [0-9]{3,4}(?: ?[AP]M)?)(?: - .+)?",
    re.DOTALL,
)

ANONYMOUS = "Participant"
"""What Moodle calls everybody where the students are anonymous."""

MADE_AT = re.compile(r"([A-Z][a-z]{2})[a-z]* ([0-9]{1,2}), ([0-9]{4}) ([0-9]{1,2})([0-9]{2}) ?([AP])M")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

AGAIN = re.compile(r"(?P<name>.*?)(?:-(?P<again>[1-9][0-9]?))?", re.DOTALL)
COPY = re.compile(r"(?P<name>.*?)(?: \((?P<again>[1-9][0-9]?)\))?", re.DOTALL)
"""What Canvas (``-1``) and browsers (`` (1)``) add to a name that is there already; a longer number is the owner's."""

EXERCISE = re.compile(r"[0-9]{2}_[a-z_]+(?: \([0-9]+\))?\.ipynb")
"""A name that the exercises have: it is no student's."""

LONG_USER, LONG_UPLOAD = 1000, 10000
"""Numbers that hardly stand in a name by chance, such as that of an exercise or of a week."""

METADATA = "submission_metadata.yml"
"""Gradescope's list of who handed in which folder."""

ENTRY = re.compile(r"(submission_\d+):\s*")
DETAIL = re.compile(r"\s+(?:- )?:(name|sid): *(.*)")


@dataclass(frozen=True)
class Owner:
    """Whose a file is, and what else its name tells."""

    student: str
    platform: str = ""
    """``"canvas"``, ``"moodle"``, ``"gradescope"``, ``"brightspace"``: what gave the name and the student's number.
    ``"unnamed"`` where a platform gave a name that tells no student; empty where none gave it."""
    number: str = ""
    """The student's number there; that of a submission without a student for Gradescope's folders."""
    late: bool = False
    """Whether the platform says that it came late."""
    attempt: int = 0
    """The larger, the later; that of another student's file says nothing."""
    seconds: float | None = None
    """When it was handed in; ``None`` where the name does not say."""


def folded(name: str) -> str:
    """A name as it is compared: composed and decomposed accents, wide and narrow, large and small letters are one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def owners(names: Sequence[PurePosixPath], known: Collection[str] = ()) -> list[Owner]:
    """Whose each file is, from all paths in the folder or zip of a class.

    Folders around the whole class name nobody. Below them only the first part of a path is the platform's, or the
    teacher's; what lies deeper was named by a student.

    Args:
        names: the paths.
        known: names and ids of students, ``folded``; a file or folder that is called so is that student's, whatever
            it looks like.
    """
    around = _around([name for name in names if len(name.parts) > 1 or name.suffix.lower() == ".ipynb"], known)
    inner = [_below(name, around) for name in names]
    if known and _in_sections([name for name in inner if name.suffix.lower() == ".ipynb"], known):
        inner = [PurePosixPath(*name.parts[1:]) for name in inner]
    canvas = _of_canvas({name.name for name in inner if len(name.parts) == 1}, known)
    return [
        canvas[name.name] if len(name.parts) == 1 and name.name in canvas else _owner(name, known) for name in inner
    ]


def _owner(name: PurePosixPath, known: Collection[str]) -> Owner:
    """Whose a file is that is not Canvas's."""
    first = name.parts[0]
    stem, attempt = (first, 0) if len(name.parts) > 1 else _plain(first)
    if folded(stem) in known:
        return Owner(_composed(stem), attempt=attempt)
    if found := MOODLE.fullmatch(first):
        student, number = found["student"].strip(), found["number"]
        return Owner(_composed(f"{student} {number}" if student == ANONYMOUS else student), "moodle", number)
    if found := GRADESCOPE.fullmatch(first):
        return Owner(found["student"], "unnamed", found["number"])
    if found := BRIGHTSPACE.fullmatch(first):
        return Owner(_composed(found["student"].strip()), "brightspace", found["number"], seconds=_time(found["when"]))
    return Owner(_composed(stem), attempt=attempt)


def _plain(file: str) -> tuple[str, int]:
    """Student and attempt of a file that is named after its owner. What the exercises are called is nobody's name: a
    browser numbers those of several students alike."""
    stem = PurePosixPath(file).stem
    return (stem, 0) if EXERCISE.fullmatch(file) else _without(COPY, stem)


def _without(added: re.Pattern[str], stem: str) -> tuple[str, int]:
    """A name without the number that was added because it was there already, and that number."""
    found = added.fullmatch(stem)
    assert found is not None
    return found["name"], int(found["again"] or 0)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _platform_s(first: str) -> bool:
    return any(pattern.fullmatch(first) for pattern in (MOODLE, GRADESCOPE, BRIGHTSPACE))


def _around(names: Iterable[PurePosixPath], known: Collection[str]) -> tuple[str, ...]:
    """The folders, one in another, that lie around everything and that are no student's."""
    sane = [name for name in names if not name.is_absolute() and ".." not in name.parts]
    folders = {name.parts[:-1] for name in sane}
    shortest, longest = min(folders, default=()), max(folders, default=())
    around = []
    for part, other in zip(shortest, longest, strict=False):
        if part != other or _platform_s(part) or folded(part) in known:
            break
        around.append(part)
    if folders == {tuple(around)} and all(EXERCISE.fullmatch(name.name) for name in sane):
        around = around[:-1]  # the notebooks of one student
    return tuple(around)


def _below(name: PurePosixPath, around: tuple[str, ...]) -> PurePosixPath:
    inside = name.parts[: len(around)] == around and len(name.parts) > len(around)
    return PurePosixPath(*name.parts[len(around) :]) if inside else name


def _in_sections(names: Collection[PurePosixPath], known: Collection[str]) -> bool:
    """Whether the first folders are sections of the class: the roster knows none of them and most of what is inside."""
    if any(len(name.parts) < 2 or folded(name.parts[0]) in known or _platform_s(name.parts[0]) for name in names):
        return False
    inside = (PurePosixPath(*name.parts[1:]) for name in names)
    found = [folded(name.parts[0] if len(name.parts) > 1 else _plain(name.name)[0]) in known for name in inside]
    return 2 * sum(found) > len(found)


def _of_canvas(files: Collection[str], known: Collection[str]) -> dict[str, Owner]:
    """The owners of those files, all in one folder, that Canvas named.

    Canvas numbers every upload once, so that names such as ``hw_2_1_alice`` and ``hw_2_1_bob`` are the owners' own.
    So are several of one "student" that go on differently, unless their numbers are too long for a name of one's own;
    and a short number among files that are not Canvas's. Where one is doubtful, so are all that begin alike.
    """
    own = [file for file in files if folded(_plain(file)[0]) not in known]
    found = {file: match for file in own if (match := CANVAS.fullmatch(file))}
    notebooks = {file for file in files if file.lower().endswith(".ipynb")}
    mixed = not notebooks <= found.keys()
    by_name: dict[str, list[str]] = defaultdict(list)
    for file, match in found.items():
        by_name[_composed(match["student"].casefold())].append(file)
    for of_name in by_name.values():
        if _doubtful([found[file] for file in of_name], mixed):
            for file in of_name:
                del found[file]
    found |= {file: match for file in own if (match := CANVAS_ANONYMOUS.fullmatch(file))}
    return _in_order(found)


def _doubtful(matches: Sequence[re.Match[str]], mixed: bool) -> bool:
    """Whether names that begin alike can hardly be Canvas's."""
    uploads = Counter(match["upload"] for match in matches if match["upload"])
    if max(uploads.values(), default=0) > 1:
        return True
    goes_on = defaultdict(set)
    for match in matches:
        if match["upload"]:
            goes_on[match["number"]].add(_without(AGAIN, PurePosixPath(match["rest"]).stem)[0])
    long = all(int(m["number"]) >= LONG_USER and int(m["upload"] or LONG_UPLOAD) >= LONG_UPLOAD for m in matches)
    several = any(len(rest) > 1 for rest in goes_on.values())
    short = any(int(match["number"]) < LONG_USER for match in matches)
    return (several and not long) or (short and mixed)


def _in_order(found: dict[str, re.Match[str]]) -> dict[str, Owner]:
    """The owners, with the uploads' numbers as attempts: they grow with time.

    Canvas adds ``-1``, ``-2`` to a name that was handed in before. Where that tells another order than the numbers,
    all are given the same attempt: nothing decides.
    """
    attempts = {file: int(match["upload"] or 0) for file, match in found.items()}
    alike: dict[tuple[str, str, str], list[tuple[int, str]]] = defaultdict(list)
    for file, match in found.items():
        stem, again = _without(AGAIN, PurePosixPath(match["rest"] or "").stem)
        alike[_name_of(match), match["number"], stem].append((again, file))
    for files in alike.values():
        in_order = [attempts[file] for _, file in sorted(files)]
        if in_order != sorted(in_order):
            attempts |= dict.fromkeys((file for _, file in files), max(in_order))
    return {
        file: Owner(
            _composed(_name_of(match)),
            "canvas" if match.re is CANVAS else "unnamed",
            match["number"],
            match["late"] is not None,
            attempts[file],
            0.0,
        )
        for file, match in found.items()
    }


def _name_of(match: re.Match[str]) -> str:
    return match.groupdict().get("student") or f"anon {match['number']}"


def _time(when: str) -> float | None:
    """Seconds of a time such as "Nov 3, 2026 1105 AM", to compare with others of the same kind."""
    found = MADE_AT.fullmatch(when.strip())
    if not found or found[1] not in MONTHS:
        return None
    hour = int(found[4]) % 12 + 12 * (found[6] == "P")
    day = (int(found[3]), MONTHS.index(found[1]) + 1, int(found[2]))
    try:
        return datetime.datetime(*day, hour, int(found[5]), tzinfo=datetime.UTC).timestamp()
    except ValueError:
        return None


def gradescope_students(metadata: str) -> dict[str, tuple[str, str]]:
    """Name and number of the student of every folder, from the lines of Gradescope's metadata file.

    A group goes by the names of all its members; it has no number. Where two folders are of one name without a number,
    each name gets that of its folder: a student has one folder.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for line in metadata.splitlines():
        if entry := ENTRY.fullmatch(line):
            details = found.setdefault(entry[1], defaultdict(list))
        elif found and (detail := DETAIL.fullmatch(line)):
            details[detail[1]].append(_scalar(detail[2].strip()))
    students = {
        folder: (_composed(", ".join(of["name"])), of["sid"][0] if len(of["sid"]) == 1 else "")
        for folder, of in found.items()
        if any(of["name"])
    }
    counts = Counter(students.values())
    return {
        folder: (f"{name} ({folder})", "") if not number and counts[name, number] > 1 else (name, number)
        for folder, (name, number) in students.items()
    }


def _scalar(text: str) -> str:
    """What a word of YAML stands for."""
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text[1:-1]
    return text
