"""Judging what an answer did, apart from running it: a grader may run the answer in another process.

A ``Trial`` is a question with the cases drawn from one seed. It knows what the reference and every misconception
return on them; ``judge`` compares what an answer returned on the same cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch

from mechlib.checks.question import Answer, Case, Question
from mechlib.checks.running import Raised, Returned, run
from mechlib.checks.values import Difference, Reading, Unreadable, agree, compare, read_fields

__all__ = ["Judgement", "Status", "Trial", "judge"]

Status = Literal["right", "wrong", "raised", "interrupted", "unanswered"]

TOO_COARSE = (
    "your numbers come in half precision, too coarse to tell the right answer from a common mistake: return them as "
    "torch.float32."
)

Readings = tuple[tuple[Reading, ...], ...]
"""``[case][field]``."""


@dataclass(frozen=True)
class Judgement:
    """What is to be said about an answer."""

    status: Status
    headline: str
    """The first line to show."""
    details: tuple[str, ...] = ()
    misconception: str | None = None
    """Name of the one misconception that gives the same output on every case."""


class Trial:
    """A question, the cases drawn from ``seed``, and what the reference and the misconceptions return on them.

    All of that is on the CPU, whatever the default device is.
    """

    def __init__(self, question: Question, seed: int) -> None:
        self.question = question
        self.seed = seed
        with torch.device("cpu"):
            self.cases: tuple[Case, ...] = question.cases(torch.Generator().manual_seed(seed))

    @cached_property
    def expected(self) -> Readings:
        """What the reference returns."""
        readings = self._readings(self.question.reference)
        if readings is None:
            raise AssertionError(f"the reference of {self.question.id} fails on seed {self.seed}")
        return readings

    @cached_property
    def mistaken(self) -> dict[str, Readings]:
        """What every misconception returns; those that raise or return no numbers are left out."""
        found = {name: self._readings(m.answer) for name, m in self.question.misconceptions.items()}
        return {name: readings for name, readings in found.items() if readings is not None}

    def _readings(self, answer: Answer) -> Readings | None:
        with torch.device("cpu"):
            outcomes = self.run(answer)
        returned = [outcome.value for outcome in outcomes if isinstance(outcome, Returned)]
        if len(returned) < len(self.cases):
            return None
        try:
            return tuple(read_fields(value, self.question.fields) for value in returned)
        except Unreadable:
            return None

    def run(self, answer: Answer) -> tuple[Returned | Raised, ...]:
        """What ``answer`` does on each case; the first case on which it raises is the last."""
        outcomes: list[Returned | Raised] = []
        for case in self.cases:
            outcomes.append(run(answer, case))
            if isinstance(outcomes[-1], Raised):
                break
        return tuple(outcomes)

    def differences(self, got: Readings, want: Readings) -> list[tuple[Case, tuple[Difference, ...]]]:
        """The cases on which the two do not agree, with the fields that differ."""
        found = []
        for case, mine, right in zip(self.cases, got, want, strict=True):
            triples = zip(mine, right, self.question.fields, strict=True)
            if differing := tuple(d for m, r, field in triples if (d := compare(m, r, field))):
                found.append((case, differing))
        return found

    def same(self, got: Readings, want: Readings) -> bool:
        """Whether the two agree on every case."""
        return all(
            agree(mine, right, field)
            for of_case in zip(got, want, strict=True)
            for mine, right, field in zip(*of_case, self.question.fields, strict=True)
        )


def judge(trial: Trial, outcomes: Sequence[Returned | Raised]) -> Judgement:
    """The judgement on an answer that did ``outcomes`` on the cases of ``trial``, in order."""
    case = trial.cases[len(outcomes) - 1]
    if isinstance(last := outcomes[-1], Raised):
        return _raised(trial, last, case)
    readings: list[tuple[Reading, ...]] = []
    for case, outcome in zip(trial.cases, outcomes, strict=True):
        assert isinstance(outcome, Returned)
        if outcome.value is None:
            return Judgement("unanswered", "not answered yet: the function returns None. Is its `return` missing?")
        try:
            readings.append(read_fields(outcome.value, trial.question.fields))
        except Unreadable as error:
            return Judgement("wrong", f"your function returned {error}.", (f"On the case of {case.description}.",))
    return _compared(trial, tuple(readings), _changed(outcomes))


def _raised(trial: Trial, raised: Raised, case: Case) -> Judgement:
    if raised.unfilled:
        leftover = "the line `raise NotImplementedError` is still in it"
        return Judgement("unanswered", leftover if raised.leftover else "not answered yet")
    message, *more = raised.message.splitlines() or [""]
    headline = f"your function raised {raised.kind}" + (f": {message}" if message else "")
    if raised.line:
        place = f"In line {raised.number}: {raised.line}"
    else:
        count = len(case.inputs)
        place = f"It is called with {count} argument{'s' * (count != 1)}: {', '.join(case.inputs)}."
    return Judgement("raised", headline, (*more, place, f"On the case of {case.description}.", _shapes(case)))


def _changed(outcomes: Sequence[Returned | Raised]) -> tuple[str, ...]:
    names = dict.fromkeys(name for o in outcomes if isinstance(o, Returned) for name in o.changed)
    if not names:
        return ()
    return (f"Your function changes its argument {', '.join(names)} in place: work on a copy.",)


def _compared(trial: Trial, got: Readings, changed: tuple[str, ...]) -> Judgement:
    question = trial.question
    differences = trial.differences(got, trial.expected)
    if not differences and _too_coarse(trial, got):
        return Judgement("wrong", TOO_COARSE)
    if not differences:
        points = f"{question.points:g} point{'s' * (question.points != 1)}"
        return Judgement("right", f"right ({points})", changed)
    case, differing = differences[0]
    gaps = tuple(str(difference) for difference in differing)
    where = f"On the case of {case.description}; {len(differences)} of {len(got)} cases differ."
    name = _same_mistake(trial, got)
    if name is not None:
        sentence = question.misconceptions[name].sentence
        return Judgement("wrong", sentence, (*gaps, where, *changed), misconception=name)
    headline, rest = (changed[0], gaps) if changed else (f"not right yet. {gaps[0]}", gaps[1:])
    return Judgement("wrong", headline, (*rest, where, _shapes(case)))


def _too_coarse(trial: Trial, got: Readings) -> bool:
    """Whether the rounding that is allowed for half precision would let a mistake pass as well."""
    coarse = any(reading.precision for of_case in got for reading in of_case)
    return coarse and any(trial.same(got, readings) for readings in trial.mistaken.values())


def _same_mistake(trial: Trial, got: Readings) -> str | None:
    """The misconception that returns the same on every case, if there is exactly one."""
    found = [name for name, readings in trial.mistaken.items() if trial.same(got, readings)]
    return found[0] if len(found) == 1 else None


def _shapes(case: Case) -> str:
    parts = (
        f"{name} {list(value.shape)}" if isinstance(value, torch.Tensor) else f"{name} = {value}"
        for name, value in case.inputs.items()
    )
    return f"Its inputs: {', '.join(parts)}."
