"""Question ch12.crossing: from squared errors and coefficients to the sample size at which accuracy wins."""

from __future__ import annotations

import math
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import distinct

__all__ = ["QUESTION"]

Pairs = Float[Tensor, "pair solution"]
PerPair = Float[Tensor, " pair"]


def in_nats(gap: PerPair, noise_var: float, n_points: int) -> PerPair:
    """Of a prompt, from half the squared errors of a point."""
    return n_points * gap / noise_var


def solved(more: PerPair, gap: PerPair, *, root: int = -1) -> PerPair:
    """The larger root of ``n gap = more log n``; 1 where there is none."""
    return torch.where(more / gap > math.e, roots(more, gap, root=root), 1.0)


def roots(more: PerPair, gap: PerPair, *, root: int = -1) -> PerPair:
    """The larger root, or the smaller one on branch 0; no root where ``more / gap`` is below e."""
    from scipy.special import lambertw  # hundreds of modules, which no other question needs

    ratio = (more / gap).numpy()
    return torch.from_numpy(-ratio * lambertw(-1 / ratio, root).real)


def crossing(
    errors: Pairs,
    coefficients: Pairs,
    noise_var: float,
    n_points: int,
    *,
    nats: Step = in_nats,
    solve: Step = solved,
) -> tuple[PerPair, PerPair]:
    """The loss gap in nats per prompt, and the number of prompts beyond which the accurate solution is preferred."""
    gap = nats(errors[:, 0] - errors[:, 1], noise_var, n_points)
    return gap, solve(coefficients[:, 1] - coefficients[:, 0], gap)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Gaps of all sizes, solutions that win from the start or late, little noise, single points, and a single pair."""
    return (
        _case("gaps of all sizes", generator, noise_var=0.6, ratios=(5.0, 400.0)),
        _case("some accurate solutions win from the start", generator, noise_var=1.7, ratios=(0.5, 40.0)),
        _case("little noise", generator, noise_var=0.02, ratios=(4.0, 60.0)),
        _case("prompts of a single point", generator, noise_var=0.3, ratios=(6.0, 3000.0), n_points=1),
        _case("pairs that cross late", generator, noise_var=0.5, ratios=(2e5, 3e6)),
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


def beyond_one(change):
    """``change`` of the sizes where free energies cross; 1 elsewhere."""

    def solve(more, gap):
        n = solved(more, gap)
        return torch.where(n > 1, change(n, more / gap), n)

    return solve


def counted_in_points(errors, coefficients, noise_var, n_points):
    gap, n = crossing(errors, coefficients, noise_var, n_points)
    return gap, torch.where(n > 1, n * n_points, n)


on = edits_of(crossing)
MISCONCEPTIONS = {
    "raw_errors": on(
        "errors are no nats yet: divide by the noise's variance, and add up the points of a prompt.",
        nats=lambda gap, noise_var, n_points: gap,
    ),
    "points_forgotten": on(
        "this is the gap of one point; a prompt has n_points of them, whose log-likelihoods add up.", n_points=1
    ),
    "noise_forgotten": on(
        "the noise is missing: minus the log-likelihood is half the squared error over its variance.", noise_var=1.0
    ),
    "halved_again": on(
        "the errors are halved already: do not divide by 2 again.", noise_var=lambda noise_var: 2 * noise_var
    ),
    "deviation_for_variance": on(
        "you divide by the standard deviation of the noise; noise_var is the variance: no root.", noise_var=math.sqrt
    ),
    "noise_multiplied": on("you multiply by the noise's variance: divide.", noise_var=lambda noise_var: 1 / noise_var),
    "gap_turned": on(
        "the gap is the simple solution less the accurate one, above zero.", result=lambda r: (-r[0], r[1])
    ),
    "smaller_root": on(
        "this is the smaller root, where the formula for large n means nothing; take the larger one.",
        solve=partial(solved, root=0),
    ),
    "no_logarithm": on(
        "the logarithm is missing: coefficients are multiplied with log n.", solve=lambda more, gap: more / gap
    ),
    "first_step": on(
        "r log r is only the first step from n = r; go on until n = r log n holds.",
        solve=beyond_one(lambda n, ratio: ratio * ratio.log()),
    ),
    "rounded_up": on(
        "you round n up; leave it where the free energies are equal.", solve=lambda *given: solved(*given).ceil()
    ),
    "coefficients_turned": on(
        "n is 1 for every pair here; the difference of coefficients is the accurate one's less the simple one's.",
        solve=lambda more, gap: solved(-more, gap),
    ),
    "common_logarithm": on(
        "free energies are in nats: take the natural logarithm.",
        solve=lambda more, gap: solved(more / math.log(10), gap),
    ),
    "half_of_each": on(
        "you halve the coefficients; that is for numbers of parameters, of which lambda is half.",
        coefficients=lambda coefficients: coefficients / 2,
    ),
    "larger_coefficient_alone": on(
        "the simple solution has a coefficient too: only the difference counts.",
        coefficients=lambda coefficients: coefficients * torch.tensor([0.0, 1.0]).double(),
    ),
    "counted_in_points": Misconception(
        counted_in_points, "you count points; a sample is a whole prompt here, since its points share their task."
    ),
    "root_of_nothing": on(
        "where the difference of coefficients is below e times the gap there is no root: give 1.", solve=roots
    ),
    "nan_without_root": on(
        "where no number of samples makes the simple solution win, the answer is 1, not NaN.",
        result=lambda r: (r[0], torch.where(r[1] > 1, r[1], torch.nan)),
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
