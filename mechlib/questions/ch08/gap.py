"""Question ch08.gap: a mean difference of pairs and the lower end of its interval."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Question, Step
from mechlib.questions.drawing import integer, normal

__all__ = ["QUESTION"]

Values = Float[Tensor, " unit"]
Numbers = tuple[Float[Tensor, ""], Float[Tensor, ""]]


def less(measured: Values, control: Values) -> Values:
    return measured - control


def error_of_mean(difference: Values) -> Float[Tensor, ""]:
    return difference.std() / len(difference) ** 0.5


def gap(measured: Values, control: Values, *, pair: Step = less, error: Step = error_of_mean) -> Numbers:
    """The mean difference of pairs, and the lower end of its 95 % interval."""
    difference = pair(measured, control)
    return difference.mean(), difference.mean() - 1.96 * error(difference)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Controls below and above, pairs that hang together, and only two of them."""
    return (
        _case("a control below", generator, shift=-9.0),
        _case("a control above", generator, shift=9.0),
        _case("pairs that hang together", generator, shift=2.0, scale=0.5),
        _case("two pairs", generator, shift=1.0, units=2),
    )


def _case(
    description: str, generator: torch.Generator, *, shift: float, scale: float = 3.0, units: int | None = None
) -> Case:
    units = integer(generator, 6, 11) if units is None else units
    measured = normal(generator, units, scale=20.0)
    control = measured + shift + normal(generator, units, scale=scale)
    return Case(description, {"measured": measured, "control": control})


on = edits_of(gap)

MISCONCEPTIONS = {
    "reversed": on(
        "you take the measurement off the control; the gap is measured less control.", pair=lambda m, c: c - m
    ),
    "no_control": on("the control is not taken off: this is what was measured, alone.", pair=lambda m, c: m),
    "sizes": on(
        "your gap is a mean of sizes; differences of either sign must be able to cancel.",
        pair=lambda m, c: (m - c).abs(),
    ),
    "unsorted": on(
        "your pairs are not those of one unit: take each unit's own control off.", pair=lambda m, c: m - c.flip(0)
    ),
    "spread": on(
        "your error is the standard deviation of the differences; that of their mean is smaller by a root of n.",
        error=torch.std,
    ),
    "by_number": on(
        "you divide the standard deviation by the number of units; divide by the root of that number.",
        error=lambda d: d.std() / len(d),
    ),
    "population": on(
        "your standard deviation divides by n; with the mean taken from the same data, divide by n - 1.",
        error=lambda d: d.std(correction=0) / len(d) ** 0.5,
    ),
    "upper": on(
        "this is the upper end of the interval; asked for is the lower one.", error=lambda d: -error_of_mean(d)
    ),
}

QUESTION = Question(
    id="ch08.gap",
    points=1,
    title="A gap and its interval",
    hints=(
        "Which number says of one unit how it differs from its own control?",
        "Take the differences first: their mean, less 1.96 times their standard deviation over a root of n.",
        "d = measured - control; d.mean(), d.mean() - 1.96 * d.std() / len(d) ** 0.5",
    ),
    reference=gap,
    cases=cases,
    axes={"measured": "unit", "control": "unit"},
    fields=(Field("gap"), Field("low")),
    misconceptions=MISCONCEPTIONS,
)
