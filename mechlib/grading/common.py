"""What wrong answers return on cases that a whole class has in common, so that alike mistakes are seen to be alike.

Everybody's hidden cases are their own; what two students returned on them cannot be compared. So an answer that is
wrong in no known way runs once more, on cases that are nobody's. Nothing is judged by them and nothing of them is shown
to students.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mechlib.checks.judging import Trial
from mechlib.checks.question import Field
from mechlib.checks.running import Raised, Returned
from mechlib.checks.values import Reading, Unreadable, agree, read_fields

__all__ = ["MOST", "relation", "told"]

MOST = 64
"""Numbers that are kept of one returned array; of a larger one, so many at even distances, and its mean and size."""

FEWEST = 3
"""Different right values that a relation needs: on fewer, many relations fit."""

RELATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "the right value with the other sign": lambda x: -x,
    "the size of the right value, without its sign": torch.abs,
    "the right value, 0 where it is negative": lambda x: x.clamp(min=0),
    "1 minus the right value": lambda x: 1 - x,
    "1 divided by the right value": lambda x: 1 / x,
    "the square of the right value": torch.square,
    "the square root of the right value": torch.sqrt,
    "the logarithm of the right value": torch.log,
    "the exponential of the right value": torch.exp,
}
"""How a wrong value may come from the right one, in words."""


def told(trial: Trial, outcomes: Sequence[Returned | Raised]) -> str:
    """What an answer did on the cases of ``trial``, as JSON: one object with ``cases`` and ``relations``.

    A case is ``{"raised": kind}``, ``{"unreadable": why}``, ``{"none": true}`` or ``{"arrays": [...], "right": bool}``;
    an array has its ``shape``, at most ``MOST`` ``values``, and ``precision``. ``relations`` says, for every field, how
    what was returned follows from what is right, where it does on every case; ``wrong_on`` names the kinds of cases.
    """
    cases, read = [], []
    for case, outcome, right in zip(trial.cases, outcomes, trial.lenient, strict=False):
        about = _case(outcome, right, trial.question.fields)
        cases.append(about | {"description": case.description})
        if "arrays" in about and isinstance(outcome, Returned):
            read.append((read_fields(outcome.value, trial.question.fields), right))
    relations = {}
    for number, field in enumerate(trial.question.fields):
        pairs = [(mine[number], right[number]) for mine, right in read]
        if len(read) == len(trial.cases) and (found := relation(pairs, field)):
            relations[field.name] = found
    return json.dumps({"cases": cases, "relations": relations}, separators=(",", ":"))


def _case(outcome: Returned | Raised, right: Sequence[Reading], fields: Sequence[Field]) -> dict[str, object]:
    if isinstance(outcome, Raised):
        return {"raised": outcome.kind}
    if outcome.value is None:
        return {"none": True}
    try:
        readings = read_fields(outcome.value, fields)
    except Unreadable as error:
        return {"unreadable": str(error)[:300]}
    return {"arrays": [_kept(reading) for reading in readings], "right": all(map(agree, readings, right, fields))}


def _kept(reading: Reading) -> dict[str, object]:
    flat = reading.values.flatten()
    if len(flat) > MOST:
        chosen = torch.linspace(0, len(flat) - 1, MOST - 2, dtype=torch.float64).round().long()
        flat = torch.cat([flat[chosen], flat.mean().reshape(1), flat.square().mean().sqrt().reshape(1)])
    values = [float(f"{value:.9g}") for value in flat.tolist()]
    return {"shape": list(reading.values.shape), "values": values, "precision": reading.precision}


def relation(pairs: Sequence[tuple[Reading, Reading]], field: Field) -> str:
    """How what was returned follows from what is right on every case, in words; empty if that is not seen.

    Args:
        pairs: for every case, what was returned and what is right.
    """
    if all(agree(mine, right, field) for mine, right in pairs):
        return "right"
    if all(mine.values.shape != right.values.shape for mine, right in pairs):
        turned = all(right.values.ndim == 2 and _alike(mine, right.values.T, field) for mine, right in pairs)
        return "the right values with their axes exchanged" if turned else "another shape"
    if any(mine.values.shape != right.values.shape for mine, right in pairs):
        return ""
    got, want = (torch.cat([part.values.flatten() for part in parts]) for parts in zip(*pairs, strict=True))
    if not len(got) or not got.isfinite().all():
        return ""
    if (got == got[0]).all():
        return f"always {got[0]:.6g}"
    if len(want.unique()) < FEWEST:
        return ""
    for words, change in RELATIONS.items():
        if all(_alike(mine, change(right.values), field) for mine, right in pairs):
            return words
    return _linear(pairs, field, got, want)


def _linear(pairs: Sequence[tuple[Reading, Reading]], field: Field, got: Tensor, want: Tensor) -> str:
    """A constant factor or difference, or another order."""
    factor = float((got * want).sum() / want.square().sum())
    if abs(factor) > field.rtol and all(_alike(mine, factor * right.values, field) for mine, right in pairs):
        return f"{factor:.4g} times the right value"
    difference = float((got - want).mean())
    if all(_alike(mine, right.values + difference, field) for mine, right in pairs):
        return f"the right value {'plus' if difference > 0 else 'minus'} {abs(difference):.4g}"
    if all(_alike(_sorted(mine), _sorted(right).values, field) for mine, right in pairs):
        return "the right values in another order"
    return ""


def _alike(mine: Reading, values: Tensor, field: Field) -> bool:
    return agree(mine, Reading(values), field)


def _sorted(reading: Reading) -> Reading:
    return Reading(reading.values.flatten().sort().values, reading.precision)
