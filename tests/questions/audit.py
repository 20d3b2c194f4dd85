"""How good the questions are: what they make of their own misconceptions and alternatives, over many seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass, fields

from tqdm.auto import tqdm

from mechlib.checks.judging import Judgement, Trial, judge
from mechlib.checks.question import Answer, Question
from mechlib.checks.registry import questions
from tests.questions.alternatives import alternatives

__all__ = ["Audit", "AuditRow", "audit"]


@dataclass(frozen=True)
class AuditRow:
    """Counts for one question over all seeds."""

    question: str
    wrong: int
    """Misconceptions tried, once for every seed."""
    rejected: int
    """Of those, judged not right."""
    named: int
    """Of those, called by their own name in the first line."""
    misnamed: int
    """Of those, called by another's name."""
    right: int
    """Alternatives tried, once for every seed."""
    accepted: int
    """Of those, judged right."""


@dataclass(frozen=True)
class Audit:
    """One row for every question; a table when shown."""

    rows: tuple[AuditRow, ...]

    def __repr__(self) -> str:
        header = tuple(field.name for field in fields(AuditRow))
        table = [header, *(tuple(map(str, astuple(row))) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in table)
        return "\n".join(line.rstrip() for line in lines)


RightAnswers = Callable[[Question], Mapping[str, Answer]]


def audit(
    seeds: int | Iterable[int] = 50,
    *,
    only: Iterable[Question] | None = None,
    right: RightAnswers = alternatives,
    show_progress: bool = True,
) -> Audit:
    """Judge every misconception and every alternative of the questions as if they were answers.

    Args:
        seeds: how many (counted from 0), or which.
        only: these questions; all of the bank otherwise.
        right: the alternatives of a question.
    """
    chosen = tuple(questions() if only is None else only)
    seeds = tuple(range(seeds) if isinstance(seeds, int) else seeds)
    shown = tqdm(chosen, desc="audit", unit="question", disable=not show_progress)
    return Audit(tuple(_row(question, right(question), seeds) for question in shown))


def _row(question: Question, alternatives: Mapping[str, Answer], seeds: tuple[int, ...]) -> AuditRow:
    trials = [Trial(question, seed) for seed in seeds]
    wrong = [
        (name, _judged(trial, misconception.answer))
        for trial in trials
        for name, misconception in question.misconceptions.items()
    ]
    right = [_judged(trial, answer) for trial in trials for answer in alternatives.values()]
    return AuditRow(
        question.id,
        wrong=len(wrong),
        rejected=sum(judgement.status != "right" for _, judgement in wrong),
        named=sum(judgement.misconception == name for name, judgement in wrong),
        misnamed=sum(judgement.misconception not in (None, name) for name, judgement in wrong),
        right=len(right),
        accepted=sum(judgement.status == "right" for judgement in right),
    )


def _judged(trial: Trial, answer: Answer) -> Judgement:
    return judge(trial, trial.run(answer))
