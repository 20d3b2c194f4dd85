"""The notebooks of a class: a folder or the zip that Canvas, Moodle or Gradescope gives to download.

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
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mechlib.grading.platforms import GRADESCOPE, METADATA, PATTERNS, gradescope_students, who

__all__ = ["LARGEST", "Submission", "collect", "later_counts"]

LARGEST = 200 * 2**20
"""Bytes of a notebook beyond which it is not read."""

LONGEST = 2**20
"""Bytes of Gradescope's metadata that are read."""

UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError)
"""What reading a file may raise, in a zip or not."""

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
    order: tuple[int, float, str] = (0, 0.0, "")
    """Attempt, seconds and name; what was handed in later compares as larger."""
    error: str | None = None
    """Why it is not read, as a sentence; ``None`` if there is no reason."""
    superseded: bool = False
    """Whether a later submission of the same student counts instead."""

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


def collect(path: str | Path) -> list[Submission]:
    """Everything that was handed in, in the order of the students' names; one student's from first to last.

    A student is named by the platform's pattern (Canvas ``name_12_34_file``, Moodle ``Name_12_assignsubmission_file``,
    Gradescope ``submission_12/file``), else by the first folder, else by the file. Beside a student's notebooks other
    files are left out; where there is no notebook, they are listed with an error.

    Args:
        path: a folder or a zip file.

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
    kept = _without_attachments(_told_apart(_named(found, gradescope_students(_metadata(path)))))
    return later_counts(sorted(kept, key=lambda submission: (submission.student, submission.order)))


def later_counts(submissions: Iterable[Submission]) -> list[Submission]:
    """The same submissions, all but the last of every student marked as superseded."""
    submissions = list(submissions)
    last = {submission.student: submission.source for submission in sorted(submissions, key=lambda s: s.order)}
    return [replace(s, superseded=s.source != last[s.student]) for s in submissions]


def _in_folder(folder: Path) -> Iterator[Submission]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_symlink() or not path.is_dir()]
    names = {path: PurePosixPath(path.relative_to(folder).as_posix()) for path in paths}
    names = {path: name for path, name in names.items() if not _skipped(name.parts)}
    around = _around(names.values())
    for path, name in names.items():
        error = None
        if path.is_symlink():
            error = "the file is a link, which is not followed"
        elif not path.is_file():
            error = "this is not an ordinary file"
        inner = PurePosixPath(*name.parts[1:]) if around else name
        known = around and any(pattern.fullmatch(inner.parts[0]) for pattern in PATTERNS)
        yield _submission(inner if known else name, str(name), path, None, path.lstat().st_mtime, error)


def _in_zip(path: Path) -> Iterator[Submission]:
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    counts = Counter(entry.filename for entry in entries)
    names = [(entry, PurePosixPath(entry.filename)) for entry in entries]
    names = [(entry, name) for entry, name in names if name.parts and not _skipped(name.parts)]
    around = _around([name for _, name in names])
    for entry, name in names:
        error = None
        if name.is_absolute() or ".." in name.parts or OUTSIDE.search(entry.filename):
            error = "its name in the zip leads out of the folder"
        elif stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
            error = "the zip's entry is a link or no ordinary file, which is not followed"
        elif counts[entry.filename] > 1:
            error = f"the zip holds {counts[entry.filename]} files of this name"
        inner = PurePosixPath(*name.parts[1:]) if around else name
        yield _submission(inner, entry.filename, path, entry.filename, _seconds(entry), error)


def _around(names: Collection[PurePosixPath]) -> bool:
    """Whether everything lies in one folder that no platform named after a student."""
    tops = {name.parts[0] for name in names}
    if len(tops) != 1 or any(len(name.parts) < 2 for name in names):
        return False
    (top,) = tops
    return not any(pattern.fullmatch(top) for pattern in PATTERNS)


def _seconds(entry: zipfile.ZipInfo) -> float:
    try:
        return datetime.datetime(*entry.date_time).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _skipped(parts: Iterable[str]) -> bool:
    return any(part in SKIPPED or (part.startswith(".") and part != "..") for part in parts)


def _submission(
    name: PurePosixPath, source: str, file: Path, member: str | None, seconds: float, error: str | None
) -> Submission:
    """A submission of whoever ``name`` shows, without a folder around the class."""
    student, number, attempt = who(name)
    return Submission(student, source, file, member, number, (attempt, seconds, source), error)


def _metadata(path: Path) -> str:
    """The text of Gradescope's metadata file; empty where there is none. It lies beside the students' folders: a file
    of that name that a student handed in lies in one of them."""
    if path.is_dir():
        files = [file for pattern in (METADATA, f"*/{METADATA}") for file in sorted(path.glob(pattern))]
        found = [f for f in files if f.is_file() and not f.is_symlink() and not GRADESCOPE.fullmatch(f.parent.name)]
        return found[0].read_bytes()[:LONGEST].decode(errors="replace") if found else ""
    with zipfile.ZipFile(path) as archive:
        names = [PurePosixPath(name) for name in archive.namelist()]
        found = [n for n in names if n.name == METADATA and not any(GRADESCOPE.fullmatch(part) for part in n.parts)]
        with contextlib.suppress(*UNREADABLE):
            return archive.open(str(found[0])).read(LONGEST).decode(errors="replace") if found else ""
    return ""


def _named(submissions: list[Submission], students: dict[str, tuple[str, str]]) -> list[Submission]:
    """The submissions under the students' names, where Gradescope gives them."""
    named = []
    for submission in submissions:
        name, number = students.get(submission.student, (submission.student, submission.number))
        named.append(replace(submission, student=name, number=number))
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
