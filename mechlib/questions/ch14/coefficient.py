"""Question ch14.coefficient: learning coefficient and multiplicity from the charts of a blow-up."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, integer

__all__ = ["QUESTION"]

Exponents = Int[Tensor, "chart weight"]
Rates = Float[Tensor, "chart weight"]
Result = tuple[Tensor, Tensor]


def rates(k: Exponents, h: Exponents) -> Rates:
    """``(h + 1) / 2k`` of every weight, infinite where the weight is not in the loss."""
    return torch.where(k > 0, (h + 1) / (2 * k), torch.inf)


def most_ties(found: Rates, smallest: Tensor) -> Tensor:
    """How often the chart that holds the smallest rate most often does."""
    return (found == smallest).sum(1).max()


def coefficient(k: Exponents, h: Exponents, *, rate=rates, ties=most_ties) -> Result:
    """λ and m of a loss that is a normal crossing in every chart."""
    found = rate(k, h)
    smallest = found.min()
    return smallest, ties(found, smallest)


SMALL, MIDDLE, LARGE = ((1, 3), (1, 4), (3, 8)), ((2, 3), (3, 4), (1, 1)), ((3, 2), (4, 3), (6, 5))
"""Smallest rates, as numerator and denominator."""


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Ties within a chart, across charts, of a larger rate; one chart; a pole hidden by its Jacobian; and large rates.

    The smallest rate lies below 1/2, below 1 and above 1; it is had by the first weight of a chart, and by the last.
    """
    small, middle, large = ([rates[i] for i in distinct(generator, 3, 0, 2)] for rates in (SMALL, MIDDLE, LARGE))
    ordinary = _draw(generator)
    _put(ordinary, small[0], chart=0, places=[0])
    _put(ordinary, (1, 2), chart=1, places=distinct(generator, 3, 1, 4))
    tied = _draw(generator, least=1.5)
    _put(tied, large[0], chart=2, places=[*distinct(generator, 2, 1, 4), -1])
    across = _draw(generator, charts=5, least=1.0)
    for chart, ties in enumerate((2, 1, 3, 4, 3)):  # not in the first and not in the last
        _put(across, middle[0], chart=chart, places=distinct(generator, ties, 1, 4))
    single = _draw(generator, charts=1, least=1.5)
    _put(single, large[1], chart=0, places=distinct(generator, 2, 1, 4))
    hidden = _draw(generator)
    _put(hidden, small[1], chart=1, places=distinct(generator, 2, 1, 4))
    hidden[0][0, 0], hidden[1][0, 0] = 40, 31  # the largest exponent, but not the smallest rate
    high = _draw(generator, least=13.0)
    _put(high, (12, 1), chart=1, places=distinct(generator, 2, 1, 4))
    high[0][1, 0], high[1][1, 0] = 50, 1200  # no tie, by a hundredth
    _put(hidden, (3, 1), chart=0, places=(hidden[0][0] == 0).nonzero()[0].tolist())  # a chart with all weights
    return (
        _case("one pole", ordinary),
        _case("a tie within a chart", tied),
        _case("ties in several charts", across),
        _case("a single chart", single),
        _case("a large exponent with a large Jacobian", hidden),
        _case("large rates that nearly tie", high),
    )


def _draw(generator: torch.Generator, charts: int | None = None, least: float = 0.5) -> tuple[Exponents, Exponents]:
    """Exponents with rates above ``least``: k of 1 to 4 and h to match; one weight of a chart is not in the loss."""
    shape = integer(generator, 3, 5) if charts is None else charts, integer(generator, 7, 9)
    k = torch.randint(1, 5, shape, generator=generator)
    h = int(2 * least) * k - 1 + torch.randint(1, 5, shape, generator=generator)
    for chart in range(shape[0]):
        at = integer(generator, 5, shape[1] - 2)
        k[chart, at] = 0
        h[chart, at] = integer(generator, 0, 3)
    return k, h


def _put(drawn: tuple[Exponents, Exponents], rate: tuple[int, int], *, chart: int, places: list[int]) -> None:
    """Give the weights at these places of a chart the rate, in different ways."""
    k, h = drawn
    for times, weight in enumerate(places, 1):
        h[chart, weight] = 2 * times * rate[0] - 1
        k[chart, weight] = times * rate[1]


def _case(description: str, drawn: tuple[Exponents, Exponents]) -> Case:
    return Case(description, {"k": drawn[0], "h": drawn[1]})


def largest_rate(k, h):
    found = torch.where(k > 0, (h + 1) / (2 * k), -torch.inf)
    return found.max(), (found == found.max()).sum(1).max()


def largest_exponent(k, h):
    at = k == k.max()
    return ((h + 1) / (2 * k))[at].min(), at.sum(1).max()


def sum_over_weights(k, h):
    found = rates(k, h)
    total = torch.where(found.isinf(), 0.0, found).sum(1)
    return total.min(), coefficient(k, h)[1]


on = edits_of(coefficient)
MISCONCEPTIONS = {
    "no_jacobian": on(
        "this is the smallest 1/(2k). The blow-up's Jacobian thins the weights out near zero: the rate is "
        "(h + 1)/(2k).",
        h=torch.zeros_like,
    ),
    "jacobian_without_one": on(
        "the rate is (h + 1)/(2k): a Jacobian of exponent 0 still leaves 1/(2k).",
        rate=lambda k, h: torch.where(k > 0, h / (2 * k), torch.inf),
    ),
    "without_the_two": on(
        "your coefficient is twice too large: the loss holds w to the power 2k, so divide by 2k.",
        result=lambda right: (2 * right[0], right[1]),
    ),
    "ties_over_charts": on(
        "you count ties over all charts together. Charts cover different places, so their volumes add: the "
        "multiplicity is the largest count within one chart.",
        ties=lambda found, smallest: (found == smallest).sum(),
    ),
    "number_of_charts": on(
        "you count the charts that reach the smallest rate; count the weights that reach it in one chart.",
        ties=lambda found, smallest: (found == smallest).any(1).sum(),
    ),
    "ties_of_first_chart": on(
        "you count in the first chart that reaches the smallest rate; another may reach it with more weights.",
        ties=lambda found, smallest: (found[found.min(1).values.argmin()] == smallest).sum(),
    ),
    "fewest_ties": on(
        "you take the chart with the fewest ties; the one with the most has the larger volume.",
        ties=lambda found, smallest: (found == smallest).sum(1)[(found == smallest).any(1)].min(),
    ),
    "ties_of_any_pole": on(
        "you count the ties of every chart's own smallest rate; only charts that reach the smallest rate of all count.",
        ties=lambda found, smallest: (found == found.amin(1, keepdim=True)).sum(1).max(),
    ),
    "multiplicity_less_one": on(
        "your multiplicity is m - 1, the power of the logarithm; asked for is m, the order of the pole.",
        result=lambda right: (right[0], right[1] - 1),
    ),
    "always_one": on(
        "the multiplicity is not always 1: several weights may share the smallest rate.",
        result=lambda right: (right[0], 1),
    ),
    "first_chart_only": on(
        "you read the first chart only; λ is the smallest over all charts.", k=lambda k: k[:1], h=lambda h: h[:1]
    ),
    "negative_pole": on(
        "this is the pole of the zeta function, -λ; asked for is λ.", result=lambda right: (-right[0], right[1])
    ),
    "absent_at_zero": on(
        "weights with k = 0 get the rate 0 in yours; they are not in the loss, so they never make it fall: leave "
        "them out.",
        rate=lambda k, h: torch.where(k > 0, (h + 1) / (2 * k), 0.0),
    ),
    "inverted": on(
        "your fraction is upside down: the rate is (h + 1) over 2k.",
        rate=lambda k, h: torch.where(k > 0, 2 * k / (h + 1), torch.inf),
    ),
    "largest_rate": Misconception(
        largest_rate, "you take the largest rate; the slowest term rules the tail, so the smallest one counts."
    ),
    "largest_exponent": Misconception(
        largest_exponent,
        "you go by the largest k; a large Jacobian can undo a large k. Compare the rates (h + 1)/(2k).",
    ),
    "sum_over_weights": Misconception(
        sum_over_weights,
        "you add up the rates of a chart. That is right for a sum of separate losses; in a product the smallest rules.",
    ),
    "all_in_the_loss": Misconception(
        lambda k, h: (coefficient(k, h)[0], (k > 0).sum(1).max()),
        "you count all weights in the loss; only those that reach the smallest rate count.",
    ),
}

QUESTION = Question(
    id="ch14.coefficient",
    points=1,
    title="λ and m from a blow-up",
    hints=(
        "What does one weight w with density proportional to |w|^h contribute? How fast does the tail of -log of "
        "w^(2k) fall?",
        "Every weight with k > 0 has the rate (h + 1)/(2k). λ is the smallest rate of all; m is counted within a "
        "chart, and "
        "the chart with the largest count wins.",
        "rate = torch.where(k > 0, (h + 1) / (2 * k), torch.inf); λ = rate.min(); m = (rate == λ).sum(1).max().",
    ),
    reference=coefficient,
    cases=cases,
    axes={"k": "chart weight", "h": "chart weight"},
    fields=(Field("coefficient", atol=1e-6), Field("multiplicity", atol=0.0, rtol=0.0)),
    misconceptions=MISCONCEPTIONS,
)
