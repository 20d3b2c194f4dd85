"""Question ch15.refute: a difference between two coefficients that is a difference between two step errors."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, integer
from mechlib.questions.intervals import ENDS_SWAPPED, ONE_STANDARD_ERROR, with_interval

__all__ = ["QUESTION"]

Traces = Float[Tensor, "model step seed draw"]
Steps = Float[Tensor, " step"]
PerSeed = Float[Tensor, " seed"]
Result = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def refute(trace: Traces, lr: Steps, burnin: int, reported: int) -> Result:
    """The reported difference with its z, and the difference at a step of zero with its 95 % interval."""
    gap = gaps(trace, burnin)
    claimed = gap[reported]
    return claimed.mean(), claimed.mean() / error(claimed), *with_interval(at_zero(gap, lr))


def gaps(trace: Traces, burnin: int) -> Float[Tensor, "step seed"]:
    """First less second model, means over the draws that count."""
    llc = trace[..., burnin:].mean(-1)
    return llc[0] - llc[1]


def error(values: PerSeed) -> Tensor:
    """The standard error of the mean."""
    return values.std() / len(values) ** 0.5


def at_zero(gap: Float[Tensor, "step seed"], lr: Steps) -> PerSeed:
    """The value at lr = 0 of the least-squares line in lr, in every seed."""
    x = lr - lr.mean()
    return gap.mean(0) - lr.mean() * (x @ gap) / x.square().sum()


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Differences that vanish, turn round, are true, or are hidden by the steps' errors, and draws below zero."""
    at = [*distinct(generator, 4, 0, 3), integer(generator, 0, 3)]
    return (
        _case("models that differ by their steepness only", generator, at[0], true=(9.0, 9.0), bias=(0.1, 0.9)),
        _case("a difference that turns round", generator, at[1], true=(9.0, 7.5), bias=(0.05, 1.0), larger=1),
        _case("a difference that is true", generator, at[2], true=(6.0, 9.0), bias=(0.3, 0.3)),
        _case("a difference that the step hides", generator, at[3], true=(7.0, 8.5), bias=(0.8, 0.35)),
        _case("coefficients so small that draws are negative", generator, at[4], true=(0.4, -0.3), bias=(0.2, 0.6)),
    )


def _case(
    description: str,
    generator: torch.Generator,
    reported: int,
    *,
    true: tuple[float, float],
    bias: tuple[float, float],
    larger: int = 0,
) -> Case:
    """Chains that climb from zero to ``true (1 + bias lr / largest lr)``, with an error of their own for every run.

    ``larger`` of the steps are larger than the one at place ``reported``.
    """
    steps, seeds = distinct(generator, 2, 4, 8)
    draws, burnin = integer(generator, 30, 36), integer(generator, 9, 14)
    lr = 1e-3 * (0.15 + torch.rand(steps, generator=generator, dtype=torch.float64))
    lr = lr.roll(reported - int(lr.argsort(descending=True)[larger]))
    size = lr / lr.max()
    level = torch.tensor(true, dtype=torch.float64)[:, None] * (1 + torch.tensor(bias)[:, None].double() * size)
    seed_error = 0.15 * torch.randn(2, steps, seeds, generator=generator, dtype=torch.float64)
    noise = 0.5 * torch.randn(2, steps, seeds, draws, generator=generator, dtype=torch.float64)
    climb = 1 - torch.exp(-torch.arange(draws, dtype=torch.float64) / 4)
    trace = climb * (level[..., None, None] + seed_error[..., None] + noise)
    return Case(description, {"trace": trace, "lr": lr, "burnin": burnin, "reported": reported})


def _other(gap_of=gaps, zero_of=at_zero, interval_of=with_interval, error_of=error):
    """An answer that differs from the right one in one part."""

    def answer(trace, lr, burnin, reported):
        gap = gap_of(trace, burnin)
        claimed = gap[reported]
        return claimed.mean(), claimed.mean() / error_of(claimed), *interval_of(zero_of(gap, lr))

    return answer


def _through(gap, x):
    """The slope of the line in x through the values, per seed, and their intercept."""
    centred = x - x.mean()
    slope = centred @ gap / centred.square().sum()
    return slope, gap.mean(0) - x.mean() * slope


def _ends(lr):
    return [int(lr.argmin()), int(lr.argmax())]


burnin_kept = _other(gap_of=lambda trace, burnin: gaps(trace, 0))
burnin_only = _other(gap_of=lambda trace, burnin: gaps(trace[..., :burnin], 0))
turned = _other(gap_of=lambda trace, burnin: -gaps(trace, burnin))
ratio = _other(gap_of=lambda trace, burnin: trace[0, ..., burnin:].mean(-1) / trace[1, ..., burnin:].mean(-1))
first_model_only = _other(gap_of=lambda trace, burnin: trace[0, ..., burnin:].mean(-1))
through_the_ends = _other(zero_of=lambda gap, lr: at_zero(gap[_ends(lr)], lr[_ends(lr)]))
steps_sorted = _other(zero_of=lambda gap, lr: at_zero(gap, lr.sort().values))
smallest_step = _other(zero_of=lambda gap, lr: gap[lr.argmin()])
mean_over_steps = _other(zero_of=lambda gap, lr: gap.mean(0))
slope_returned = _other(zero_of=lambda gap, lr: _through(gap, lr)[0])
in_log_step = _other(zero_of=lambda gap, lr: _through(gap, lr.log())[1])
in_root_step = _other(zero_of=lambda gap, lr: _through(gap, lr.sqrt())[1])
in_squared_step = _other(zero_of=lambda gap, lr: _through(gap, lr.square())[1])
in_inverse_step = _other(zero_of=lambda gap, lr: _through(gap, 1 / lr)[1])
in_place_of_step = _other(zero_of=lambda gap, lr: _through(gap, torch.arange(len(lr)).double())[1])
one_error = _other(interval_of=lambda v: (v.mean(), v.mean() - error(v), v.mean() + error(v)))
no_root = _other(interval_of=lambda v: (v.mean(), v.mean() - 1.96 * v.std(), v.mean() + 1.96 * v.std()))
ends_swapped = _other(interval_of=lambda v: tuple(with_interval(v)[i] for i in (0, 2, 1)))
spread_for_error = _other(error_of=lambda v: v.std())


def two_point(trace, lr, burnin, reported):
    """Richardson's formula with the reported and the smallest step, as if the one were half of the other."""
    gap = gaps(trace, burnin)
    right = refute(trace, lr, burnin, reported)
    return *right[:2], *with_interval(2 * gap[lr.argmin()] - gap[reported])


def largest_step(trace, lr, burnin, reported):
    right = refute(trace, lr, burnin, reported)
    return *refute(trace, lr, burnin, int(lr.argmax()))[:2], *right[2:]


def population_deviation(trace, lr, burnin, reported):
    claimed, z, difference, low, high = refute(trace, lr, burnin, reported)
    seeds = trace.shape[2]
    small = (1 - 1 / seeds) ** 0.5
    return (
        claimed,
        z / small,
        difference,
        difference + small * (low - difference),
        difference + small * (high - difference),
    )


def first_step(trace, lr, burnin, reported):
    right = refute(trace, lr, burnin, reported)
    return *refute(trace, lr, burnin, 0)[:2], *right[2:]


def unpaired(trace, lr, burnin, reported):
    llc = trace[..., burnin:].mean(-1)
    right = refute(trace, lr, burnin, reported)
    zero = torch.stack([at_zero(each, lr) for each in llc])
    margin = 1.96 * (zero.var(1) / zero.shape[1]).sum().sqrt()
    return *right[:3], right[2] - margin, right[2] + margin


def draws_as_independent(trace, lr, burnin, reported):
    right = refute(trace, lr, burnin, reported)
    kept = trace[:, reported, :, burnin:].flatten(1)
    return right[0], right[0] / (kept.var(1) / kept.shape[1]).sum().sqrt(), *right[2:]


MISCONCEPTIONS = {
    "burnin_kept": Misconception(burnin_kept, "you average over the burn-in as well; leave the first draws out."),
    "burnin_only": Misconception(burnin_only, "you average over the burn-in; it is what has to be left out."),
    "turned": Misconception(turned, "you take the second less the first; asked for is the first less the second."),
    "ratio": Misconception(ratio, "you divide the coefficients; asked for is their difference."),
    "first_model_only": Misconception(
        first_model_only, "these are the coefficients of the first model; the second's have to come off."
    ),
    "smallest_step": Misconception(
        smallest_step,
        "your last numbers are the difference at the smallest step; that step has an error too. Extrapolate to zero.",
    ),
    "through_the_ends": Misconception(
        through_the_ends, "your line goes through the smallest and the largest step; fit it to all steps."
    ),
    "steps_sorted": Misconception(
        steps_sorted, "you have sorted the steps without the differences that belong to them."
    ),
    "mean_over_steps": Misconception(
        mean_over_steps, "you average over the steps; the error of the step does not average out, so extrapolate."
    ),
    "slope_returned": Misconception(
        slope_returned, "this is the slope of the line; its value at a step of zero, the intercept, is asked for."
    ),
    "in_log_step": Misconception(
        in_log_step, "you fit against log lr: at a step of zero that is minus infinity. The error is linear in lr."
    ),
    "in_root_step": Misconception(in_root_step, "you fit against sqrt(lr); to first order the error is linear in lr."),
    "in_squared_step": Misconception(
        in_squared_step, "you fit against lr squared; plain SGLD has an error that is linear in lr."
    ),
    "in_inverse_step": Misconception(
        in_inverse_step, "you fit against 1/lr, and its intercept is an infinite step; fit against lr."
    ),
    "in_place_of_step": Misconception(
        in_place_of_step, "you fit against the place in the list; the steps are neither sorted nor evenly spaced."
    ),
    "two_point": Misconception(
        two_point, "2 × small - large is right if the one step is half of the other; here fit a line to all steps."
    ),
    "one_error": Misconception(one_error, ONE_STANDARD_ERROR),
    "no_root": Misconception(
        no_root, "the interval uses the spread of single seeds; the mean of s seeds is better known by sqrt(s)."
    ),
    "ends_swapped": Misconception(ends_swapped, ENDS_SWAPPED),
    "spread_for_error": Misconception(
        spread_for_error, "your z divides by the spread of single seeds; divide by the standard error of their mean."
    ),
    "first_step": Misconception(
        first_step, "your claim is read at the first step of the list; the report used the step `reported`."
    ),
    "largest_step": Misconception(
        largest_step, "your claim is read at the largest step; the report used the step `reported`."
    ),
    "population_deviation": Misconception(
        population_deviation, "your standard deviations divide by the number of seeds; divide by one less."
    ),
    "unpaired": Misconception(
        unpaired, "you add the variances of the two models; take the spread of their difference, seed by seed."
    ),
    "draws_as_independent": Misconception(
        draws_as_independent, "your z takes all draws as independent; take the spread over seeds."
    ),
}

QUESTION = Question(
    id="ch15.refute",
    points=3,
    title="Refute: the first model is simpler",
    hints=(
        "Both models were sampled with the same step. Is the error of that step the same for both?",
        "Take the difference of the coefficients for every step and seed. In every seed fit a line in lr, with an "
        "intercept: the intercept is the difference at a step of zero.",
        "gap = llc[0] - llc[1], [step, seed]; x = lr - lr.mean(); zero = gap.mean(0) - lr.mean() * (x @ gap) / "
        "x.square().sum(); then mean and 1.96 standard errors over seeds.",
    ),
    reference=refute,
    cases=cases,
    axes={"trace": "model step seed draw", "lr": "step"},
    fields=(
        Field("claimed", atol=1e-6),
        Field("z", atol=1e-5),
        Field("difference", atol=1e-5),
        Field("low", atol=1e-6),
        Field("high", atol=1e-6),
    ),
    misconceptions=MISCONCEPTIONS,
)
