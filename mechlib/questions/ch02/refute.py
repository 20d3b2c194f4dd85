"""Question ch02.refute: a scratch token that was found by searching, and what is left of it on other files."""

from __future__ import annotations

import math
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import distinct, integer, normal
from mechlib.questions.intervals import (
    ENDS_SWAPPED,
    ONE_STANDARD_ERROR,
    of_single_units,
    with_interval,
    with_population_spread,
)

__all__ = ["QUESTION"]

Rise = Float[Tensor, "file token"]
Half = Bool[Tensor, " file"]
PerFile = Float[Tensor, " file"]
Result = tuple[Tensor, Tensor, Tensor, Tensor]


def largest_mean(rise: Rise) -> Tensor:
    """The false result: the largest of all tokens' mean rises."""
    return rise.mean(0).max()


def best(rise: Rise) -> Tensor:
    """The token whose mean rise is largest."""
    return rise.mean(0).argmax()


def held_out(rise: Rise, half: Half, choose: Step = best) -> PerFile:
    """Each file's rise of the token that the other half chooses."""
    return scored(rise, half, choose(rise[~half]), choose(rise[half]))


def scored(rise: Rise, half: Half, inside: Tensor, outside: Tensor) -> PerFile:
    """Each file's rise of one token inside the first half, and of another outside."""
    return rise.gather(1, torch.where(half, inside, outside)[:, None])[:, 0]


def refute(
    rise: Rise, half: Half, *, claim: Step = largest_mean, per_file: Step = held_out, interval: Step = with_interval
) -> Result:
    """The claimed rise, and the rise on files that had no part in choosing the token, with its 95 % interval."""
    return claim(rise), *interval(per_file(rise, half))


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Noise, halves that disagree, a token that rises, one that falls, one outlying file, and large numbers."""
    noise = _case("noise alone", generator)
    torn = _case("halves that choose different tokens", generator)
    half = torn.inputs["half"][:, None].float()
    torn.inputs["rise"][:, distinct(generator, 3, 0, 11)] += torch.cat([10 * half - 5, 5 - 10 * half, half * 0 + 3], 1)
    real = _case("a token that really rises, and one that rises little but steadily", generator)
    strong, steady = distinct(generator, 2, 0, 11)
    real.inputs["rise"][:, strong] += 4.0
    real.inputs["rise"][:, steady] = 1.0 + 0.02 * real.inputs["rise"][:, steady]
    falling = _case("a token that falls much more than any rises", generator)
    falling.inputs["rise"][:, integer(generator, 0, 11)] -= 5.0
    outlier = _case("one file far from the others", generator)
    outlier.inputs["rise"][integer(generator, 0, 6), integer(generator, 0, 11)] += 12.0
    return noise, torn, real, falling, outlier, _case("large numbers", generator, scale=1e3)


def _case(description: str, generator: torch.Generator, scale: float = 1.0) -> Case:
    """Halves of different size, at least three files each; noise of a different width in every file."""
    first, second = distinct(generator, 2, 3, 6)
    n_files = first + second
    widths = 0.5 + torch.rand(n_files, 1, generator=generator, dtype=torch.float32)
    half = torch.randperm(n_files, generator=generator) < first
    rise = scale * (widths * normal(generator, n_files, integer(generator, 14, 20)) + normal(generator, n_files, 1) / 2)
    return Case(description, {"rise": rise, "half": half})


def leave_one_out(rise, half):
    others = rise.sum(0) - rise
    return rise.gather(1, others.argmax(1, keepdim=True))[:, 0]


def mean_of_halves(rise, half):
    claimed, mean, low, high = refute(rise, half)
    per_file = held_out(rise, half)
    centre = (per_file[half].mean() + per_file[~half].mean()) / 2
    return claimed, centre, centre - (mean - low), centre + (high - mean)


def over_all_entries(rise, half):
    claimed, mean, _, _ = refute(rise, half)
    margin = 1.96 * rise.std() / math.sqrt(rise.numel())
    return claimed, mean, mean - margin, mean + margin


on = edits_of(refute)

MISCONCEPTIONS = {
    "same_files": on(
        "you choose the token and measure it on the same files, so the claim comes out again. A token chosen for its "
        "rise on some files must be measured on others.",
        per_file=lambda rise, half: rise[:, best(rise)],
    ),
    "same_half": on(
        "each file is scored with the token that its own half chose, so it helped to choose it. Exchange the halves.",
        per_file=lambda rise, half: scored(rise, half, best(rise[half]), best(rise[~half])),
    ),
    "one_half_chooses": on(
        "one half chooses, but all files are scored: those that chose are among them. Score the other half only, then "
        "exchange the halves.",
        per_file=lambda rise, half: rise[:, best(rise[half])],
    ),
    "leave_one_out": on(
        "you leave one file out at a time, which is sound too, but asked for are two halves: the token that scores a "
        "file is chosen by the other half.",
        per_file=leave_one_out,
    ),
    "best_of_each_file": on(
        "you take every file's own best token: that is selection again, once for each file. One token is chosen by a "
        "whole half.",
        per_file=lambda rise, half: rise.amax(1),
    ),
    "mean_of_tokens": on(
        "this is the mean over all tokens: it says what tokens do in general, not what the chosen one does.",
        per_file=lambda rise, half: rise.mean(1),
    ),
    "second_half_only": on(
        "you choose on the first half and measure on the other, which is sound but wastes half of the files. Do it the "
        "other way round too, and pool the files.",
        per_file=lambda rise, half: held_out(rise, half)[~half],
    ),
    "first_half_only": on(
        "you measure on the first half only, which is sound but wastes half of the files. Do it the other way round "
        "too, and pool the files.",
        per_file=lambda rise, half: held_out(rise, half)[half],
    ),
    "mean_of_halves": Misconception(
        mean_of_halves,
        "you average the two halves' means, though the halves differ in size: take the mean over all files.",
    ),
    "largest_size": on(
        "you choose by absolute value, so a token that falls can win. The claim is about a rise.",
        per_file=partial(held_out, choose=lambda rise: rise.mean(0).abs().argmax()),
    ),
    "largest_single": on(
        "you choose by the largest value in any one file; choose by the mean over the files of a half.",
        per_file=partial(held_out, choose=lambda rise: rise.amax(0).argmax()),
    ),
    "claim_of_one_file": on(
        "the claim is the largest mean rise of a token over all files; yours is the largest value of one file.",
        claim=torch.max,
    ),
    "around_the_claim": on(
        "the interval is centred on the claim; it belongs around the held-out mean.",
        result=lambda r: (r[0], r[1], r[2] - r[1] + r[0], r[3] - r[1] + r[0]),
    ),
    "no_root": on(
        "the interval uses the spread of single files; the mean of n files is better known than that by sqrt(n).",
        interval=of_single_units,
    ),
    "one_standard_error": on(ONE_STANDARD_ERROR, interval=partial(with_interval, z=1.0)),
    "two_standard_errors": on(
        "your interval is 2 standard errors wide on each side, which is the rule of thumb; asked for are 1.96.",
        interval=partial(with_interval, z=2.0),
    ),
    "ends_swapped": on(ENDS_SWAPPED, result=lambda r: (r[0], r[1], r[3], r[2])),
    "population_deviation": on(
        "your standard deviation divides by n; the mean is estimated too, so divide by n - 1.",
        interval=with_population_spread,
    ),
    "divided_by_n": on(
        "the standard error divides by sqrt(n), the root of the number of files, not by n.",
        interval=lambda values: with_interval(values, 1.96 / math.sqrt(len(values))),
    ),
    "over_all_entries": Misconception(
        over_all_entries,
        "the interval counts every file and token as a measurement. What varies is the file: use the spread of the "
        "files' scores, and their number.",
    ),
}

QUESTION = Question(
    id="ch02.refute",
    points=3,
    title="Refute: the best of many tokens",
    hints=(
        "If no token rose at all, what would the largest of many noisy means look like?",
        "Choose the token on one half of the files and score the files of the other half with it, then exchange the "
        "halves. That gives one honest score for every file; the interval comes from the spread of these scores.",
        "a = rise[half].mean(0).argmax() is chosen by the first half, b by the other. The scores are rise[~half, a] "
        "and rise[half, b], joined; the interval is their mean plus and minus 1.96 * std() / sqrt(number of files).",
    ),
    reference=refute,
    cases=cases,
    axes={"rise": "file token", "half": "file"},
    fields=(Field("claimed"), Field("held_out"), Field("low"), Field("high")),
    misconceptions=MISCONCEPTIONS,
)
