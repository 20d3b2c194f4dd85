"""Judging what was handed in for an open task, apart from running it: a grader may have had it from another process."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch

from mechlib.checks.judging import Judgement, Status, judged_to_raise, outcomes_of, with_defaults
from mechlib.checks.open_task import OpenTask, Outcome, Unfit
from mechlib.checks.plain import plain
from mechlib.checks.question import Case
from mechlib.checks.running import Raised, Returned
from mechlib.checks.values import Unreadable

__all__ = ["OpenTrial"]

ONE_AT_A_TIME = threading.Lock()
"""Held while an instance is measured: a model that several threads share has the hooks of one."""


class OpenTrial:
    """An open task with the instance drawn from ``seed``; it is drawn when it is first needed."""

    def __init__(self, task: OpenTask, seed: int) -> None:
        self.task = task
        self.seed = seed

    @cached_property
    def _instance(self) -> Any:
        return self.task.draw(torch.Generator().manual_seed(self.seed))

    @cached_property
    def _baseline(self) -> float:
        return self.task.baseline(self._instance)

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """What a function is called with; where none is handed in, one case without inputs."""
        if self.task.cases is None:
            return (Case("what is handed in", {}),)
        with with_defaults():
            return self.task.cases(self._instance)

    def run(self, answer: object) -> tuple[Returned | Raised, ...]:
        """What a function does on each case, or what is handed in as if one had returned it."""
        return outcomes_of(answer if self.task.cases and callable(answer) else lambda *_: answer, self.cases)

    def judge(self, outcomes: Sequence[Returned | Raised], *, hidden: bool = False) -> Judgement:
        """The judgement on what ``run`` gave. Args as those of ``judging.judge``."""
        if isinstance(last := outcomes[-1], Raised):
            return judged_to_raise(last, self.cases[len(outcomes) - 1], hidden)
        returned = [outcome.value for outcome in outcomes if isinstance(outcome, Returned)]
        if any(value is None for value in returned):
            return Judgement("unanswered", f"not answered yet. {self.task.handed_in} {self.task.budget}")
        try:
            handed = [plain(value) for value in returned]
            _require(self.task.model)
            with ONE_AT_A_TIME, with_defaults():
                outcome = self.task.outcome(self._instance, handed if self.task.cases else handed[0])
                return self._of(outcome, self._baseline, hidden)
        except Unreadable as error:
            return Judgement("wrong", f"you hand in {error}.", (self.task.handed_in,))
        except Unfit as error:
            return Judgement("wrong", f"{error}", (self.task.handed_in,))
        except OSError as error:
            return Judgement("unjudged", f"not judged: {error}")

    def _of(self, outcome: Outcome, baseline: float, hidden: bool) -> Judgement:
        task, value = self.task, outcome.value
        earned = task.earned(value, baseline) if math.isfinite(value) else 0.0
        whole = earned == task.points
        points = f"right ({earned:g} points)" if whole else f"{earned:g} of {task.points:g} points"
        said = f"{points}." if hidden else f"{points}. {task.words.format(value=value, baseline=baseline)}"
        remarks = (outcome.remark,) if outcome.remark else ()
        if more := task.next_step(earned):
            bound = f"{more[1]:.0%} of the baseline" + ("" if hidden else f", here {more[1] * baseline:.3g}")
            remarks = (*remarks, f"{more[0]:g} points are for at most {bound}.")
        status: Status = "right" if whole else "partly" if earned else "wrong"
        return Judgement(status, said, remarks, earned=earned)


def _require(model: str) -> None:
    """Nothing is fetched.

    Raises:
        OSError: if a model is not on this machine; the message has the command that gets it.
    """
    if model:
        from mechlib import zoo  # takes seconds, and few tasks need it

        zoo.card(model)
