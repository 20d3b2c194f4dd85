"""What is graded already, kept in the folder of the grades so that a run that was stopped can go on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mechlib.files import written_whole
from mechlib.grading.assignment import new_secret
from mechlib.grading.results import SubmissionGrade
from mechlib.grading.versions import grader

__all__ = ["State", "drawn"]

NAME = "state.jsonl"


def drawn(folder: Path) -> bytes | None:
    """The secret that the run into a folder of grades drew; ``None`` where it was given one, or where there is none."""
    path = folder / NAME
    first = path.read_text(encoding="utf-8").partition("\n")[0] if path.is_file() else ""
    try:
        secret = json.loads(first).get("secret") if first else None
    except ValueError:
        return None
    return secret.encode() if secret else None


class State:
    """One line of JSON for every grade, each whole on the disk before the next is begun.

    The first line holds the secret that the run drew where none was given; the file is readable for its owner only.
    """

    def __init__(self, folder: Path, *, resume: bool, secret: bytes | None) -> None:
        """Read the state of a folder of grades; nothing is written yet.

        Raises:
            ValueError: if the folder holds something else than grades, or if it is to be resumed and cannot be.
        """
        self.path = folder / NAME
        known = self.path.is_file()
        if not known and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"{folder} holds something else than grades: name a new or an empty folder")
        if resume and not known:
            raise ValueError(f"there is nothing to resume in {folder}")
        lines = self._lines() if resume else []
        self.secret = secret or (lines[0]["secret"].encode() if lines and lines[0].get("secret") else new_secret())
        self._done = {line["key"]: line for line in lines[1:]}
        self._drawn = secret is None

    def begin(self) -> None:
        """Make the folder, which nobody but its owner can enter, and write what is known."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.parent.chmod(0o700)
        first = {"secret": self.secret.decode() if self._drawn else None}
        with written_whole(self.path, private=True) as file:
            file.writelines(json.dumps(line).encode() + b"\n" for line in (first, *self._done.values()))

    def _lines(self) -> list[dict[str, Any]]:
        """The lines that were written whole."""
        lines = []
        for line in self.path.read_text(encoding="utf-8").splitlines(keepends=True):
            try:
                lines.append(json.loads(line))
            except ValueError:
                break
        return lines

    def key(self, *about: object) -> str:
        """What a grade depends on beside its questions, as one word: the secret, how notebooks are executed and asked,
        and what is given."""
        return hashlib.sha256(repr((self.secret, grader(), *about)).encode()).hexdigest()

    def grade(self, key: str) -> SubmissionGrade | None:
        """The grade of an earlier run."""
        return SubmissionGrade.from_json(self._done[key]["grade"]) if key in self._done else None

    def versions(self, key: str) -> dict[str, str]:
        """The versions that the questions had then, by id."""
        return self._done.get(key, {}).get("versions", {})

    def note(self, key: str, grade: SubmissionGrade, versions: Mapping[str, str] | None = None) -> None:
        """Take a grade in place of the one that was kept; it is written by ``begin``."""
        self._done[key] = self._line(key, grade, versions)

    @staticmethod
    def _line(key: str, grade: SubmissionGrade, versions: Mapping[str, str] | None) -> dict[str, Any]:
        return {"key": key, "grade": grade.to_json(), "versions": dict(versions or {})}

    def add(self, key: str, grade: SubmissionGrade, versions: Mapping[str, str] | None = None) -> None:
        """Keep a grade, with the versions of its questions by id."""
        line = self._line(key, grade, versions)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
