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

SHOWN_ELSEWHERE = "In the notebook, check says how far it is off, on cases of its own."

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

    def repeats(self, name: str, got: Readings) -> bool:
        """Whether a misconception returns ``got`` on every case; it runs on no more of them than it takes to tell."""
        answer = self.question.misconceptions[name].answer
        return all(self._agrees(answer, case, mine) for case, mine in zip(self.cases, got, strict=True))

    def _agrees(self, answer: Answer, case: Case, got: tuple[Reading, ...]) -> bool:
        with torch.device("cpu"):
            outcome = run(answer, case)
        if isinstance(outcome, Raised):
            return False
        try:
            readings = read_fields(outcome.value, self.question.fields)
        except Unreadable:
            return False
        return all(map(agree, got, readings, self.question.fields))

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


def judge(trial: Trial, outcomes: Sequence[Returned | Raised], *, hidden: bool = False) -> Judgement:
    """The judgement on an answer that did ``outcomes`` on the cases of ``trial``, in order.

    Args:
        hidden: whether the cases are to stay unknown. What is said then is the kind of case and the mistake, if it is
            a known one; no right value, no gap, no count of what is right and no input, from which a table of answers
            could be made.
    """
    case = trial.cases[len(outcomes) - 1]
    if isinstance(last := outcomes[-1], Raised):
        return _raised(trial, last, case, hidden)
    readings: list[tuple[Reading, ...]] = []
    for case, outcome in zip(trial.cases, outcomes, strict=True):
        assert isinstance(outcome, Returned)
        if outcome.value is None:
            return Judgement("unanswered", "not answered yet: the function returns None. Is its `return` missing?")
        try:
            readings.append(read_fields(outcome.value, trial.question.fields))
        except Unreadable as error:
            return Judgement("wrong", f"your function returned {error}.", (f"On the case of {case.description}.",))
    return _compared(trial, tuple(readings), _changed(outcomes), hidden)


def _raised(trial: Trial, raised: Raised, case: Case, hidden: bool) -> Judgement:
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
    shapes = () if hidden else (_shapes(case),)
    return Judgement("raised", headline, (*more, place, f"On the case of {case.description}.", *shapes))


def _changed(outcomes: Sequence[Returned | Raised]) -> tuple[str, ...]:
    names = dict.fromkeys(name for o in outcomes if isinstance(o, Returned) for name in o.changed)
    if not names:
        return ()
    return (f"Your function changes its argument {', '.join(names)} in place: work on a copy.",)


def _compared(trial: Trial, got: Readings, changed: tuple[str, ...], hidden: bool) -> Judgement:
    question = trial.question
    differences = trial.differences(got, trial.expected)
    if not differences and _too_coarse(trial, got):
        return Judgement("wrong", TOO_COARSE)
    if not differences:
        points = f"{question.points:g} point{'s' * (question.points != 1)}"
        return Judgement("right", f"right ({points})", changed)
    case, differing = differences[0]
    gaps = tuple(difference.kind if hidden else str(difference) for difference in differing)
    count = "" if hidden else f"; {len(differences)} of {len(got)} cases differ"
    where = f"On the case of {case.description}{count}."
    name = _same_mistake(trial, got)
    if name is not None:
        sentence = question.misconceptions[name].sentence
        return Judgement("wrong", sentence, (*gaps, where, *changed), misconception=name)
    headline, rest = (changed[0], gaps) if changed else (f"not right yet. {gaps[0]}", gaps[1:])
    return Judgement("wrong", headline, (*rest, where, SHOWN_ELSEWHERE if hidden else _shapes(case)))


def _too_coarse(trial: Trial, got: Readings) -> bool:
    """Whether the rounding that is allowed for half precision would let a mistake pass as well."""
    coarse = any(reading.precision for of_case in got for reading in of_case)
    return coarse and any(trial.repeats(name, got) for name in trial.question.misconceptions)


def _same_mistake(trial: Trial, got: Readings) -> str | None:
    """The misconception that returns the same on every case, if there is exactly one."""
    found = [name for name in trial.question.misconceptions if trial.repeats(name, got)]
    return found[0] if len(found) == 1 else None


def _shapes(case: Case) -> str:
    parts = (
        f"{name} {list(value.shape)}" if isinstance(value, torch.Tensor) else f"{name} = {value}"
        for name, value in case.inputs.items()
    )
    return f"Its inputs: {', '.join(parts)}."
