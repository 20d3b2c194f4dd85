"""The folder of a graded class: what the grader gave, with what it was asked, and which files are the lecturer's own.

::

    class.jsonl   the grader's own grade of every submission, before anything is settled, with its folder
    run.json      the submissions, secret, roster and tables of the last run, which later commands take again
    files.json    what every generated file held when it was written: one that differs since is kept
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mechlib.authoring import checkout
from mechlib.course.marks import COLUMNS
from mechlib.course.spreadsheet import records
from mechlib.grading.results import SubmissionGrade

__all__ = ["WRITTEN", "Graded", "Run", "forget", "keep_theirs", "last_run", "opened", "recorded", "theirs"]

CLASS, RUN, FILES = "class.jsonl", "run.json", "files.json"
WRITTEN = "written.csv"
"""The one generated table that is to be filled in where it lies."""


@dataclass(frozen=True)
class Run:
    """What a class was graded with; paths are absolute."""

    submissions: str = ""
    secret: str = ""
    roster: str = ""
    chapter: str = ""
    timeout: float = 30.0
    engine: str = "bubblewrap"
    names: str = "id"
    written: tuple[str, ...] = ()
    overrides: str = ""
    times: str = ""
    groups: str = ""
    worksheet: str = ""


@dataclass(frozen=True)
class Graded:
    """A graded class."""

    out: Path
    run: Run
    grades: Mapping[str, SubmissionGrade]
    """The grader's own, by the folder of their pages, relative to ``out``."""

    def write(self) -> None:
        """Keep it, each file whole or not at all."""
        lines = [json.dumps({"folder": folder, "grade": grade.to_json()}) for folder, grade in self.grades.items()]
        run = json.dumps(asdict(self.run), indent=1, ensure_ascii=False) + "\n"
        files: dict[Path, str | bytes] = {self.out / CLASS: "".join(f"{each}\n" for each in lines), self.out / RUN: run}
        checkout.write_changed(files, private=True)


def opened(out: Path) -> Graded:
    """The class that was graded into a folder.

    Raises:
        FileNotFoundError: if the folder holds none, or one that was stopped before its end.
        ValueError: if what it holds is damaged.
    """
    if not (out / CLASS).is_file() or not (out / RUN).is_file():
        stopped = ": the run was stopped, and the same command with --resume goes on" * (out / "state.jsonl").is_file()
        raise FileNotFoundError(f"there is no graded class in {out}, as 'mechlib grade --out' leaves it{stopped}")
    run = last_run(out)
    grades = {}
    for number, line in enumerate((out / CLASS).read_text(encoding="utf-8").splitlines(), start=1):
        try:
            about = json.loads(line)
            grades[str(about["folder"])] = SubmissionGrade.from_json(about["grade"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{out / CLASS}, line {number} is damaged ({error}): grade the class again") from None
    return Graded(out, run, grades)


def last_run(out: Path) -> Run:
    """What the class in a folder was graded with; nothing where there is none.

    Raises:
        ValueError: if the file is damaged.
    """
    path = out / RUN
    if not path.is_file():
        return Run()
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        return replace(Run(**about), written=tuple(about.get("written", ())))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path} is not what 'mechlib grade' wrote ({error}): remove it, and grade the class again"
        ) from None


def theirs(out: Path) -> bool:
    """Whether ``written.csv`` in a graded folder was filled in, or changed otherwise, since it was written there."""
    path = out / WRITTEN
    if not path.is_file():
        return False
    if WRITTEN in (known := _digests(out)):
        return known[WRITTEN] != _digest(path.read_bytes())
    try:
        return any(row["points"] or row["comment"] for _, row in records(path, "student", COLUMNS))
    except ValueError:
        return True


def keep_theirs(out: Path) -> list[Path]:
    """Put aside what the lecturer changed of the generated files but ``written.csv``, which stays where it is.

    Returns:
        where they are now: ``grades.yours.csv`` for ``grades.csv``, ``grades.yours-2.csv`` where that is there already.
    """
    kept = []
    for name, digest in _digests(out).items():
        path = out / name
        if name != WRITTEN and path.is_file() and _digest(path.read_bytes()) != digest:
            kept.append(path.rename(_free(path)))
    return kept


def _free(path: Path) -> Path:
    number = 1
    while (other := path.with_name(f"{path.stem}.yours{f'-{number}' * (number > 1)}{path.suffix}")).exists():
        number += 1
    return other


def forget(out: Path, *names: str) -> None:
    """Keep no record of generated files but of ``names``, nor of a class that is about to be graded again."""
    (out / CLASS).unlink(missing_ok=True)
    left = {name: digest for name, digest in _digests(out).items() if name in names}
    if left:
        checkout.write_changed({out / FILES: json.dumps(left) + "\n"}, private=True)
    else:
        (out / FILES).unlink(missing_ok=True)


def recorded(out: Path, files: Mapping[Path, str]) -> list[Path]:
    """Write generated files, and what they held; those that changed."""
    changed = checkout.write_changed(files, private=True)
    digests = {path.relative_to(out).as_posix(): _digest(text.encode()) for path, text in files.items()}
    known = {name: digest for name, digest in _digests(out).items() if (out / name).is_file()}
    listed = json.dumps({**known, **digests}, indent=0, sort_keys=True) + "\n"
    return [*changed, *checkout.write_changed({out / FILES: listed}, private=True)]


def _digests(out: Path) -> dict[str, str]:
    try:
        return dict(json.loads((out / FILES).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
