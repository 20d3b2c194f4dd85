"""What a graded question is: one definition that the notebook and a course's grader both use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Answer", "Case", "Field", "Misconception", "Model", "Question", "Step", "Task", "Value"]


@dataclass(frozen=True)
class Model:
    """A model of the zoo as an input: it travels as its name, and the answer gets the model itself, on the CPU."""

    name: str
    step: int | None = None
    """A checkpoint; ``None`` is the last one."""


Value = Tensor | int | float | bool | str | list | Model
"""What an input may be: plain data, so that it can travel to another process."""

Answer = Callable[..., object]
"""A reader's function, or one of ours: it takes a case's inputs in order."""

Step = Callable[..., Any]
"""A part of a reference that a misconception may do otherwise."""


@dataclass(frozen=True)
class Case:
    """One set of inputs."""

    description: str
    """What is special about it, to be read after "on the case of ..."."""
    inputs: Mapping[str, Any]
    """The arguments by name, each a ``Value``, in the order in which the function takes them."""


@dataclass(frozen=True)
class Field:
    """One quantity that an answer returns, and how closely it must agree with the reference."""

    name: str
    axes: str = ""
    """Names of its axes, separated by spaces; empty for a single number."""
    atol: float = 1e-3
    rtol: float = 1e-4

    @property
    def exact(self) -> bool:
        """Whether no deviation at all is allowed, as for counts and ids."""
        return self.atol == 0 and self.rtol == 0


@dataclass(frozen=True)
class Misconception:
    """A wrong answer that people give, and what a good tutor says to it."""

    answer: Answer
    sentence: str


@dataclass(frozen=True)
class Task:
    """What a chapter asks: a ``Question`` on a function, or an ``OpenTask`` (``mechlib.checks.open_task``)."""

    id: str
    """``"chNN.name"``."""
    points: float
    title: str
    hints: tuple[str, str, str]
    """A nudge, the method, almost the answer."""

    @property
    def chapter(self) -> str:
        """``"chNN"``."""
        return self.id.partition(".")[0]


@dataclass(frozen=True)
class Question(Task):
    """A question whose answer is a function, with all that is needed to ask it and to judge an answer.

    ``cases`` draws fresh inputs from a generator; the same seed gives the same cases. The reference is right by
    definition, and each misconception must be rejected.
    """

    reference: Answer
    cases: Callable[[torch.Generator], tuple[Case, ...]]
    axes: Mapping[str, str]
    """For every tensor input, the names of its axes, separated by spaces."""
    fields: tuple[Field, ...]
    """What the answer returns: the only field itself, or a tuple of all in this order."""
    misconceptions: Mapping[str, Misconception]
    """Wrong answers that people give, by name."""
