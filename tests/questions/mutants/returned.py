"""Mutants by what comes back: the reference's result with one of its quantities changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from mechlib.checks.question import Answer, Field, Question
from mechlib.checks.values import read_fields

__all__ = ["returned"]


def three_digits(values: Tensor) -> Tensor:
    """Rounded as one types what was printed; what is planted on such numbers lets it pass."""
    unit = 10.0 ** (values.abs().log10().floor() - 2)
    return torch.where(values.isfinite() & (values != 0), (values / unit).round() * unit, values)


EVERYWHERE: dict[str, Callable[[Tensor], Tensor]] = {
    "absolute value": torch.abs,
    "cut at 0": lambda values: values.clamp(min=0),
    "sign turned": torch.neg,
    "clamped to [0, 1]": lambda values: values.clamp(0, 1),
    "clamped to [-1, 1]": lambda values: values.clamp(-1, 1),
}


def returned(question: Question) -> Iterator[tuple[str, Answer]]:
    """Names and answers; the name says which quantity is changed, and how."""
    for index, field in enumerate(question.fields):
        for name, change in _changes(field):
            yield f"{field.name}: {name}", _with(question, index, change)


def _changes(field: Field) -> Iterator[tuple[str, Callable[[Tensor], Tensor]]]:
    yield from EVERYWHERE.items()
    if not field.exact and field.atol < 5e-4 and field.rtol < 1e-3:
        yield "three digits", three_digits
    axes = field.axes.split()
    if axes:
        yield "squeezed", torch.squeeze
    for axis, name in enumerate(axes):
        yield f"one too late along {name}", lambda values, axis=axis: values.roll(1, axis)
        yield f"one too early along {name}", lambda values, axis=axis: values.roll(-1, axis)
    for axis, (first, second) in enumerate(pairwise(axes)):
        yield f"{first} and {second} exchanged", lambda values, axis=axis: values.transpose(axis, axis + 1)


def _with(question: Question, index: int, change: Callable[[Tensor], Tensor]) -> Answer:
    def answer(*inputs: object) -> object:
        values = [reading.values for reading in read_fields(question.reference(*inputs), question.fields)]
        values[index] = change(values[index])
        return values if len(values) > 1 else values[0]

    return answer
