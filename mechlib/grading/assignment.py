"""The questions of a chapter with the cases that a secret draws for a student, and the judgement on what came back."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mechlib.checks import registry
from mechlib.checks.judging import Judgement, Trial, judge
from mechlib.checks.open_judging import OpenTrial
from mechlib.checks.open_task import OpenTask
from mechlib.checks.plain import Plain
from mechlib.checks.question import Question, Task
from mechlib.checks.running import Raised, Returned
from mechlib.checks.values import HALF, Reading, Unreadable
from mechlib.grading.common import told
from mechlib.grading.platforms import folded
from mechlib.grading.worker.frames import BadFrame, Blob, Message, encode

__all__ = ["Asked", "Assignment", "new_secret", "read_secret", "seed", "text"]

FEWEST = 16
"""Bytes of a secret."""

PRECISIONS = {0.0, *HALF}
"""Rounding errors that a reading may claim."""

MOST_LINES = 10**6

DEEPEST = 8
"""How deep the lists of a hand-in may lie in one another."""


def read_secret(path: Path) -> bytes:
    """The secret in a file, without the white space around it.

    Raises:
        ValueError: if it is too short to be one.
    """
    secret = path.read_bytes().strip()
    if len(secret) < FEWEST:
        raise ValueError(
            f"{path} holds {len(secret)} bytes; a secret has at least {FEWEST}, as from "
            'python -c "import secrets; print(secrets.token_hex())"'
        )
    return secret


def new_secret() -> bytes:
    """A secret that nobody knows yet."""
    return secrets.token_hex().encode()


def seed(secret: bytes, question_id: str, student: str = "") -> int:
    """The seed of a question's cases for a student: the same secret gives the same, and no seed tells another.

    A student's name counts in whatever way its accents and capitals are written.
    """
    message = "\0".join([question_id, folded(student)]).encode("utf-8", "surrogatepass")
    digest = hmac.new(secret, message, hashlib.sha256).digest()
    return int.from_bytes(digest[:4]) >> 1


class Asked:
    """A question or open task with the cases of one student, which are drawn when it is first sent.

    Of an open task whose ``instances`` a class shares, the student's is one of these.
    """

    def __init__(self, question: Task, secret: bytes, student: str = "", common: Asked | None = None) -> None:
        self.question = question
        self.student, self._secret = student, secret
        self.common = common or self
        """The same question with the cases that are nobody's."""

    def of(self, student: str) -> Asked:
        """The same question with the cases of a student."""
        return Asked(self.question, self._secret, student, self.common)

    @cached_property
    def trial(self) -> Trial | OpenTrial:
        """What the answer is judged by."""
        drawn = seed(self._secret, self.question.id, self.student)
        if isinstance(self.question, OpenTask):
            if shared := self.question.instances:
                drawn = seed(self._secret, self.question.id, f"\0{drawn % shared}")  # no student is called so
            return OpenTrial(self.question, drawn)
        assert isinstance(self.question, Question)
        return Trial(self.question, drawn)

    @cached_property
    def _fields(self) -> list[str]:
        """The names of the quantities that come back; none for an open task, of which plain data comes."""
        return [field.name for field in self.question.fields] if isinstance(self.question, Question) else []

    @cached_property
    def _sent(self) -> tuple[Message, Blob]:
        blob = Blob()
        cases = [[[name, encode(value, blob)] for name, value in case.inputs.items()] for case in self.trial.cases]
        takes = "value" if isinstance(self.question, OpenTask) and self.question.cases is None else "function"
        return {"cases": cases, "fields": self._fields, "takes": takes}, blob

    @property
    def message(self) -> Message:
        """What is sent to a worker."""
        return self._sent[0]

    @property
    def blob(self) -> Blob:
        """The arrays that are sent with it."""
        return self._sent[1]

    def judged(self, message: Message, blob: Blob) -> Judgement:
        """The judgement on what a worker sent, without what would tell the cases, see ``judge``.

        Raises:
            BadFrame: if that is not what an honest worker could send.
        """
        read = self._read(message, blob)
        if isinstance(self.trial, OpenTrial):
            return self.trial.judge(read, hidden=True)
        return judge(self.trial, read, hidden=True)

    def returned(self, message: Message, blob: Blob) -> str:
        """What an answer to a question that has a reference did, see ``common.told``. Errors as ``judged``."""
        assert isinstance(self.trial, Trial)
        return told(self.trial, self._read(message, blob))

    def _read(self, message: Message, blob: Blob) -> list[Returned | Raised]:
        outcomes = message.get("outcomes")
        n_cases = len(self.trial.cases)
        if not isinstance(outcomes, list) or not 0 < len(outcomes) <= n_cases:
            raise BadFrame("outcomes that do not belong to the cases")
        read = [self._outcome(outcome, blob) for outcome in outcomes]
        if any(isinstance(outcome, Raised) for outcome in read[:-1]):
            raise BadFrame("outcomes after the one that raised")
        if len(read) < n_cases and isinstance(read[-1], Returned):
            raise BadFrame(f"{len(read)} outcomes for {n_cases} cases")
        return read

    def _outcome(self, about: object, blob: Blob) -> Returned | Raised:
        if not isinstance(about, dict):
            raise BadFrame("an outcome that is not an object")
        if isinstance(raised := about.get("raised"), dict):
            number = raised.get("number")
            return Raised(
                kind=text(raised.get("kind"), 80),
                message=text(raised.get("message"), 1000),
                line=text(raised.get("line"), 300),
                number=number if type(number) is int and 0 < number < MOST_LINES else 0,
                unfilled=raised.get("unfilled") is True,
                leftover=raised.get("leftover") is True,
            )
        names = [name for name in self.trial.cases[0].inputs if name in _list(about.get("changed"))]
        return Returned(self._value(about, blob), tuple(names))

    def _value(self, about: dict[str, Any], blob: Blob) -> object:
        if "unreadable" in about:
            return Unreadable(text(about["unreadable"], 1000))
        if not self._fields:
            return _plain(about.get("plain"), blob)
        if "arrays" not in about:
            return None
        arrays = _list(about["arrays"])
        if len(arrays) != len(self._fields):
            raise BadFrame(f"{len(arrays)} arrays where {len(self._fields)} are asked for")
        readings = tuple(Reading(_numbers(blob, array), _precision(array)) for array in arrays)
        return readings if len(readings) > 1 else readings[0]


@dataclass(frozen=True)
class Assignment:
    """All questions of one chapter, with the cases that one secret draws."""

    chapter: str
    asked: dict[str, Asked]
    """By question id, in the order of the notebook."""

    @classmethod
    def of(cls, chapter: str, secret: bytes, only: Sequence[Task] | None = None) -> Assignment:
        """The assignment of a chapter, or of some questions of it, with cases that are no student's.

        Raises:
            LookupError: if the chapter has no questions.
        """
        chosen = registry.asked(chapter) if only is None else only
        return cls(chapter, {question.id: Asked(question, secret) for question in chosen})

    def of_student(self, student: str) -> Assignment:
        """The same questions with the cases of a student: what somebody learns of theirs helps nobody else.

        Args:
            student: what tells the student from all others, the same for whatever they hand in.
        """
        return replace(self, asked={name: asked.of(student) for name, asked in self.asked.items()})


def _numbers(blob: Blob, array: object) -> Tensor:
    numbers = blob.take(array)
    if numbers.dtype != torch.float64:
        raise BadFrame(f"numbers of dtype {numbers.dtype}, and not in double precision as they are read")
    return numbers


def _plain(value: object, blob: Blob, depth: int = 0) -> Plain:
    """What ``frames.encode`` made of plain data, as a worker sends it."""
    if depth > DEEPEST:
        raise BadFrame("lists in lists, deeper than anything that is handed in")
    if isinstance(value, list):
        return [_plain(part, blob, depth + 1) for part in value]
    match value:
        case {"array": array}:
            return _numbers(blob, array)
        case {"mapping": list(pairs)} if all(isinstance(p, list) and len(p) == 2 for p in pairs):
            return {text(name, 80): _plain(part, blob, depth + 1) for name, part in pairs}
        case None | bool() | int() | float() | str():
            return value
    raise BadFrame("a hand-in that is no plain data")


def _precision(array: dict[str, Any]) -> float:
    precision = array.get("precision")
    if not isinstance(precision, float) or precision not in PRECISIONS:
        raise BadFrame("a rounding error that no accepted dtype has")
    return precision


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def text(value: object, longest: int) -> str:
    """What a worker sends as text, cut, and fit to be written to a file: no control characters but line ends."""
    kept = value[:longest] if isinstance(value, str) else ""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in kept)
