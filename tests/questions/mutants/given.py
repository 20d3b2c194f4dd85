"""Mutants by what goes in: the reference on inputs of which one is ignored, shifted, cut short or rounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mechlib.checks.question import Answer, Case, Question

__all__ = ["given"]

Change = Callable[[Any], Any]


def given(question: Question, first: Case) -> Iterator[tuple[str, Answer]]:
    """Names and answers; the name says which input is changed, and how.

    Args:
        first: the case whose numbers and lists are taken as constants.
    """
    for name, value in first.inputs.items():
        for what, change in _changes(value):
            yield f"{name}: {what}", _with(question, first, {name: change})
    for name, axis, place in _shared(question):
        for what, step in (("late", 1), ("early", -1)):
            change = _rolled(step, place)
            yield f"{name}: one too {what} along {axis}", _with(question, first, {name: change})
    for axis in dict.fromkeys(axis for axes in question.axes.values() for axis in axes.split()):
        for what, kept in (("first", slice(1, None)), ("last", slice(None, -1))):
            yield f"{axis}: the {what} dropped", _with(question, first, _cut(question, axis, kept))
    if any(map(_is_real, first.inputs.values())):
        yield "all: float16", _rounded(question)
    if all(isinstance(value, (int, float)) for value in first.inputs.values()):
        yield "all: 32-bit integers", _with(question, first, dict.fromkeys(first.inputs, _narrow))


def _changes(value: object) -> Iterator[tuple[str, Change]]:
    if isinstance(value, Tensor):
        yield "zeros", torch.zeros_like
        yield "ones", torch.ones_like
        if value.is_floating_point():
            yield "its mean", lambda x: torch.full_like(x, float(x.mean()))
            yield "absolute value", torch.abs
        return
    if isinstance(value, (bool, str, list)):
        yield "a constant", lambda _: value
    if isinstance(value, list):
        yield "the first dropped", lambda x: x[1:]
        yield "the last dropped", lambda x: x[:-1]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _of_number(value)


def _of_number(value: float) -> Iterator[tuple[str, Change]]:
    kind = type(value)
    for constant in dict.fromkeys((value, kind(0), kind(1))):
        yield "a constant" if constant == value else f"{constant:g}", lambda _, constant=constant: constant
    if isinstance(value, int):
        yield "one more", lambda x: x + 1
        yield "one less", lambda x: x - 1
    else:
        yield "times .9", lambda x: 0.9 * x
        yield "times 1.1", lambda x: 1.1 * x


def _shared(question: Question) -> Iterator[tuple[str, str, int]]:
    """Input, axis and its place, for the axes along which several inputs lie: there a shift tears them apart."""
    count = Counter(axis for axes in question.axes.values() for axis in set(axes.split()))
    for name, axes in question.axes.items():
        yield from ((name, axis, place) for place, axis in enumerate(axes.split()) if count[axis] > 1)


def _rolled(step: int, place: int) -> Change:
    return lambda x: x.roll(step, place)


def _cut(question: Question, axis: str, kept: slice) -> Mapping[str, Change]:
    """The change for each input that has the axis."""

    def cut(axes: list[str]) -> Change:
        return lambda x: x[tuple(kept if each == axis else slice(None) for each in axes)]

    return {name: cut(axes.split()) for name, axes in question.axes.items() if axis in axes.split()}


def _is_real(value: object) -> bool:
    return value.is_floating_point() if isinstance(value, Tensor) else isinstance(value, float)


def _narrow(value: float) -> object:
    return np.int32(value) if type(value) is int else value


def _with(question: Question, first: Case, changes: Mapping[str, Change]) -> Answer:
    def answer(*inputs: object) -> object:
        named = zip(first.inputs, inputs, strict=True)
        return question.reference(*(changes[name](x) if name in changes else x for name, x in named))

    return answer


def _rounded(question: Question) -> Answer:
    """All that is real rounded to half precision on its way in and out, and handed on as what it was."""

    def through(value: object) -> object:
        if isinstance(value, Tensor) and value.is_floating_point():
            return value.half().to(value.dtype)
        if isinstance(value, (tuple, list)):
            return type(value)(map(through, value))
        return float(np.float16(value)) if isinstance(value, float) else value

    return lambda *inputs: through(question.reference(*map(through, inputs)))
