"""What makes a question's inputs blind to mistakes: axes of equal length, biases of zero, arguments that never vary."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from mechlib.checks.question import Case, Question

__all__ = ["lint"]

MIN_MISCONCEPTIONS = 5


def lint(question: Question, seeds: Iterable[int] = range(5)) -> tuple[str, ...]:
    """Every complaint about a question, for cases drawn from ``seeds``; empty if there is none.

    Complained about are: two named axes of equal length in one case, an input of real numbers that are all equal
    (a bias of zeros, a scale of ones), an argument with the same value in all cases of a seed, an input of a shape
    other than declared, cases that a seed does not reproduce, and too few misconceptions.
    """
    complaints: list[str] = []
    if len(question.misconceptions) < MIN_MISCONCEPTIONS:
        complaints.append(f"{len(question.misconceptions)} misconceptions, fewer than {MIN_MISCONCEPTIONS}")
    for seed in seeds:
        cases, again = (question.cases(torch.Generator().manual_seed(seed)) for _ in range(2))
        found = [f"{complaint} ({case.description})" for case in cases for complaint in _axes(question, case)]
        found += [f"{complaint} ({case.description})" for case in cases for complaint in _constants(case)]
        found += [f"{name} has one value in all cases" for name in cases[0].inputs if _one_value(name, cases)]
        if not all(_equal(a.inputs[n], b.inputs[n]) for a, b in zip(cases, again, strict=True) for n in a.inputs):
            found.append("the cases are not a function of the seed")
        complaints += [f"seed {seed}: {complaint}" for complaint in found]
    return tuple(complaints)


def _axes(question: Question, case: Case) -> Iterable[str]:
    lengths: dict[str, int] = {}
    for name, value in case.inputs.items():
        if not isinstance(value, Tensor):
            continue
        axes = question.axes.get(name, "").split()
        if len(axes) != value.ndim:
            yield f"{name} has shape {list(value.shape)}, its declared axes are {axes}"
            continue
        for axis, length in zip(axes, value.shape, strict=True):
            if lengths.setdefault(axis, length) != length:
                yield f"axis {axis} has lengths {lengths[axis]} and {length}"
    names = list(lengths)
    for i, axis in enumerate(names):
        for other in names[i + 1 :]:
            if lengths[axis] == lengths[other]:
                yield f"axes {axis} and {other} have the same length {lengths[axis]}"


def _constants(case: Case) -> Iterable[str]:
    for name, value in case.inputs.items():
        if isinstance(value, Tensor) and value.is_floating_point() and value.numel() > 1 and value.max() == value.min():
            yield f"{name} is {value.max():g} everywhere"


def _one_value(name: str, cases: tuple[Case, ...]) -> bool:
    return all(_equal(case.inputs[name], cases[0].inputs[name]) for case in cases)


def _equal(a: object, b: object) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and bool((a == b).all())
    return a == b
