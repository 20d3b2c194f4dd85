"""Question ch11.refute: an equal error is taken for an equal algorithm."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct
from mechlib.questions.intervals import ENDS_SWAPPED, NO_ROOT, ONE_STANDARD_ERROR, POPULATION_SPREAD, with_interval

__all__ = ["QUESTION"]

Values = Float[Tensor, "prompt point"]
Result = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def refute(model: Values, network: Values, again: Values, y: Values) -> Result:
    """The ratio of the errors, how far apart the answers are, how far they would be anyhow, and the excess of that."""
    unit = y.square().mean()
    ratio = (model - y).square().mean() / (network - y).square().mean()
    apart, spread = (model - network).square() / unit, (network - again).square() / unit
    return ratio, apart.mean(), spread.mean(), *with_interval((apart - spread).mean(1))


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Reports that are false, true, in between; values far from zero; answers that are farther apart than values."""
    return (
        _case("another algorithm of the same error", generator, shared=0.0),
        _case("the network from a third start", generator, shared=1.0),
        _case("a model that shares a part of the network's errors", generator, shared=0.6),
        _case("values far from zero", generator, shared=0.2, mean=2.0),
        _case("a network that never says the same twice", generator, shared=1.0, of_again=3.0),
        _case("a model far from both networks, at single points", generator, shared=0.3, of_model=3.0, points=1),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    shared: float,
    mean: float = 0.0,
    of_model: float = 0.2,
    of_again: float = 0.2,
    points: int | None = None,
) -> Case:
    """Answers that are off by what a kind of algorithm has in common, and by noise of their own."""
    prompts, points = distinct(generator, 1, 25, 45)[0], points or distinct(generator, 1, 3, 7)[0]

    def normal(size: float) -> Tensor:
        of_prompt = torch.randn(prompts, 1, generator=generator, dtype=torch.float64)
        single = torch.randn(prompts, points, generator=generator, dtype=torch.float64)
        return size * (0.7 * of_prompt + 0.7 * single)

    y = mean + (0.5 + torch.rand(prompts, 1, generator=generator, dtype=torch.float64)) * normal(1.0)
    common, other = normal(0.5), normal(0.5)
    network, again = y + common + normal(0.2), y + common + normal(of_again)
    model = y + shared * common + math.sqrt(1 - shared**2) * other + normal(of_model)
    return Case(description, {"model": model, "network": network, "again": again, "y": y})


def _with(right: Result, **changed: Tensor) -> tuple[Tensor, ...]:
    names = ("ratio", "apart", "spread", "excess", "low", "high")
    return tuple(changed.get(name, value) for name, value in zip(names, right, strict=True))


def _scaled(right: Result, factor: Tensor) -> tuple[Tensor, ...]:
    return right[0], *(factor * value for value in right[1:])


def roots(model, network, again, y):
    right = refute(model, network, again, y)
    return right[0].sqrt(), right[1].sqrt(), right[2].sqrt(), *right[3:]


def inverted(model, network, again, y):
    right = refute(model, network, again, y)
    return _with(right, ratio=1 / right[0])


def ratio_of_prompts(model, network, again, y):
    own, theirs = ((f - y).square().mean(1) for f in (model, network))
    return _with(refute(model, network, again, y), ratio=(own / theirs).mean())


def not_divided(model, network, again, y):
    return _scaled(refute(model, network, again, y), y.square().mean())


def about_the_mean(model, network, again, y):
    return _scaled(refute(model, network, again, y), y.square().mean() / y.var(correction=0))


def over_own_size(model, network, again, y):
    unit = y.square().mean(1, keepdim=True)
    apart, spread = (model - network).square() / unit, (network - again).square() / unit
    ratio = refute(model, network, again, y)[0]
    return ratio, apart.mean(), spread.mean(), *with_interval((apart - spread).mean(1))


def over_error(model, network, again, y):
    return _scaled(refute(model, network, again, y), y.square().mean() / (network - y).square().mean())


def errors_compared(model, network, again, y):
    own, theirs, second = ((f - y).abs() for f in (model, network, again))
    apart, spread = (own - theirs).square() / y.square().mean(), (theirs - second).square() / y.square().mean()
    ratio = refute(model, network, again, y)[0]
    return ratio, apart.mean(), spread.mean(), *with_interval((apart - spread).mean(1))


def spread_of_model(model, network, again, y):
    ratio, apart, *_ = refute(model, network, again, y)
    other = (model - again).square() / y.square().mean()
    excess = ((model - network).square() / y.square().mean() - other).mean(1)
    return ratio, apart, other.mean(), *with_interval(excess)


def error_as_spread(model, network, again, y):
    ratio, apart, *_ = refute(model, network, again, y)
    other = (network - y).square() / y.square().mean()
    excess = ((model - network).square() / y.square().mean() - other).mean(1)
    return ratio, apart, other.mean(), *with_interval(excess)


def no_spread_taken_off(model, network, again, y):
    ratio, apart, spread, *_ = refute(model, network, again, y)
    return ratio, apart, spread, *with_interval(((model - network).square() / y.square().mean()).mean(1))


def ratio_as_excess(model, network, again, y):
    ratio, apart, spread, excess, low, high = refute(model, network, again, y)
    times = apart / spread
    return ratio, apart, spread, times, times - (excess - low), times + (high - excess)


def absolute_differences(model, network, again, y):
    unit = y.square().mean()
    apart, spread = (model - network).abs() / unit, (network - again).abs() / unit
    ratio = refute(model, network, again, y)[0]
    return ratio, apart.mean(), spread.mean(), *with_interval((apart - spread).mean(1))


def turned(model, network, again, y):
    *first, excess, low, high = refute(model, network, again, y)
    return *first, -excess, -high, -low


def ends_swapped(model, network, again, y):
    *first, low, high = refute(model, network, again, y)
    return *first, high, low


def _margin(model, network, again, y, margin):
    right = refute(model, network, again, y)
    excess = ((model - network).square() - (network - again).square()) / y.square().mean()
    return *right[:4], right[3] - margin(excess), right[3] + margin(excess)


def points_as_units(model, network, again, y):
    return _margin(model, network, again, y, lambda e: 1.96 * e.std() / e.numel() ** 0.5)


def one_standard_error(model, network, again, y):
    return _margin(model, network, again, y, lambda e: e.mean(1).std() / len(e) ** 0.5)


def two_standard_errors(model, network, again, y):
    return _margin(model, network, again, y, lambda e: 2 * e.mean(1).std() / len(e) ** 0.5)


def over_points(model, network, again, y):
    return _margin(model, network, again, y, lambda e: 1.96 * e.mean(0).std() / e.shape[1] ** 0.5)


def no_root(model, network, again, y):
    return _margin(model, network, again, y, lambda e: 1.96 * e.mean(1).std())


def population_spread(model, network, again, y):
    return _margin(model, network, again, y, lambda e: 1.96 * e.mean(1).std(correction=0) / len(e) ** 0.5)


def unpaired(model, network, again, y):
    parts = [(model - network).square().mean(1), (network - again).square().mean(1)]
    spread = sum(part.var() / len(part) for part in parts).sqrt() / y.square().mean()
    return _margin(model, network, again, y, lambda e: 1.96 * spread)


MISCONCEPTIONS = {
    "roots": Misconception(roots, "you took roots; errors and distances are mean squares here."),
    "inverted": Misconception(inverted, "your ratio is upside down: the model's error over the network's."),
    "ratio_of_prompts": Misconception(
        ratio_of_prompts, "this is the mean of the prompts' ratios; divide the mean error by the mean error."
    ),
    "not_divided": Misconception(not_divided, "the distances are not yet divided by the mean square of y."),
    "about_the_mean": Misconception(
        about_the_mean, "you divide by the variance of y; its mean square is asked for, the error of predicting zero."
    ),
    "over_own_size": Misconception(
        over_own_size, "you divide every prompt by its own mean square of y, so prompts with small y count most."
    ),
    "over_error": Misconception(over_error, "divide by the mean square of y, not by the network's error."),
    "errors_compared": Misconception(
        errors_compared, "you compare the sizes of the errors; two answers can err as much and in opposite directions."
    ),
    "spread_of_model": Misconception(
        spread_of_model, "the spread is between the two networks; yours is between the model and the second one."
    ),
    "error_as_spread": Misconception(
        error_as_spread, "the spread is between the two networks; yours is the network's error."
    ),
    "no_spread_taken_off": Misconception(
        no_spread_taken_off, "from the distance take off what two networks are apart anyhow."
    ),
    "ratio_as_excess": Misconception(
        ratio_as_excess, "you divide the distance by the spread; the excess is their difference."
    ),
    "absolute_differences": Misconception(
        absolute_differences, "apart and spread are mean squared differences; yours are absolute ones."
    ),
    "turned": Misconception(turned, "the excess is the model's distance less the spread, not the reverse."),
    "ends_swapped": Misconception(ends_swapped, ENDS_SWAPPED),
    "points_as_units": Misconception(
        points_as_units,
        "your interval takes points for independent; those of a prompt share a function. First average.",
    ),
    "one_standard_error": Misconception(one_standard_error, ONE_STANDARD_ERROR),
    "two_standard_errors": Misconception(
        two_standard_errors, "your interval is two standard errors wide on each side; 1.96 are asked for."
    ),
    "over_points": Misconception(
        over_points,
        "your interval is over points: you averaged over prompts first; average over points, within prompts.",
    ),
    "no_root": Misconception(no_root, NO_ROOT),
    "population_spread": Misconception(population_spread, POPULATION_SPREAD),
    "unpaired": Misconception(
        unpaired, "you add the variances of the two distances; take the spread of their difference, prompt by prompt."
    ),
}

QUESTION = Question(
    id="ch11.refute",
    points=3,
    title="Refute: an equal error shows the same algorithm",
    hints=(
        "Two pupils with the same mark need not have copied from each other. What would show it?",
        "Compare answers with answers: the model with the network, and the network with itself from another start.",
        "unit = mean of y²; apart = (model - network)² / unit; spread = (network - again)² / unit; excess = their "
        "difference, averaged over points within each prompt; 1.96 * excess.std() / sqrt(prompts).",
    ),
    reference=refute,
    cases=cases,
    axes=dict.fromkeys(("model", "network", "again", "y"), "prompt point"),
    fields=tuple(Field(name, atol=1e-6) for name in ("ratio", "apart", "spread", "excess", "low", "high")),
    misconceptions=MISCONCEPTIONS,
)
