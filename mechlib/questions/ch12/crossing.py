"""Question ch12.crossing: from squared errors and coefficients to the sample size at which accuracy wins."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct

__all__ = ["QUESTION"]

Pairs = Float[Tensor, "pair solution"]
PerPair = Float[Tensor, " pair"]


def crossing(errors: Pairs, coefficients: Pairs, noise_var: float, n_points: int) -> tuple[PerPair, PerPair]:
    """The loss gap in nats per prompt, and the number of prompts beyond which the accurate solution is preferred."""
    gap = n_points * (errors[:, 0] - errors[:, 1]) / noise_var
    return gap, solved(gap, coefficients)


def solved(gap: PerPair, coefficients: Pairs, branch: int = -1) -> PerPair:
    """The larger root of ``n gap = (difference of the coefficients) log n``; 1 where there is none."""
    ratio = (coefficients[:, 1] - coefficients[:, 0]) / gap
    return torch.where(ratio > math.e, roots(ratio, branch), 1.0)


def roots(ratio: PerPair, branch: int = -1) -> PerPair:
    """The larger root of ``n = ratio log n``, or the smaller on branch 0; no root where the ratio is below e."""
    from scipy.special import lambertw  # hundreds of modules, which no other question needs

    return torch.from_numpy(-ratio.numpy() * lambertw(-1 / ratio.numpy(), branch).real)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Gaps of all sizes, accurate solutions that win from the start, little noise, single points, and a single pair."""
    return (
        _case("gaps of all sizes", generator, noise_var=0.6, ratios=(5.0, 400.0)),
        _case("some accurate solutions win from the start", generator, noise_var=1.7, ratios=(0.5, 40.0)),
        _case("little noise", generator, noise_var=0.02, ratios=(4.0, 60.0)),
        _case("prompts of a single point", generator, noise_var=0.3, ratios=(6.0, 3000.0), n_points=1),
        _case("a single pair", generator, noise_var=0.9, ratios=(25.0, 25.0), pairs=1),
    )


NEAR = (0.94, 1.07)
"""Ratios in units of e that are close to where the two roots meet, with no root and with two."""


def _case(
    description: str,
    generator: torch.Generator,
    *,
    noise_var: float,
    ratios: tuple[float, float],
    n_points: int | None = None,
    pairs: int | None = None,
) -> Case:
    """Ratios from one bound to the other; where the bounds have e between them, two of them are ``NEAR``."""
    drawn = distinct(generator, 2, 4, 12)
    pairs, n_points = pairs or drawn[0], n_points or drawn[1]
    noise_var *= float(1 + 0.2 * torch.rand(1, generator=generator))
    accurate, gap, first = (torch.rand(pairs, generator=generator, dtype=torch.float64) for _ in range(3))
    errors = torch.stack([0.1 + accurate + 0.02 + 0.3 * gap, 0.1 + accurate], 1)
    low, high = (math.log(ratio) for ratio in ratios)
    ratio = torch.linspace(low, high, pairs, dtype=torch.float64).exp()
    ratio = torch.where((ratio - math.e).abs() < 1, 2.2 * ratio, ratio)  # for single precision's sake
    if ratios[0] < math.e:
        ratio[distinct(generator, 2, 1, pairs - 1)] = math.e * torch.tensor(NEAR, dtype=torch.float64)
    nats = n_points * (errors[:, 0] - errors[:, 1]) / noise_var
    simple = 2 + 20 * first
    return Case(
        description,
        {
            "errors": errors,
            "coefficients": torch.stack([simple, simple + ratio * nats], 1),
            "noise_var": noise_var,
            "n_points": n_points,
        },
    )


def _with_gap(factor: float, errors: Pairs, coefficients: Pairs) -> tuple[PerPair, PerPair]:
    gap = factor * (errors[:, 0] - errors[:, 1])
    return gap, solved(gap, coefficients)


def raw_errors(errors, coefficients, noise_var, n_points):
    return _with_gap(1.0, errors, coefficients)


def points_forgotten(errors, coefficients, noise_var, n_points):
    return _with_gap(1 / noise_var, errors, coefficients)


def noise_forgotten(errors, coefficients, noise_var, n_points):
    return _with_gap(n_points, errors, coefficients)


def halved_again(errors, coefficients, noise_var, n_points):
    return _with_gap(n_points / (2 * noise_var), errors, coefficients)


def deviation_for_variance(errors, coefficients, noise_var, n_points):
    return _with_gap(n_points / noise_var**0.5, errors, coefficients)


def noise_multiplied(errors, coefficients, noise_var, n_points):
    return _with_gap(n_points * noise_var, errors, coefficients)


def gap_turned(errors, coefficients, noise_var, n_points):
    gap, n = crossing(errors, coefficients, noise_var, n_points)
    return -gap, n


def smaller_root(errors, coefficients, noise_var, n_points):
    gap, _ = crossing(errors, coefficients, noise_var, n_points)
    return gap, solved(gap, coefficients, branch=0)


def no_logarithm(errors, coefficients, noise_var, n_points):
    gap, _ = crossing(errors, coefficients, noise_var, n_points)
    return gap, (coefficients[:, 1] - coefficients[:, 0]) / gap


def first_step(errors, coefficients, noise_var, n_points):
    gap, n = crossing(errors, coefficients, noise_var, n_points)
    ratio = (coefficients[:, 1] - coefficients[:, 0]) / gap
    return gap, torch.where(n > 1, ratio * ratio.log(), n)


def rounded_up(errors, coefficients, noise_var, n_points):
    gap, n = crossing(errors, coefficients, noise_var, n_points)
    return gap, n.ceil()


def coefficients_turned(errors, coefficients, noise_var, n_points):
    gap, n = crossing(errors, coefficients, noise_var, n_points)
    return gap, torch.ones_like(n)


def common_logarithm(errors, coefficients, noise_var, n_points):
    gap, _ = crossing(errors, coefficients, noise_var, n_points)
    return gap, solved(gap, coefficients / math.log(10))


def half_of_each(errors, coefficients, noise_var, n_points):
    gap, _ = crossing(errors, coefficients, noise_var, n_points)
    return gap, solved(gap, coefficients / 2)


def larger_coefficient_alone(errors, coefficients, noise_var, n_points):
    gap, _ = crossing(errors, coefficients, noise_var, n_points)
    return gap, solved(gap, torch.stack([0 * coefficients[:, 0], coefficients[:, 1]], 1))


def counted_in_points(errors, coefficients, noise_var, n_points):
    gap, n = crossing(errors, coefficients, noise_var, n_points)
    return gap, torch.where(n > 1, n * n_points, n)


def root_of_nothing(errors, coefficients, noise_var, n_points):
    gap, _ = crossing(errors, coefficients, noise_var, n_points)
    return gap, roots((coefficients[:, 1] - coefficients[:, 0]) / gap)


def nan_without_root(errors, coefficients, noise_var, n_points):
    gap, n = crossing(errors, coefficients, noise_var, n_points)
    return gap, torch.where(n > 1, n, torch.nan)


MISCONCEPTIONS = {
    "raw_errors": Misconception(
        raw_errors, "errors are no nats yet: divide by the noise's variance, and add up the points of a prompt."
    ),
    "points_forgotten": Misconception(
        points_forgotten,
        "this is the gap of one point; a prompt has n_points of them, whose log-likelihoods add up.",
    ),
    "noise_forgotten": Misconception(
        noise_forgotten, "the noise is missing: minus the log-likelihood is half the squared error over its variance."
    ),
    "halved_again": Misconception(halved_again, "the errors are halved already: do not divide by 2 again."),
    "deviation_for_variance": Misconception(
        deviation_for_variance, "you divide by the standard deviation of the noise; noise_var is the variance: no root."
    ),
    "noise_multiplied": Misconception(noise_multiplied, "you multiply by the noise's variance: divide."),
    "gap_turned": Misconception(gap_turned, "the gap is the simple solution less the accurate one, above zero."),
    "smaller_root": Misconception(
        smaller_root,
        "this is the smaller root, where the formula for large n means nothing; take the larger one.",
    ),
    "no_logarithm": Misconception(no_logarithm, "the logarithm is missing: coefficients are multiplied with log n."),
    "first_step": Misconception(
        first_step, "r log r is only the first step from n = r; go on until n = r log n holds."
    ),
    "rounded_up": Misconception(rounded_up, "you round n up; leave it where the free energies are equal."),
    "coefficients_turned": Misconception(
        coefficients_turned,
        "n is 1 for every pair here; the difference of coefficients is the accurate one's less the simple one's.",
    ),
    "common_logarithm": Misconception(common_logarithm, "free energies are in nats: take the natural logarithm."),
    "half_of_each": Misconception(
        half_of_each, "you halve the coefficients; that is for numbers of parameters, of which lambda is half."
    ),
    "larger_coefficient_alone": Misconception(
        larger_coefficient_alone, "the simple solution has a coefficient too: only the difference counts."
    ),
    "counted_in_points": Misconception(
        counted_in_points, "you count points; a sample is a whole prompt here, since its points share their task."
    ),
    "root_of_nothing": Misconception(
        root_of_nothing, "where the difference of coefficients is below e times the gap there is no root: give 1."
    ),
    "nan_without_root": Misconception(
        nan_without_root, "where no number of samples makes the simple solution win, the answer is 1, not NaN."
    ),
}

QUESTION = Question(
    id="ch12.crossing",
    points=2,
    title="When does accuracy win?",
    hints=(
        "Both sides in nats: what is minus the log-likelihood of a prompt, and what does log n multiply?",
        "gap = n_points * (difference of errors) / noise_var; then n * gap = (difference of coefficients) * log n.",
        "With r = difference of coefficients / gap: if r <= e give 1, else halve the interval of log n from log r to "
        "60, on which n - r log n changes its sign.",
    ),
    reference=crossing,
    cases=cases,
    axes={"errors": "pair solution", "coefficients": "pair solution"},
    fields=(Field("gap", "pair", atol=1e-6), Field("n", "pair")),
    misconceptions=MISCONCEPTIONS,
)
