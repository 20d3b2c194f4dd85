"""Judging what an answer did, apart from running it: a grader may run the answer in another process.

A ``Trial`` is a question with the cases drawn from one seed. It knows what the reference and every misconception
return on them; ``judge`` compares what an answer returned on the same cases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch

from mechlib.checks.question import Answer, Case, Question, Value
from mechlib.checks.running import Raised, Returned, run
from mechlib.checks.values import Difference, Reading, Unreadable, agree, compare, read_fields

__all__ = [
    "Judgement",
    "Status",
    "Trial",
    "judge",
    "judged_no_function",
    "judged_to_raise",
    "outcomes_of",
    "with_defaults",
]

Status = Literal["right", "partly", "wrong", "raised", "interrupted", "unanswered", "unjudged"]
"""``"partly"``: an open task that earned some of its points; ``"unjudged"``: what judging needs is not here."""

TOO_COARSE = (
    "your numbers come in half precision, too coarse to tell the right answer from a common mistake: return them as "
    "torch.float32."
)

SHOWN_ELSEWHERE = "In the notebook, check says how far it is off, on cases of its own."

Readings = tuple[tuple[Reading, ...], ...]
"""``[case][field]``."""

SINGLE = 2.0**-24
"""Largest relative rounding error of a number in single precision."""
ROUNDINGS = 256
"""So many times what rounding the inputs moves an entry, a right answer in single precision may be off."""


@dataclass(frozen=True)
class Judgement:
    """What is to be said about an answer."""

    status: Status
    headline: str
    """The first line to show."""
    details: tuple[str, ...] = ()
    misconception: str | None = None
    """Name of the one misconception that gives the same output on every case."""
    earned: float | None = None
    """The points of an open task; ``None`` where all or nothing is earned."""


class Trial:
    """A question, the cases drawn from ``seed``, and what the reference and the misconceptions return on them.

    All of that is on the CPU and made of single-precision numbers where no dtype is named, whatever the defaults are.
    """

    def __init__(self, question: Question, seed: int) -> None:
        self.question = question
        self.seed = seed
        with with_defaults():
            self.cases: tuple[Case, ...] = question.cases(torch.Generator().manual_seed(seed))

    @cached_property
    def expected(self) -> Readings:
        """What the reference returns."""
        readings = self._readings(self.question.reference, self.cases)
        if readings is None:
            raise AssertionError(f"the reference of {self.question.id} fails on seed {self.seed}")
        return readings

    @cached_property
    def lenient(self) -> Readings:
        """``expected``, with a slack for what is computed in single precision.

        An entry in which large terms cancel is off by the rounding of those terms, however small it is itself. So the
        slack is measured: as what the reference makes of inputs that are each off by at most one rounding.
        """
        generator = torch.Generator().manual_seed(self.seed)
        tried = (self._readings(self.question.reference, self._rounded(generator)) for _ in range(4))
        moved = [readings for readings in tried if readings is not None]
        return tuple(
            tuple(_with_slack(right, [readings[i][j] for readings in moved]) for j, right in enumerate(of_case))
            for i, of_case in enumerate(self.expected)
        )

    def _rounded(self, generator: torch.Generator) -> tuple[Case, ...]:
        """The cases with every real number of their inputs changed by a random part of a rounding."""

        def change(shape: Sequence[int]) -> torch.Tensor:
            return 1 + SINGLE * (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1)

        def rounded(value: Value) -> Value:
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                return value.double() * change(value.shape)
            return value * float(change(())) if isinstance(value, float) else value

        with with_defaults():
            return tuple(
                replace(case, inputs={name: rounded(value) for name, value in case.inputs.items()})
                for case in self.cases
            )

    def _readings(self, answer: Answer, cases: Sequence[Case]) -> Readings | None:
        with with_defaults():
            outcomes = outcomes_of(answer, cases)
        returned = [outcome.value for outcome in outcomes if isinstance(outcome, Returned)]
        if len(returned) < len(cases):
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
        with with_defaults():
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
        return outcomes_of(answer, self.cases)

    def differences(self, got: Readings, want: Readings) -> list[tuple[Case, tuple[Difference, ...]]]:
        """The cases on which the two do not agree, with the fields that differ."""
        found = []
        for case, mine, right in zip(self.cases, got, want, strict=True):
            triples = zip(mine, right, self.question.fields, strict=True)
            if differing := tuple(d for m, r, field in triples if (d := compare(m, r, field))):
                found.append((case, differing))
        return found


def outcomes_of(answer: Answer, cases: Sequence[Case]) -> tuple[Returned | Raised, ...]:
    """What ``answer`` does on each case; the first case on which it raises is the last."""
    outcomes: list[Returned | Raised] = []
    for case in cases:
        outcomes.append(run(answer, case))
        if isinstance(outcomes[-1], Raised):
            break
    return tuple(outcomes)


def _with_slack(right: Reading, moved: Sequence[Reading]) -> Reading:
    alike = [other for other in moved if other.values.shape == right.values.shape]
    if not alike:
        return right
    gaps = torch.stack([(other.values - right.values).abs() for other in alike])
    return replace(right, slack=ROUNDINGS * gaps.nan_to_num(0.0, posinf=0.0).amax(0))


@contextmanager
def with_defaults() -> Iterator[None]:
    """The CPU and single precision for tensors of which neither is named; afterwards the session's own again."""
    dtype = torch.get_default_dtype()
    there = torch.get_default_device().type == "cpu"  # then naming it would only make every small step take longer
    try:
        with nullcontext() if there else torch.device("cpu"):
            torch.set_default_dtype(torch.float32)
            yield
    finally:
        torch.set_default_dtype(dtype)


def judge(trial: Trial, outcomes: Sequence[Returned | Raised], *, hidden: bool = False) -> Judgement:
    """The judgement on an answer that did ``outcomes`` on the cases of ``trial``, in order.

    Args:
        hidden: whether the cases are to stay unknown. What is said then is the kind of case and the mistake, if it is
            a known one; no right value, no gap, no count of what is right and no input, from which a table of answers
            could be made.
    """
    case = trial.cases[len(outcomes) - 1]
    if isinstance(last := outcomes[-1], Raised):
        return judged_to_raise(last, case, hidden)
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


def judged_no_function(kind: str) -> Judgement:
    """The judgement on a value of a type where the function that makes it was asked for."""
    return Judgement("wrong", f"the answer is the function itself, not what it returns; given was a {kind}.")


def judged_to_raise(raised: Raised, case: Case, hidden: bool) -> Judgement:
    """The judgement on an answer that raised on a case."""
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
    if differences:
        differences = trial.differences(got, trial.lenient)
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
