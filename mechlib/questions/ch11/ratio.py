"""Question ch11.ratio: the ratio of two mean errors on the same prompts, with its interval."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct
from mechlib.questions.intervals import ENDS_SWAPPED, NO_ROOT, ONE_STANDARD_ERROR, POPULATION_SPREAD

__all__ = ["QUESTION"]

Errors = Float[Tensor, " prompt"]
Result = tuple[Tensor, Tensor, Tensor]


def ratio(ours: Errors, theirs: Errors) -> Result:
    """The ratio of the means, less and plus 1.96 standard errors to first order."""
    r = ours.mean() / theirs.mean()
    return around(r, (ours - r * theirs).std() / theirs.mean() / math.sqrt(len(ours)))


def around(r: Tensor, error: Tensor, level: float = 1.96) -> Result:
    return r, r - level * error, r + level * error


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Errors that rise and fall together, that do not, with rare large ones, nearly equal ones, and one that decides.

    In the last case the interval reaches below zero, as an interval that is symmetric about a ratio may.
    """
    return (
        _case("errors that rise and fall together", generator, shared=0.9, tail=1.0, factor=1.3),
        _case("independent errors", generator, shared=0.0, tail=1.0, factor=0.6),
        _case("a few very large errors", generator, shared=0.5, tail=2.2, factor=4.0),
        _case("two predictors that are nearly the same", generator, shared=0.998, tail=1.0, factor=1.05),
        _one_decides(generator),
    )


def _case(description: str, generator: torch.Generator, *, shared: float, tail: float, factor: float) -> Case:
    n = distinct(generator, 1, 25, 60)[0]

    def normal() -> Tensor:
        return torch.randn(n, generator=generator, dtype=torch.float64)

    both, scale = normal(), 10 ** float(torch.rand((), generator=generator) * 3 - 1.5)
    mine, other = (math.sqrt(shared) * both + math.sqrt(1 - shared) * normal() for _ in range(2))
    return Case(description, {"ours": scale * factor * (tail * mine).exp(), "theirs": scale * (tail * other).exp()})


def _one_decides(generator: torch.Generator) -> Case:
    n = distinct(generator, 1, 9, 20)[0]
    ours, theirs = 0.5 + torch.rand(2, n, generator=generator, dtype=torch.float64)
    ours[distinct(generator, 1, 0, 8)[0]] *= 500
    return Case("one prompt with nearly all the error", {"ours": ours, "theirs": theirs})


def ratio_of_medians(ours, theirs):
    _, low, high = ratio(ours, theirs)
    return ours.median() / theirs.median(), low, high


def unpaired(ours, theirs):
    r = ours.mean() / theirs.mean()
    spread = (ours.var() + r**2 * theirs.var()) / len(ours)
    return around(r, spread.sqrt() / theirs.mean())


def plain_difference(ours, theirs):
    error = (ours - theirs).std() / len(ours) ** 0.5 / theirs.mean()
    return around(ours.mean() / theirs.mean(), error)


def not_divided(ours, theirs):
    r = ours.mean() / theirs.mean()
    return around(r, (ours - r * theirs).std() / len(ours) ** 0.5)


def divided_by_ours(ours, theirs):
    r = ours.mean() / theirs.mean()
    return around(r, (ours - r * theirs).std() / len(ours) ** 0.5 / ours.mean())


def no_root(ours, theirs):
    r = ours.mean() / theirs.mean()
    return around(r, (ours - r * theirs).std() / theirs.mean())


def one_standard_error(ours, theirs):
    r, _, high = ratio(ours, theirs)
    return around(r, (high - r) / 1.96, level=1.0)


def two_standard_errors(ours, theirs):
    r, _, high = ratio(ours, theirs)
    return around(r, (high - r) / 1.96, level=2.0)


def divided_by_number(ours, theirs):
    r, _, high = ratio(ours, theirs)
    return around(r, (high - r) / 1.96 / math.sqrt(len(ours)))


def cut_at_zero(ours, theirs):
    r, low, high = ratio(ours, theirs)
    return r, low.clamp(min=0), high


def population_spread(ours, theirs):
    r = ours.mean() / theirs.mean()
    return around(r, (ours - r * theirs).std(correction=0) / theirs.mean() / len(ours) ** 0.5)


def on_logarithms(ours, theirs):
    r = ours.mean() / theirs.mean()
    error = (ours / ours.mean() - theirs / theirs.mean()).std() / len(ours) ** 0.5
    return r, r * (-1.96 * error).exp(), r * (1.96 * error).exp()


def geometric(ours, theirs):
    log = (ours / theirs).log()
    error = log.std() / len(log) ** 0.5
    return log.mean().exp(), (log.mean() - 1.96 * error).exp(), (log.mean() + 1.96 * error).exp()


def ends_swapped(ours, theirs):
    r, low, high = ratio(ours, theirs)
    return r, high, low


MISCONCEPTIONS = {
    "mean_of_ratios": Misconception(
        lambda ours, theirs: around((ours / theirs).mean(), (ours / theirs).std() / len(ours) ** 0.5),
        "this is the mean of the prompts' ratios, which prompts with a tiny error below dominate.",
    ),
    "ratio_of_medians": Misconception(ratio_of_medians, "these are medians; asked for is the ratio of the means."),
    "inverted": Misconception(lambda ours, theirs: ratio(theirs, ours), "your ratio is upside down: ours over theirs."),
    "unpaired": Misconception(
        unpaired, "you add the variances as if the two had seen different prompts; their errors go together."
    ),
    "fixed_rival": Misconception(
        lambda ours, theirs: around(ours.mean() / theirs.mean(), ours.std() / len(ours) ** 0.5 / theirs.mean()),
        "you treat the mean below as known; it varies with the prompts as the one above does.",
    ),
    "plain_difference": Misconception(
        plain_difference, "the spread is that of ours - r * theirs, with the ratio r in front; yours has no r."
    ),
    "not_divided": Misconception(
        not_divided, "your standard error is in units of the error; divide by the mean of theirs, as the ratio is."
    ),
    "divided_by_ours": Misconception(divided_by_ours, "divide the standard error by the mean of theirs, not of ours."),
    "no_root": Misconception(no_root, NO_ROOT),
    "one_standard_error": Misconception(one_standard_error, ONE_STANDARD_ERROR),
    "two_standard_errors": Misconception(
        two_standard_errors, "your interval is two standard errors wide on each side; 1.96 are asked for."
    ),
    "divided_by_number": Misconception(
        divided_by_number, "you divide by the number of prompts; the standard error of a mean has its root."
    ),
    "cut_at_zero": Misconception(
        cut_at_zero,
        "you cut the interval off at zero; an end below zero warns that this approximation is poor: keep it.",
    ),
    "population_spread": Misconception(population_spread, POPULATION_SPREAD),
    "on_logarithms": Misconception(
        on_logarithms, "your interval is symmetric for the logarithm; asked for is the one about the ratio itself."
    ),
    "geometric": Misconception(geometric, "this is the geometric mean of the prompts' ratios, not a ratio of means."),
    "ends_swapped": Misconception(ends_swapped, ENDS_SWAPPED),
}

QUESTION = Question(
    id="ch11.ratio",
    points=2,
    title="A ratio of errors on the same prompts",
    hints=(
        "Move every error a little. By how much does the ratio of the means move?",
        "To first order the ratio moves by the mean of (ours - r theirs) over the mean of theirs. A mean of n "
        "independent values has a standard error.",
        "r = ours.mean() / theirs.mean(); error = (ours - r theirs).std() / theirs.mean() / sqrt(n); r -+ 1.96 error.",
    ),
    reference=ratio,
    cases=cases,
    axes={"ours": "prompt", "theirs": "prompt"},
    fields=(Field("ratio", atol=1e-7), Field("low", atol=1e-7), Field("high", atol=1e-7)),
    misconceptions=MISCONCEPTIONS,
)
