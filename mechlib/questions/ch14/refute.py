"""Question ch14.refute: the larger of two basins at one threshold is called the simpler one."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct
from mechlib.questions.intervals import ENDS_SWAPPED, ONE_STANDARD_ERROR

__all__ = ["QUESTION"]

Volumes = Float[Tensor, "solution run level"]
Thresholds = Float[Tensor, " level"]
Result = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def refute(log_volume: Volumes, threshold: Thresholds, reported: int, n: float) -> Result:
    """The report's log ratio, the difference of the exponents with its 95 % interval, and the log ratio at 1/n."""
    gap, x = log_volume[0] - log_volume[1], threshold.log()
    rate = slopes(gap, x)
    return (gap[:, reported].mean(), *with_interval(rate), extrapolated(gap, x, -math.log(n)))


def slopes(gap: Float[Tensor, "run level"], x: Thresholds) -> Float[Tensor, " run"]:
    """Of the least-squares line with an intercept, in every run."""
    x = x - x.mean()
    return (gap * x).sum(1) / x.square().sum()


def with_interval(rate: Float[Tensor, " run"]) -> tuple[Tensor, Tensor, Tensor]:
    """The mean over runs, and the mean less and plus 1.96 standard errors."""
    margin = 1.96 * rate.std() / math.sqrt(len(rate))
    return rate.mean(), rate.mean() - margin, rate.mean() + margin


def extrapolated(gap: Float[Tensor, "run level"], x: Thresholds, at: float) -> Tensor:
    """The mean line of the runs, at the logarithmic threshold ``at``."""
    return (gap.mean(1) + slopes(gap, x) * (at - x.mean())).mean()


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """A report that is false, one that is true, equal exponents, and the second solution ahead from the start."""
    return (
        _case("a wide basin with the larger exponent", generator, exponents=(2.5, 0.5), ahead=3.0, reported=1),
        _case("a wide basin with the smaller exponent", generator, exponents=(0.5, 1.5), ahead=2.0, reported=0),
        _case("equal exponents", generator, exponents=(1.0, 1.0), ahead=1.5, reported=2),
        _case(
            "a narrow basin with the larger exponent",
            generator,
            exponents=(3.0, 1.0),
            ahead=-2.0,
            reported=3,
            digits=1.5,
        ),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    exponents: tuple[float, float],
    ahead: float,
    reported: int,
    digits: float = 4.5,
) -> Case:
    """Runs that walk away from the law a little, each by itself, as nested levels do; n has some ``digits``."""
    runs, levels = distinct(generator, 2, 4, 9)
    x = -1.0 - 0.8 * (0.6 + 0.8 * torch.rand(levels, generator=generator, dtype=torch.float64)).cumsum(0)
    law = torch.tensor(exponents, dtype=torch.float64)[:, None, None] * (x - x[0])
    offset = torch.tensor([ahead, 0.0], dtype=torch.float64)[:, None, None] - 4.0
    walk = 0.15 * torch.randn(2, runs, levels, generator=generator, dtype=torch.float64).cumsum(2)
    n = 10 ** (digits * (2 + 2 * float(torch.rand(1, generator=generator, dtype=torch.float64))) / 3)
    inputs = {"log_volume": offset + law + walk, "threshold": x.exp(), "reported": reported, "n": round(n)}
    return Case(description, inputs)


def _parts(log_volume, threshold, reported, n):
    gap, x = log_volume[0] - log_volume[1], threshold.log()
    return gap, x, slopes(gap, x), refute(log_volume, threshold, reported, n)


def first_threshold(log_volume, threshold, reported, n):
    return refute(log_volume, threshold, 0, n)


def smallest_threshold(log_volume, threshold, reported, n):
    return refute(log_volume, threshold, -1, n)


def ratio_of_volumes(log_volume, threshold, reported, n):
    gap, _, _, right = _parts(log_volume, threshold, reported, n)
    return gap[:, reported].exp().mean(), *right[1:]


def ratio_of_logarithms(log_volume, threshold, reported, n):
    right = refute(log_volume, threshold, reported, n)
    return (log_volume[0] / log_volume[1])[:, reported].mean(), *right[1:]


def exchanged(log_volume, threshold, reported, n):
    return refute(log_volume.flip(0), threshold, reported, n)


def exponents_turned(log_volume, threshold, reported, n):
    claimed, rate, low, high, there = refute(log_volume, threshold, reported, n)
    return claimed, -rate, -high, -low, there


def through_the_origin(log_volume, threshold, reported, n):
    gap, x, _, right = _parts(log_volume, threshold, reported, n)
    rate = (gap * x).sum(1) / x.square().sum()
    return right[0], *with_interval(rate), -rate.mean() * math.log(n)


def first_solution_only(log_volume, threshold, reported, n):
    right = refute(log_volume, threshold, reported, n)
    return right[0], *with_interval(slopes(log_volume[0], threshold.log())), right[4]


def against_threshold(log_volume, threshold, reported, n):
    gap, _, _, right = _parts(log_volume, threshold, reported, n)
    return right[0], *with_interval(slopes(gap, threshold)), extrapolated(gap, threshold, 1 / n)


def thresholds_decadic(log_volume, threshold, reported, n):
    _, _, rate, right = _parts(log_volume, threshold, reported, n)
    return right[0], *with_interval(math.log(10) * rate), right[4]


def below_reported(log_volume, threshold, reported, n):
    part = log_volume[:, :, reported:], threshold[reported:]
    return refute(*part, 0, n)


def largest_levels_left_out(log_volume, threshold, reported, n):
    right = refute(log_volume, threshold, reported, n)
    half = len(threshold) // 2
    return right[0], *refute(log_volume[:, :, half:], threshold[half:], 0, n)[1:]


def one_standard_error(log_volume, threshold, reported, n):
    return _margin(log_volume, threshold, reported, n, lambda rate: rate.std() / math.sqrt(len(rate)))


def no_root(log_volume, threshold, reported, n):
    return _margin(log_volume, threshold, reported, n, lambda rate: 1.96 * rate.std())


def population_deviation(log_volume, threshold, reported, n):
    return _margin(log_volume, threshold, reported, n, lambda rate: 1.96 * rate.std(correction=0) / len(rate) ** 0.5)


def unpaired(log_volume, threshold, reported, n):
    rate = slopes(log_volume.flatten(0, 1), threshold.log()).unflatten(0, log_volume.shape[:2])
    error = (rate.var(1).sum() / rate.shape[1]).sqrt()
    return _margin(log_volume, threshold, reported, n, lambda _: 1.96 * error)


def _margin(log_volume, threshold, reported, n, margin):
    _, _, rate, right = _parts(log_volume, threshold, reported, n)
    return right[0], rate.mean(), rate.mean() - margin(rate), rate.mean() + margin(rate), right[4]


def ends_swapped(log_volume, threshold, reported, n):
    claimed, rate, low, high, there = refute(log_volume, threshold, reported, n)
    return claimed, rate, high, low, there


def not_extrapolated(log_volume, threshold, reported, n):
    gap, _, _, right = _parts(log_volume, threshold, reported, n)
    return *right[:4], gap[:, -1].mean()


def extrapolated_to_n(log_volume, threshold, reported, n):
    gap, x, _, right = _parts(log_volume, threshold, reported, n)
    return *right[:4], extrapolated(gap, x, math.log(n))


def intercept_forgotten(log_volume, threshold, reported, n):
    _, _, rate, right = _parts(log_volume, threshold, reported, n)
    return *right[:4], -rate.mean() * math.log(n)


def from_the_report(log_volume, threshold, reported, n):
    _, x, rate, right = _parts(log_volume, threshold, reported, n)
    return *right[:4], right[0] + rate.mean() * (-math.log(n) - x[reported])


def inverse_root(log_volume, threshold, reported, n):
    gap, x, _, right = _parts(log_volume, threshold, reported, n)
    return *right[:4], extrapolated(gap, x, -math.log(n) / 2)


MISCONCEPTIONS = {
    "first_threshold": Misconception(
        first_threshold, "your claim is read at the first threshold; the report looked at the level `reported`."
    ),
    "smallest_threshold": Misconception(
        smallest_threshold, "your claim is read at the smallest threshold; the report looked at the level `reported`."
    ),
    "ratio_of_volumes": Misconception(
        ratio_of_volumes, "your claim is the ratio of the volumes; asked for is its logarithm, averaged over the runs."
    ),
    "ratio_of_logarithms": Misconception(
        ratio_of_logarithms, "you divide the logarithms; the log ratio of the volumes is their difference."
    ),
    "exchanged": Misconception(
        exchanged, "you take the second less the first; asked for is the first less the second."
    ),
    "exponents_turned": Misconception(
        exponents_turned, "the difference of the exponents has the wrong sign: it is the first's less the second's."
    ),
    "through_the_origin": Misconception(
        through_the_origin, "your lines go through the origin; the basins' sizes are unknown, so fit an intercept."
    ),
    "first_solution_only": Misconception(
        first_solution_only, "this is the exponent of the first solution alone; the second's has to come off."
    ),
    "against_threshold": Misconception(against_threshold, "you fit against ε; a power law is a line against log ε."),
    "thresholds_decadic": Misconception(
        thresholds_decadic,
        "your thresholds are in logarithms to base ten and the volumes in natural ones: the slope is 2.3 times too "
        "large.",
    ),
    "below_reported": Misconception(
        below_reported, "you fit only the levels from the reported one on; asked for is the line through all levels."
    ),
    "largest_levels_left_out": Misconception(
        largest_levels_left_out, "you fit only the smaller half of the thresholds; use all levels."
    ),
    "one_standard_error": Misconception(one_standard_error, ONE_STANDARD_ERROR),
    "no_root": Misconception(
        no_root, "the interval uses the spread of single runs; the mean of r runs is better known by sqrt(r)."
    ),
    "population_deviation": Misconception(
        population_deviation, "your standard deviation divides by the number of runs; divide by one less."
    ),
    "unpaired": Misconception(
        unpaired,
        "you add the variances of the two exponents; asked for is the spread of their difference, run by run.",
    ),
    "ends_swapped": Misconception(ends_swapped, ENDS_SWAPPED),
    "not_extrapolated": Misconception(
        not_extrapolated,
        "your last number is the log ratio at the smallest threshold measured; the posterior looks at 1/n.",
    ),
    "extrapolated_to_n": Misconception(
        extrapolated_to_n, "you extrapolate to ε = n; the posterior of n samples looks at ε = 1/n."
    ),
    "intercept_forgotten": Misconception(
        intercept_forgotten, "your last number has the slope only; where the line starts, its intercept, is missing."
    ),
    "from_the_report": Misconception(
        from_the_report,
        "you start at the reported level and go on with the fitted slope; follow the fitted line itself.",
    ),
    "inverse_root": Misconception(
        inverse_root, "you extrapolate to 1/sqrt(n), a distance between weights; a difference of losses is 1/n."
    ),
}

QUESTION = Question(
    id="ch14.refute",
    points=3,
    title="Refute: the larger basin is the simpler one",
    hints=(
        "A volume at one threshold is a constant times a power. Which of the two did the report compare?",
        "Take the log ratio of the volumes in every run. Its slope against log ε is the difference of the exponents, "
        "and "
        "its line, followed to ε = 1/n, says what a posterior of n samples sees.",
        "gap = log_volume[0] - log_volume[1]; x = threshold.log() less its mean; rate = (gap * x).sum(1) / "
        "x.square().sum(); at 1/n the line is gap.mean(1) + rate * (-log(n) - mean of log ε), averaged over runs.",
    ),
    reference=refute,
    cases=cases,
    axes={"log_volume": "solution run level", "threshold": "level"},
    fields=tuple(Field(name, atol=1e-5) for name in ("claimed", "difference", "low", "high", "at_n")),
    misconceptions=MISCONCEPTIONS,
)
