"""Question ch02.refute: a scratch token that was found by searching, and what is left of it on other files."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, integer, normal
from mechlib.questions.intervals import ENDS_SWAPPED, ONE_STANDARD_ERROR, with_interval

__all__ = ["QUESTION"]

Rise = Float[Tensor, "file token"]
Half = Bool[Tensor, " file"]
PerFile = Float[Tensor, " file"]
Result = tuple[Tensor, Tensor, Tensor, Tensor]


def refute(rise: Rise, half: Half) -> Result:
    """The claimed rise, and the rise on files that had no part in choosing the token, with its 95 % interval."""
    return reported(claim(rise), held_out(rise, half))


def claim(rise: Rise) -> Tensor:
    """The false result: the largest of all tokens' mean rises."""
    return rise.mean(0).max()


def held_out(rise: Rise, half: Half) -> PerFile:
    """Each file's rise of the token whose mean is largest in the other half."""
    chosen = torch.where(half, rise[~half].mean(0).argmax(), rise[half].mean(0).argmax())
    return rise.gather(1, chosen[:, None])[:, 0]


def reported(claimed: Tensor, per_file: PerFile) -> Result:
    """The claim, the mean over files, and its interval."""
    return claimed, *with_interval(per_file)


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


def _mean_rise(rise, half):
    """``[half, token]``: the mean rise over the files outside the first half, and inside it."""
    return torch.stack([rise[~half].mean(0), rise[half].mean(0)])


def same_files(rise, half):
    return reported(claim(rise), rise[:, rise.mean(0).argmax()])


def same_half(rise, half):
    return reported(claim(rise), held_out_with(rise, half, _mean_rise(rise, half).flip(0)))


def held_out_with(rise, half, score):
    """Each file's rise of the token that ``score`` ``[half, token]`` ranks first for the other half."""
    chosen = torch.where(half, score[0].argmax(), score[1].argmax())
    return rise.gather(1, chosen[:, None])[:, 0]


def one_half_chooses(rise, half):
    return reported(claim(rise), rise[:, rise[half].mean(0).argmax()])


def leave_one_out(rise, half):
    others = rise.sum(0) - rise
    return reported(claim(rise), rise.gather(1, others.argmax(1, keepdim=True))[:, 0])


def best_of_each_file(rise, half):
    return reported(claim(rise), rise.max(1).values)


def mean_of_tokens(rise, half):
    return reported(claim(rise), rise.mean(1))


def second_half_only(rise, half):
    return reported(claim(rise), held_out(rise, half)[~half])


def first_half_only(rise, half):
    return reported(claim(rise), held_out(rise, half)[half])


def mean_of_halves(rise, half):
    claimed, mean, low, high = refute(rise, half)
    per_file = held_out(rise, half)
    centre = (per_file[half].mean() + per_file[~half].mean()) / 2
    return claimed, centre, centre - (mean - low), centre + (high - mean)


def largest_size(rise, half):
    return reported(claim(rise), held_out_with(rise, half, _mean_rise(rise, half).abs()))


def largest_single(rise, half):
    score = torch.stack([rise[~half].amax(0), rise[half].amax(0)])
    return reported(claim(rise), held_out_with(rise, half, score))


def claim_of_one_file(rise, half):
    return reported(rise.max(), held_out(rise, half))


def around_the_claim(rise, half):
    claimed, mean, low, high = refute(rise, half)
    return claimed, mean, low - mean + claimed, high - mean + claimed


def no_root(rise, half):
    return _margin(rise, half, lambda values: 1.96 * values.std())


def one_standard_error(rise, half):
    return _margin(rise, half, lambda values: values.std() / math.sqrt(len(values)))


def two_standard_errors(rise, half):
    return _margin(rise, half, lambda values: 2 * values.std() / math.sqrt(len(values)))


def ends_swapped(rise, half):
    claimed, mean, low, high = refute(rise, half)
    return claimed, mean, high, low


def population_deviation(rise, half):
    return _margin(rise, half, lambda values: 1.96 * values.std(correction=0) / math.sqrt(len(values)))


def divided_by_n(rise, half):
    return _margin(rise, half, lambda values: 1.96 * values.std() / len(values))


def over_all_entries(rise, half):
    return _margin(rise, half, lambda values: 1.96 * rise.std() / math.sqrt(rise.numel()))


def _margin(rise, half, margin):
    per_file = held_out(rise, half)
    mean = per_file.mean()
    return claim(rise), mean, mean - margin(per_file), mean + margin(per_file)


MISCONCEPTIONS = {
    "same_files": Misconception(
        same_files,
        "you choose the token and measure it on the same files, so the claim comes out again. A token chosen for its "
        "rise on some files must be measured on others.",
    ),
    "same_half": Misconception(
        same_half,
        "each file is scored with the token that its own half chose, so it helped to choose it. Exchange the halves.",
    ),
    "one_half_chooses": Misconception(
        one_half_chooses,
        "one half chooses, but all files are scored: those that chose are among them. Score the other half only, then "
        "exchange the halves.",
    ),
    "leave_one_out": Misconception(
        leave_one_out,
        "you leave one file out at a time, which is sound too, but asked for are two halves: the token that scores a "
        "file is chosen by the other half.",
    ),
    "best_of_each_file": Misconception(
        best_of_each_file,
        "you take every file's own best token: that is selection again, once for each file. One token is chosen by a "
        "whole half.",
    ),
    "mean_of_tokens": Misconception(
        mean_of_tokens,
        "this is the mean over all tokens: it says what tokens do in general, not what the chosen one does.",
    ),
    "second_half_only": Misconception(
        second_half_only,
        "you choose on the first half and measure on the other, which is sound but wastes half of the files. Do it the "
        "other way round too, and pool the files.",
    ),
    "first_half_only": Misconception(
        first_half_only,
        "you measure on the first half only, which is sound but wastes half of the files. Do it the other way round "
        "too, and pool the files.",
    ),
    "mean_of_halves": Misconception(
        mean_of_halves,
        "you average the two halves' means, though the halves differ in size: take the mean over all files.",
    ),
    "largest_size": Misconception(
        largest_size, "you choose by absolute value, so a token that falls can win. The claim is about a rise."
    ),
    "largest_single": Misconception(
        largest_single, "you choose by the largest value in any one file; choose by the mean over the files of a half."
    ),
    "claim_of_one_file": Misconception(
        claim_of_one_file,
        "the claim is the largest mean rise of a token over all files; yours is the largest value of one file.",
    ),
    "around_the_claim": Misconception(
        around_the_claim, "the interval is centred on the claim; it belongs around the held-out mean."
    ),
    "no_root": Misconception(
        no_root,
        "the interval uses the spread of single files; the mean of n files is better known than that by sqrt(n).",
    ),
    "one_standard_error": Misconception(one_standard_error, ONE_STANDARD_ERROR),
    "two_standard_errors": Misconception(
        two_standard_errors,
        "your interval is 2 standard errors wide on each side, which is the rule of thumb; asked for are 1.96.",
    ),
    "ends_swapped": Misconception(ends_swapped, ENDS_SWAPPED),
    "population_deviation": Misconception(
        population_deviation, "your standard deviation divides by n; the mean is estimated too, so divide by n - 1."
    ),
    "divided_by_n": Misconception(
        divided_by_n, "the standard error divides by sqrt(n), the root of the number of files, not by n."
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
