"""Judging what was handed in for an open task, apart from running it: a grader may have had it from another process."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch

from mechlib.checks.judging import Judgement, Status, judged_to_raise, outcomes_of, with_defaults
from mechlib.checks.open_task import OpenTask, Setting, Unfit
from mechlib.checks.plain import plain
from mechlib.checks.question import Case
from mechlib.checks.running import Raised, Returned
from mechlib.checks.values import Unreadable

__all__ = ["OpenTrial"]

ONE_AT_A_TIME = threading.Lock()
"""Held while an instance is measured: a model that several threads share has the hooks of one."""


class OpenTrial:
    """An open task with the instances drawn from ``seed``; each is drawn when a hand-in for its setting is judged."""

    def __init__(self, task: OpenTask, seed: int) -> None:
        self.task = task
        self.seed = seed
        self._drawn: dict[str, Any] = {}
        self._baselines: dict[str, float] = {}

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """What a function is called with; where none is handed in, one case without inputs."""
        (name, setting), *others = self.task.settings.items()
        if others or setting.cases is None:
            return (Case("what is handed in", {}),)
        with with_defaults():
            return setting.cases(self._instance(name))

    @property
    def takes_function(self) -> bool:
        """Whether a function is handed in."""
        return any(setting.cases is not None for setting in self.task.settings.values())

    def run(self, answer: object) -> tuple[Returned | Raised, ...]:
        """What a function does on each case, or what is handed in as if one had returned it."""
        return outcomes_of(answer if self.takes_function and callable(answer) else lambda *_: answer, self.cases)

    def judge(self, outcomes: Sequence[Returned | Raised], *, hidden: bool = False) -> Judgement:
        """The judgement on what ``run`` gave. Args as those of ``judging.judge``."""
        if isinstance(last := outcomes[-1], Raised):
            return judged_to_raise(last, self.cases[len(outcomes) - 1], hidden)
        returned = [outcome.value for outcome in outcomes if isinstance(outcome, Returned)]
        if any(value is None for value in returned):
            return Judgement("unanswered", f"not answered yet. {self.task.handed_in} {self.task.budget}")
        try:
            handed = [plain(value) for value in returned]
            name, setting, given = self._chosen(handed if self.takes_function else handed[0])
            with ONE_AT_A_TIME, with_defaults():
                instance = self._instance(name)
                outcome = setting.outcome(instance, given)
                if name not in self._baselines:
                    self._baselines[name] = setting.baseline(instance)
        except Unreadable as error:
            return Judgement("wrong", f"you hand in {error}.", (self.task.handed_in,))
        except Unfit as error:
            return Judgement("wrong", f"{error}", (self.task.handed_in,))
        except OSError as error:
            return Judgement("unjudged", f"not judged: {error}")
        remarks = tuple(filter(None, (outcome.remark, self._elsewhere(name))))
        return self._of(setting, outcome.value, self._baselines[name], remarks, hidden)

    def _chosen(self, handed: Any) -> tuple[str, Setting, Any]:
        """The setting that counts, and what was handed in for it."""
        if len(self.task.settings) == 1:
            ((name, setting),) = self.task.settings.items()
            return name, setting, handed
        known = ", ".join(map(repr, self.task.settings))
        if not isinstance(handed, Mapping) or not handed:
            raise Unfit(f"what is handed in is a mapping from one of {known}.")
        if unknown := sorted(set(handed) - set(self.task.settings)):
            raise Unfit(f"there is nothing to hand in for {unknown[0]!r}; it is one of {known}.")
        fitting = [(name, setting) for name, setting in self.task.settings.items() if name in handed]
        here = [(name, setting) for name, setting in fitting if not setting.model or _is_here(setting.model)]
        if not here:
            _require(fitting[0][1].model)
        name, setting = here[0]
        return name, setting, handed[name]

    def _elsewhere(self, name: str) -> str:
        """What to say where not all of the points can be had with this setting."""
        most = self.task.settings[name].points
        if most == self.task.points:
            return ""
        return f"With {name} {most:g} of the {self.task.points:g} points can be earned."

    def _instance(self, name: str) -> Any:
        if name not in self._drawn:
            self._drawn[name] = self.task.settings[name].draw(torch.Generator().manual_seed(self.seed))
        return self._drawn[name]

    def _of(self, setting: Setting, value: float, baseline: float, remarks: tuple[str, ...], hidden: bool) -> Judgement:
        earned = setting.earned(value, baseline) if math.isfinite(value) else 0.0
        whole = earned == self.task.points
        points = f"right ({earned:g} points)" if whole else f"{earned:g} of {self.task.points:g} points"
        said = f"{points}." if hidden else f"{points}. {setting.words.format(value=value, baseline=baseline)}"
        if more := setting.next_step(earned):
            bound = f"{more[1]:.0%} of the baseline" + ("" if hidden else f", here {more[1] * baseline:.3g}")
            remarks = (*remarks, f"{more[0]:g} points are for at most {bound}.")
        status: Status = "right" if whole else "partly" if earned else "wrong"
        return Judgement(status, said, remarks, earned=earned)


def _is_here(model: str) -> bool:
    try:
        _require(model)
    except OSError:
        return False
    return True


def _require(model: str) -> None:
    """Nothing is fetched.

    Raises:
        OSError: if a model is not on this machine; the message has the command that gets it.
    """
    from mechlib import zoo  # takes seconds, and few tasks need it

    zoo.card(model)
