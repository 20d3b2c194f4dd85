"""The notebooks of a class: a folder or the zip that Canvas, Moodle, Gradescope or Brightspace gives to download.

Nothing is unpacked and no link is followed: a file is read where it lies, as far as a limit, when it is graded.
"""

from __future__ import annotations

import contextlib
import datetime
import lzma
import re
import stat
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mechlib.grading.platforms import GRADESCOPE, METADATA, Owner, folded, gradescope_students, owners
from mechlib.grading.results import Timed

__all__ = ["LARGEST", "Submission", "collect", "later_counts"]

LARGEST = 200 * 2**20
"""Bytes of a notebook beyond which it is not read."""

LONGEST = 2**20
"""Bytes of Gradescope's metadata that are read."""

UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError)
"""What reading a file may raise, in a zip or not."""

LISTING = "index.html"
"""What Brightspace puts beside the students' folders."""

LONG_AGO = 0.5e9
"""Seconds since 1970: no notebook is as old, so that an earlier time of a file in a zip is none."""

OUTSIDE = re.compile(r"\\|^[^/]*:")
SKIPPED = {"__MACOSX", METADATA, "Thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Submission:
    """One file that was handed in."""

    student: str
    source: str
    """Its path in the folder or zip, as given there."""
    file: Path
    """The file itself, or the zip that it lies in."""
    member: str | None = None
    """Its name in the zip; ``None`` for a file."""
    number: str = ""
    """The student's number in the learning platform, where the name of the file shows it."""
    order: tuple[int, float] = (0, 0.0)
    """Attempt and seconds; what was handed in later compares as larger, and what is equal is not told apart."""
    error: str | None = None
    """Why it is not read, as a sentence; ``None`` if there is no reason."""
    superseded: bool = False
    """Whether a later submission of the same student counts instead."""
    tied: bool = False
    """Whether another file of the same student came at the same time, so that nothing says which of them counts."""
    platform: str = ""
    """What gave the file its name and the number, see ``platforms.Owner``; empty if no platform did."""
    late: bool = False
    """Whether the platform says that it came late."""
    handed_in: float | None = None
    """When it was handed in, in seconds since 1970; ``None`` where nothing tells."""
    timed: Timed = ""
    """What tells when it was handed in."""

    @property
    def notebook_bytes(self) -> bytes:
        """What the file holds.

        Raises:
            ValueError: if it cannot be read, or holds more than ``LARGEST`` bytes.
        """
        if self.error:
            raise ValueError(self.error)
        try:
            content = self._content()
        except UNREADABLE as error:
            raise ValueError(f"the file cannot be read: {error}") from None
        if len(content) > LARGEST:
            raise ValueError(f"the file is larger than {LARGEST // 2**20} MB")
        return content

    def _content(self) -> bytes:
        if self.member is None:
            with self.file.open("rb") as file:
                return file.read(LARGEST + 1)
        with zipfile.ZipFile(self.file) as archive, archive.open(self.member) as file:
            return file.read(LARGEST + 1)


def collect(path: str | Path, known: Iterable[str] = ()) -> list[Submission]:
    """Everything that was handed in, in the order of the students' names; one student's from first to last.

    A student is named by the platform's pattern (Canvas ``name_12_34_file``, Moodle ``Name_12_assignsubmission_file``,
    Gradescope ``submission_12/file``, Brightspace ``12-34 - Name - Nov 3, 2026 1105 AM/file``), else by the first
    folder, else by the file. Beside a student's notebooks other files are left out; where there is no notebook, they
    are listed with an error.

    Args:
        path: a folder or a zip file; the same tree gives the same students.
        known: what the students of the course may be called by; a file of just this name is that student's, whatever
            platform it looks like.

    Raises:
        ValueError: if there is no such folder or zip, or nothing in it.
    """
    path = Path(path)
    if path.is_dir():
        found = list(_in_folder(path))
    elif path.is_file() and zipfile.is_zipfile(path):
        found = list(_in_zip(path))
    else:
        raise ValueError(f"{path} is neither a folder nor a zip file of submissions")
    if not found:
        raise ValueError(f"{path} holds no submissions: no file at all")
    of = owners([name for name, _ in found], {folded(each) for each in known})
    owned = [_owned(submission, owner) for (_, submission), owner in zip(found, of, strict=True)]
    if any(owner.platform == "brightspace" for owner in of):
        owned = [each for each in owned if each.platform or PurePosixPath(each.source).name != LISTING]
    kept = _without_attachments(_told_apart(_named(owned, gradescope_students(_metadata(path)))))
    return later_counts(sorted(kept, key=lambda each: (each.student, each.order, each.source)))


def later_counts(
    submissions: Iterable[Submission], alike: Callable[[Submission], object] = lambda each: each.source
) -> list[Submission]:
    """The same submissions, all but the last of every student marked as superseded.

    Of several that came last at one time none is superseded: they are tied, unless they are ``alike``.
    """
    submissions = list(submissions)
    of: dict[str, list[Submission]] = defaultdict(list)
    for submission in submissions:
        of[submission.student].append(submission)
    last, tied = set(), set()
    for own in of.values():
        order = max(each.order for each in own)
        latest = [each for each in own if each.order == order]
        if len({alike(each) for each in latest}) > 1:
            tied |= {each.source for each in latest}
        else:
            last.add(latest[0].source)
    return [replace(s, superseded=s.source not in last | tied, tied=s.source in tied) for s in submissions]


def _in_folder(folder: Path) -> Iterator[tuple[PurePosixPath, Submission]]:
    """Every file by its path, its owner not known yet."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        name = PurePosixPath(path.relative_to(folder).as_posix())
        error = None
        if path.is_symlink():
            error = "the file is a link, which is not followed"
        elif not path.is_file():
            error = "this is not an ordinary file"
        if not _skipped(name.parts):
            yield name, Submission("", str(name), path, order=(0, path.lstat().st_mtime), error=error)


def _in_zip(path: Path) -> Iterator[tuple[PurePosixPath, Submission]]:
    """The same for a zip."""
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    counts = Counter(entry.filename for entry in entries)
    for entry in entries:
        name = PurePosixPath(entry.filename)
        error = None
        if name.is_absolute() or ".." in name.parts or OUTSIDE.search(entry.filename):
            error = "its name in the zip leads out of the folder"
        elif stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
            error = "the zip's entry is a link or no ordinary file, which is not followed"
        elif counts[entry.filename] > 1:
            error = f"the zip holds {counts[entry.filename]} files of this name"
        if name.parts and not _skipped(name.parts):
            yield name, Submission("", entry.filename, path, entry.filename, "", (0, _seconds(entry)), error)


def _owned(submission: Submission, owner: Owner) -> Submission:
    """The submission with what its name tells of it; where that is no time, it has the file's."""
    of_file = submission.order[1]
    seconds = of_file if owner.seconds is None else owner.seconds
    about = {name: getattr(owner, name) for name in ("student", "number", "platform", "late")}
    timed: Timed = "platform" if owner.seconds else "file" if of_file > LONG_AGO else ""
    when = {"platform": owner.seconds, "file": of_file, "": None}[timed]
    return replace(submission, order=(owner.attempt, seconds), handed_in=when, timed=timed, **about)


def _seconds(entry: zipfile.ZipInfo) -> float:
    try:
        return datetime.datetime(*entry.date_time).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _skipped(parts: Iterable[str]) -> bool:
    return any(part in SKIPPED or (part.startswith(".") and part != "..") for part in parts)


def _metadata(path: Path) -> str:
    """The text of Gradescope's metadata file; empty where there is none. It lies beside the students' folders: a file
    of that name that a student handed in lies in one of them."""
    if path.is_dir():
        files = [file.relative_to(path) for file in path.rglob(METADATA) if file.is_file() and not file.is_symlink()]
        found = _outermost(PurePosixPath(file.as_posix()) for file in files)
        return (path / found).read_bytes()[:LONGEST].decode(errors="replace") if found else ""
    with zipfile.ZipFile(path) as archive:
        found = _outermost(PurePosixPath(name) for name in archive.namelist() if PurePosixPath(name).name == METADATA)
        with contextlib.suppress(*UNREADABLE):
            return archive.open(str(found)).read(LONGEST).decode(errors="replace") if found else ""
    return ""


def _outermost(names: Iterable[PurePosixPath]) -> PurePosixPath | None:
    """The one nearest to the top that lies in no student's folder."""
    found = (name for name in names if not any(GRADESCOPE.fullmatch(part) for part in name.parts))
    return min(found, key=lambda name: (len(name.parts), name), default=None)


def _named(submissions: list[Submission], students: dict[str, tuple[str, str]]) -> list[Submission]:
    """The submissions under the students' names, where Gradescope gives them."""
    named = []
    for submission in submissions:
        if submission.platform == "unnamed" and submission.student in students:
            name, number = students[submission.student]
            submission = replace(submission, student=name, number=number, platform="gradescope")
        named.append(submission)
    return named


def _told_apart(submissions: list[Submission]) -> list[Submission]:
    """Students of one name but different numbers get the number into their name."""
    numbers = defaultdict(set)
    for submission in submissions:
        numbers[submission.student].add(submission.number)
    return [
        replace(s, student=f"{s.student} ({s.number})") if len(numbers[s.student]) > 1 and s.number else s
        for s in submissions
    ]


def _without_attachments(submissions: list[Submission]) -> Iterator[Submission]:
    """The notebooks; of a student without any, the other files with an error."""
    with_notebook = {s.student for s in submissions if s.source.lower().endswith(".ipynb")}
    for submission in submissions:
        if submission.source.lower().endswith(".ipynb"):
            yield submission
        elif submission.student not in with_notebook:
            error = submission.error or "this is not a notebook: its name does not end in .ipynb"
            yield replace(submission, error=error)
