"""Question ch15.diagnose: what is wrong with a run, from its traces and from repetitions of it."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, integer

__all__ = ["QUESTION"]

Traces = Float[Tensor, "run chain draw"]
Readings = Float[Tensor, "run reading"]
Codes = Int[Tensor, " run"]

SOUND, STEP, DRAWS, MINIMUM, BASELINE, GAMMA, COINS = range(7)

RULES = (COINS, BASELINE, MINIMUM, DRAWS, STEP, GAMMA)
"""In the order in which they are tried."""


def diagnose(trace: Traces, half: Traces, doubled: Traces, star: Readings) -> Codes:
    """For every run the first of ``RULES`` that holds, or 0."""
    return first_of(findings(trace, half, doubled, star))


def mean_and_error(trace: Traces) -> tuple[Float[Tensor, " run"], Float[Tensor, " run"]]:
    """The mean of all draws, and the standard error from the spread of the chains' means."""
    per_chain = trace.mean(2)
    return per_chain.mean(1), per_chain.std(1) / per_chain.shape[1] ** 0.5


def findings(trace, half, doubled, star, *, error=mean_and_error, own_error_only=False):
    """Which rules hold, by code, ``[run]`` each."""
    llc, off = error(trace)
    llc_half, off_half = error(half)
    allowed = 3 * (off if own_error_only else torch.hypot(off, off_half))
    return {
        COINS: star.amax(1) - star.amin(1) > 1e-6,
        BASELINE: star.mean(1).abs() > off,
        MINIMUM: llc < -2 * off,
        DRAWS: off > 0.1 * llc.abs(),
        STEP: (llc - llc_half).abs() > allowed,
        GAMMA: doubled.mean((1, 2)) < 0.75 * llc,
    }


def first_of(found: dict[int, Tensor], order=RULES) -> Codes:
    """The code of the first rule in ``order`` that holds."""
    code = torch.full_like(found[COINS], SOUND, dtype=torch.long)
    for rule in reversed(order):
        code = torch.where(found[rule], rule, code)
    return code


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Runs of all kinds in random order, some with two faults, many close to one; at three scales; and a single run."""
    return (
        _case("estimates of some ten", generator, scale=10.0),
        _case("estimates of a hundred", generator, scale=100.0),
        _case("estimates of about a half", generator, scale=0.5),
        _case("a single run", generator, scale=3.0, kinds=KINDS[1:2]),
    )


STAR = (0.0, 0.0, 0.0)

HALF_ERROR = 2**0.5
"""The error of the run at half the step in units of the other: with half the step, draws remember twice as long."""

ABSOLUTE = 1e-5
"""A reading below this is not in units of the error."""

# Mean, error, mean at half the step, mean with twice gamma, readings at w*, in units of the first or the error. Every
# threshold has runs on both sides of it that are nearer than a tenth of it.
KINDS = (
    (1.0, 0.03, 1.01, 0.90, STAR),
    (1.0, 0.03, 1.00, 0.95, (0.0, 1e-9, -1e-9)),  # rounding is no coin
    (1.0, 0.03, 1.00, 0.95, (0.97, 0.97, 0.97)),  # a baseline off by less than the error
    (1.0, 0.03, 1.00, 0.95, (1.03, 1.03, 1.03)),  # and by more
    (1.0, 0.03, 1.00, 0.95, (-1.03, -1.03, -1.03)),
    (1.0, 0.03, 0.928, 0.90, STAR),  # half the step: 2.4 errors of one, 1.4 of the difference
    (1.0, 0.03, 0.9025, 0.90, STAR),  # 3.25 errors of one, 1.9 of the difference
    (1.0, 0.03, 0.88, 0.90, STAR),  # 2.3 of the difference
    (1.0, 0.03, 0.788, 0.90, STAR),  # 4.1 of the difference, and less than three times the sum of both
    (1.0, 0.02, 0.8978, 0.90, STAR),  # 2.95 of the difference
    (1.0, 0.02, 0.8944, 0.90, STAR),  # 3.05
    (1.0, 0.02, 1.1022, 0.90, STAR),  # 2.95, upwards
    (1.0, 0.02, 1.1056, 0.90, STAR),  # 3.05, upwards
    (1.0, 0.015, 0.91, 0.90, STAR),  # 3.5 of the difference, less than 3 errors of each
    (1.0, 0.02, 1.01, 1.40, STAR),
    (1.0, 0.02, 1.01, 0.76, STAR),  # gamma matters, but not so much
    (1.0, 0.02, 0.80, 0.90, STAR),
    (1.0, 0.02, 1.20, 0.90, STAR),  # too large a step can also lower an estimate
    (1.0, 0.02, -1.00, 0.90, STAR),
    (1.0, 0.04, 0.70, 0.60, STAR),  # step and gamma
    (1.0, 0.02, 1.01, 0.74, STAR),
    (1.0, 0.03, 1.10, 0.78, STAR),  # three quarters of the mean, not of that at half the step
    (1.0, 0.03, 0.90, 0.72, STAR),
    (1.0, 0.02, 1.01, 0.40, STAR),
    (1.0, 0.02, 1.01, -0.90, STAR),
    (1.0, 0.15, 1.05, 0.90, STAR),
    (1.0, 0.102, 1.05, 0.95, STAR),  # only just too few
    (1.0, 0.098, 1.05, 0.95, STAR),  # and only just enough
    (1.0, 0.20, 2.50, 0.95, STAR),  # few draws, and a step that seems to matter
    (1.0, 0.06, 1.02, 0.97, STAR),
    (0.03, 0.02, 0.03, 0.03, STAR),  # above zero by less than two errors: too few draws
    (-0.7, 0.03, -0.71, -0.69, STAR),
    (-0.1, 0.02, -0.1, -0.1, STAR),  # below zero by five errors
    (-0.0404, 0.02, -0.0404, -0.0404, STAR),  # by a little more than two
    (-0.0396, 0.02, -0.0396, -0.0396, STAR),  # by a little less: too few draws
    (-0.01, 0.02, -0.01, -0.01, STAR),  # by half an error
    (-0.8, 0.03, -0.8, -0.8, (-30.0, -30.0, -30.0)),  # below w* only by its baseline
    (1.6, 0.03, 1.6, 1.5, (20.0, 20.0, 20.0)),
    (1.2, 0.03, 1.2, 1.1, (-8.0, -8.0, -8.0)),
    (1.0, 0.03, 1.0, 0.95, (0.0, 9.9e-7, 0.0)),
    (1.0, 0.03, 1.0, 0.95, (0.0, 1.01e-6, 0.0)),  # only just coins
    (1.0, 0.03, 1.0, 0.95, (0.0, 7e-7, 1.4e-6)),  # coins, though no two that follow each other differ so much
    (1.0, 0.03, 1.0, 0.95, (-4.0, 6.0, -2.0)),
    (1.0, 0.03, 1.0, 0.95, (0.5, 0.0, 0.0)),
    (1.0, 0.03, 1.0, 0.95, (0.0, -0.5, 0.0)),
    (1.0, 0.03, 1.0, 0.95, (0.0, 0.0, 0.5)),
    (1.0, 0.03, 1.0, 0.95, (4.0, -4.0, 4.0)),
    (1.5, 0.03, 1.5, 1.4, (14.0, 22.0, 19.0)),  # coins, and a baseline that is off
)


def _case(description: str, generator: torch.Generator, *, scale: float, kinds=KINDS) -> Case:
    chains, draws = distinct(generator, 1, 4, 7)[0], distinct(generator, 1, 33, 40)[0]
    order = torch.randperm(len(kinds), generator=generator).tolist()
    rows = [_run(kinds[kind], generator, scale, chains, draws) for kind in order]
    names = ("trace", "half", "doubled", "star")
    return Case(description, dict(zip(names, map(torch.stack, zip(*rows, strict=True)), strict=True)))


def _run(kind, generator: torch.Generator, scale: float, chains: int, draws: int) -> tuple[Tensor, ...]:
    mean, error, half, doubled, star = kind
    size = scale * (0.8 + 0.4 * float(torch.rand(1, generator=generator, dtype=torch.float64)))
    traces = (
        _trace(generator, size * at, size * error * factor, chains, draws)
        for at, factor in ((mean, 1.0), (half, HALF_ERROR), (doubled, 1.0))
    )
    readings = torch.tensor(star, dtype=torch.float64)
    return *traces, torch.where(readings.abs() < ABSOLUTE, readings, size * error * readings)


def _trace(generator: torch.Generator, mean: float, error: float, chains: int, draws: int) -> Tensor:
    """Draws whose chains have exactly this mean and standard error.

    Within a chain they scatter five errors wide, more upwards than downwards; the first or the last is far above.
    """
    between = torch.randn(chains, generator=generator, dtype=torch.float64)
    between = (between - between.mean()) / between.std() * chains**0.5
    within = -torch.rand(chains, draws, generator=generator, dtype=torch.float64).clamp(min=1e-9).log()
    within[:, -integer(generator, 0, 1)] += 8
    within = 5 * (within - within.mean(1, keepdim=True))
    return mean + error * (between[:, None] + within)


def _naive(trace):
    return trace.mean((1, 2)), trace.flatten(1).std(1) / trace[0].numel() ** 0.5


def _no_root(trace):
    return trace.mean((1, 2)), trace.mean(2).std(1)


def _population(trace):
    return trace.mean((1, 2)), trace.mean(2).std(1, correction=0) / trace.shape[1] ** 0.5


def _spread_of_draws(trace):
    return trace.mean((1, 2)), trace.flatten(1).std(1)


def _changed(order=RULES, error=mean_and_error, own_error_only=False, **rules):
    """An answer with other rules: each ``(trace, half, doubled, star, found) -> [run]``."""

    def answer(trace, half, doubled, star):
        found = findings(trace, half, doubled, star, error=error, own_error_only=own_error_only)
        for name, rule in rules.items():
            code = {"coins": COINS, "baseline": BASELINE, "minimum": MINIMUM, "draws": DRAWS}.get(name)
            code = {"step": STEP, "gamma": GAMMA}.get(name, code)
            found[code] = rule(trace, half, doubled, star)
        return first_of(found, order)

    return answer


own_error_only = _changed(own_error_only=True)
only_if_lower = _changed(
    step=lambda t, h, d, s: (
        mean_and_error(t)[0] - mean_and_error(h)[0] > 3 * torch.hypot(mean_and_error(t)[1], mean_and_error(h)[1])
    )
)
errors_added = _changed(
    step=lambda t, h, d, s: (
        (mean_and_error(t)[0] - mean_and_error(h)[0]).abs() > 3 * (mean_and_error(t)[1] + mean_and_error(h)[1])
    )
)


def place_of_rule(trace, half, doubled, star):
    code = diagnose(trace, half, doubled, star)
    place = torch.tensor([0, *(1 + RULES.index(fault) for fault in range(1, 7))])
    return place[code]


MISCONCEPTIONS = {
    "draws_as_independent": Misconception(
        _changed(error=_naive),
        "your errors take all draws as independent; use the spread of the chains' means over the root of their number.",
    ),
    "no_root": Misconception(
        _changed(error=_no_root),
        "your error is the spread of the chains' means; divide by the square root of their number.",
    ),
    "spread_of_draws": Misconception(
        _changed(error=_spread_of_draws), "your error is the spread of the draws themselves, not that of their mean."
    ),
    "population_deviation": Misconception(
        _changed(error=_population), "your standard deviations divide by the number of chains; divide by one less."
    ),
    "last_rule": Misconception(
        _changed(order=tuple(reversed(RULES))),
        "where several rules hold you report the last one; the first one counts.",
    ),
    "by_number": Misconception(
        _changed(order=(STEP, DRAWS, MINIMUM, BASELINE, GAMMA, COINS)),
        "you try the rules in the order of their numbers; they are tried in the order in which they stand.",
    ),
    "baseline_before_coins": Misconception(
        _changed(order=(BASELINE, COINS, MINIMUM, DRAWS, STEP, GAMMA)),
        "you test the baseline before the coins: where every reading differs, no baseline is good.",
    ),
    "minimum_before_baseline": Misconception(
        _changed(order=(COINS, MINIMUM, BASELINE, DRAWS, STEP, GAMMA)),
        "you test for a minimum before the baseline: an estimate can be negative because its baseline is too high.",
    ),
    "draws_before_minimum": Misconception(
        _changed(order=(COINS, BASELINE, DRAWS, MINIMUM, STEP, GAMMA)),
        "you test the number of draws before the minimum; they are tried in the order in which they stand.",
    ),
    "step_before_draws": Misconception(
        _changed(order=(COINS, BASELINE, MINIMUM, STEP, DRAWS, GAMMA)),
        "you test the step before the number of draws: with few draws the errors are not to be trusted.",
    ),
    "gamma_before_step": Misconception(
        _changed(order=(COINS, BASELINE, MINIMUM, DRAWS, GAMMA, STEP)),
        "you test gamma before the step; they are tried in the order in which they stand.",
    ),
    "own_error_only": Misconception(
        own_error_only, "the run at half the step has an error too: compare with the root of the sum of both squares."
    ),
    "errors_added": Misconception(
        errors_added, "you add the two errors; that of a difference is the root of the sum of both squares."
    ),
    "coins_exact": Misconception(
        _changed(coins=lambda t, h, d, s: s.amax(1) != s.amin(1)),
        "you call every difference between readings coins; rounding, below 1e-6, is none.",
    ),
    "only_if_lower": Misconception(
        only_if_lower, "you notice a step only if halving it lowers the estimate; it may also raise it."
    ),
    "baseline_exact": Misconception(
        _changed(baseline=lambda t, h, d, s: s.mean(1) != 0),
        "you reject every baseline that is off at all; one that is off by less than the error is fine.",
    ),
    "baseline_signed": Misconception(
        _changed(baseline=lambda t, h, d, s: s.mean(1) > mean_and_error(t)[1]),
        "you notice a baseline only if it is too low; take the absolute value.",
    ),
    "below_zero": Misconception(
        _changed(minimum=lambda t, h, d, s: t.mean((1, 2)) < 0),
        "you call every negative estimate no minimum; it has to be below zero by two standard errors.",
    ),
    "gamma_in_errors": Misconception(
        _changed(gamma=lambda t, h, d, s: mean_and_error(t)[0] - d.mean((1, 2)) > 3 * mean_and_error(t)[1]),
        "you ask whether gamma matters at all; with enough draws it always does. Asked for is more than a quarter.",
    ),
    "gamma_turned": Misconception(
        _changed(gamma=lambda t, h, d, s: d.mean((1, 2)) > 1.25 * t.mean((1, 2))),
        "a stronger prior holds the chains closer, so the estimate falls when gamma is doubled.",
    ),
    "absolute_error": Misconception(
        _changed(draws=lambda t, h, d, s: mean_and_error(t)[1] > 0.1),
        "you compare the error with 0.1; compare it with a tenth of the estimate.",
    ),
    "place_of_rule": Misconception(
        place_of_rule, "you return the place of the rule in the list; return the number of the fault."
    ),
    "sound_or_not": Misconception(
        lambda trace, half, doubled, star: (diagnose(trace, half, doubled, star) > 0).long(),
        "you say whether a run is sound; say which fault it has, 1 to 6.",
    ),
}

QUESTION = Question(
    id="ch15.diagnose",
    points=2,
    title="Six bad runs",
    hints=(
        "Write one function that gives mean and standard error of a run from its chains' means; all rules are made of "
        "that.",
        "Compute every rule as booleans [run]. Start from zeros and go through the rules from the last to the first, "
        "each overwriting: what is left is the first rule that holds.",
        "code = zeros; for rule, number in ((gamma, 5), (step, 1), (draws, 2), (minimum, 3), (baseline, 4), "
        "(coins, 6)): code = torch.where(rule, number, code).",
    ),
    reference=diagnose,
    cases=cases,
    axes={
        "trace": "run chain draw",
        "half": "run chain draw",
        "doubled": "run chain draw",
        "star": "run reading",
    },
    fields=(Field("fault", "run", atol=0.0, rtol=0.0),),
    misconceptions=MISCONCEPTIONS,
)
