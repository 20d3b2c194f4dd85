"""Mutants: answers that a machine makes from the reference of a question by one small change.

Each should be judged wrong. One that is judged right shows a hole: something that the cases or the tolerances of the
question do not look at. ``returned`` changes what comes back, ``given`` what goes in, ``source`` what is written.
``equivalent`` lists the mutants that are no mistakes, each with the reason; ``holes.txt`` lists the holes there are.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np

from mechlib.checks.judging import Trial
from mechlib.checks.question import Answer
from mechlib.checks.registry import find
from mechlib.checks.running import Returned, run
from mechlib.checks.values import Unreadable, agree, read_fields
from tests.questions.mutants.equivalent import reason
from tests.questions.mutants.given import given
from tests.questions.mutants.returned import returned
from tests.questions.mutants.source import source

__all__ = ["LISTED", "SEEDS", "accepted", "holes", "listed", "mutants", "survivors"]

SEEDS = (0, 1)
"""A hole is listed if it is one on the cases of one of these."""

LISTED = Path(__file__).with_name("holes.txt")
"""One hole a line: the question, and the mutant. Written by ``python -m tests.benchmarks.mutants --write``."""


def mutants(trial: Trial) -> Iterator[tuple[str, Answer]]:
    """Names and answers of all mutants of a question; constants are taken from the first case.

    The same change at a second place of a function gets a number behind its name.
    """
    question = trial.question
    seen: dict[str, int] = {}
    for name, answer in chain(returned(question), given(question, trial.cases[0]), source(question.reference)):
        seen[name] = seen.get(name, 0) + 1
        yield (name if seen[name] == 1 else f"{name} ({seen[name]})"), answer


def accepted(trial: Trial, answer: Answer) -> bool:
    """Whether an answer is right on all cases: what ``judge`` finds, without a look for the mistake that it is."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return all(_agrees(trial, number, answer) for number in range(len(trial.cases)))


def _agrees(trial: Trial, number: int, answer: Answer) -> bool:
    outcome = run(answer, trial.cases[number])
    if not isinstance(outcome, Returned):
        return False
    fields = trial.question.fields
    try:
        got = read_fields(outcome.value, fields)
    except Unreadable:
        return False
    return all(map(agree, got, trial.expected[number], fields)) or all(map(agree, got, trial.lenient[number], fields))


@cache
def survivors(question_id: str, seed: int) -> frozenset[str]:
    """The names of the mutants that are judged right on the cases of a seed."""
    trial = Trial(find(question_id), seed)
    return frozenset(name for name, answer in mutants(trial) if accepted(trial, answer))


def holes(question_id: str, seeds: Iterable[int]) -> set[str]:
    """The mutants that are judged right on one of the seeds, and are not declared to be no mistake."""
    found = set().union(*(survivors(question_id, seed) for seed in seeds))
    return {name for name in found if not reason(question_id, name)}


def listed() -> dict[str, set[str]]:
    """The holes of every question, as they are written down."""
    found: dict[str, set[str]] = {}
    for line in LISTED.read_text(encoding="utf-8").splitlines():
        question_id, _, name = line.partition(" ")
        found.setdefault(question_id, set()).add(name)
    return found
