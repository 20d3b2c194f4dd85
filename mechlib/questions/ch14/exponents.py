"""Question ch14.exponents: the exponent of volumes that several runs measured level by level."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import integer

__all__ = ["QUESTION"]

Thresholds = Float[Tensor, " level"]
Shares = Float[Tensor, "run level"]
PerRun = Float[Tensor, " run"]


def exponents(threshold: Thresholds, share: Shares, multiplicity: int) -> PerRun:
    """The slope of ``log V - (m - 1) log(-log ε)`` over log ε in every run; a share is of the level before."""
    x, y = threshold.log(), share.log().cumsum(1)
    return slope(x, y - (multiplicity - 1) * (-x).log())


def slope(x: Float[Tensor, " level"], y: Float[Tensor, "run level"]) -> PerRun:
    """Of the least-squares line with an intercept."""
    x = x - x.mean()
    return (y * x).sum(1) / x.square().sum()


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """A plain power, powers with logarithms, a single run, two levels, and volumes far below single precision."""
    return (
        _case("a plain power", generator, coefficient=1.5, multiplicity=1),
        _case("multiplicity 2", generator, coefficient=0.8, multiplicity=2),
        _case("multiplicity 3 and a single run", generator, coefficient=2.0, multiplicity=3, runs=1),
        _case("two levels", generator, coefficient=1.0, multiplicity=2, levels=2),
        _case("volumes down to 1e-90", generator, coefficient=9.0, multiplicity=1, levels=12, step=2.0),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    coefficient: float,
    multiplicity: int,
    runs: int | None = None,
    levels: int | None = None,
    step: float = 0.8,
) -> Case:
    """Uneven thresholds below 1, and shares that follow the law with errors of some ten per cent."""
    runs = integer(generator, 3, 5) if runs is None else runs
    levels = integer(generator, 8, 11) if levels is None else levels
    steps = step * (0.6 + 0.8 * torch.rand(levels, generator=generator, dtype=torch.float64))
    x = -0.5 - steps.cumsum(0)
    volume = coefficient * x + (multiplicity - 1) * (-x).log() - 1.0
    noise = 0.3 * torch.randn(runs, levels, generator=generator, dtype=torch.float64)
    volume = torch.cat([torch.zeros(runs, 1, dtype=torch.float64), volume + noise], dim=1)
    share = volume.diff(dim=1).clamp(max=-0.02).exp()
    return Case(description, {"threshold": x.exp(), "share": share, "multiplicity": multiplicity})


def _log_volume(threshold, share, multiplicity):
    x = threshold.log()
    return x, share.log().cumsum(1) - (multiplicity - 1) * (-x).log()


def shares_as_volumes(threshold, share, multiplicity):
    x = threshold.log()
    return slope(x, share.log() - (multiplicity - 1) * (-x).log())


def added_over_runs(threshold, share, multiplicity):
    x = threshold.log()
    return slope(x, share.log().cumsum(0) - (multiplicity - 1) * (-x).log())


def one_level_late(threshold, share, multiplicity):
    x, y = threshold.log(), share.log().cumsum(1) - share.log()
    return slope(x, y - (multiplicity - 1) * (-x).log())


def no_logarithm(threshold, share, multiplicity):
    return exponents(threshold, share, 1)


def logarithm_added(threshold, share, multiplicity):
    return exponents(threshold, share, 2 - multiplicity)


def power_m(threshold, share, multiplicity):
    return exponents(threshold, share, multiplicity + 1)


def subtracts_log_threshold(threshold, share, multiplicity):
    x = threshold.log()
    return slope(x, share.log().cumsum(1) + (multiplicity - 1) * x)


def through_the_origin(threshold, share, multiplicity):
    x, y = _log_volume(threshold, share, multiplicity)
    return (y * x).sum(1) / x.square().sum()


def axes_exchanged(threshold, share, multiplicity):
    x, y = _log_volume(threshold, share, multiplicity)
    return slope(x, y) * (x - x.mean()).square().sum() / (y - y.mean(1, keepdim=True)).square().sum(1)


def end_to_end(threshold, share, multiplicity):
    x, y = _log_volume(threshold, share, multiplicity)
    return (y[:, -1] - y[:, 0]) / (x[-1] - x[0])


def last_step(threshold, share, multiplicity):
    x, y = _log_volume(threshold, share, multiplicity)
    return (y[:, -1] - y[:, -2]) / (x[-1] - x[-2])


def mean_of_steps(threshold, share, multiplicity):
    x, y = _log_volume(threshold, share, multiplicity)
    return (y.diff(dim=1) / x.diff()).mean(1)


def ratio_of_logs(threshold, share, multiplicity):
    x, y = _log_volume(threshold, share, multiplicity)
    return (y / x).mean(1)


def by_level(threshold, share, multiplicity):
    x, y = _log_volume(threshold, share, multiplicity)
    return slope(torch.arange(len(x), dtype=torch.float64), y)


def volume_not_logged(threshold, share, multiplicity):
    x = threshold.log()
    return slope(x, share.cumprod(1) / (-x) ** (multiplicity - 1))


def threshold_not_logged(threshold, share, multiplicity):
    _, y = _log_volume(threshold, share, multiplicity)
    return slope(threshold, y)


def runs_averaged(threshold, share, multiplicity):
    return exponents(threshold, share, multiplicity).mean()


def twice(threshold, share, multiplicity):
    return 2 * exponents(threshold, share, multiplicity)


def wrong_sign(threshold, share, multiplicity):
    return -exponents(threshold, share, multiplicity)


def decadic(threshold, share, multiplicity):
    x = threshold.log10()
    return slope(x, share.log10().cumsum(1) - (multiplicity - 1) * (-x).log())


MISCONCEPTIONS = {
    "shares_as_volumes": Misconception(
        shares_as_volumes,
        "you take each share for the volume itself. A share is of the level before: the volume is the product of all "
        "shares so "
        "far, so add up their logarithms.",
    ),
    "added_over_runs": Misconception(
        added_over_runs,
        "you add up the log shares along the runs; a volume is built level by level, along the second axis.",
    ),
    "one_level_late": Misconception(
        one_level_late,
        "your volumes lag by one level: the volume below threshold i includes share i, which leads to it.",
    ),
    "no_logarithm": Misconception(
        no_logarithm, "you ignore the multiplicity: take (m - 1) log(-log ε) from log V before you fit the line."
    ),
    "logarithm_added": Misconception(
        logarithm_added, "you add the multiplicity's term; it is part of log V and has to come off."
    ),
    "power_m": Misconception(power_m, "you take off m times log(-log ε); the power of the logarithm is m - 1."),
    "subtracts_log_threshold": Misconception(
        subtracts_log_threshold,
        "you subtract (m - 1)(-log ε) itself; V holds (-log ε) to the power m - 1, so log V holds (m - 1) log(-log ε).",
    ),
    "through_the_origin": Misconception(
        through_the_origin, "your line goes through the origin; the constant c is unknown, so fit an intercept."
    ),
    "axes_exchanged": Misconception(
        axes_exchanged, "you fit log ε as a function of log V; the exponent is the slope the other way round."
    ),
    "end_to_end": Misconception(
        end_to_end, "you use the first and last level only; asked for is the least-squares line through all of them."
    ),
    "last_step": Misconception(last_step, "this is the slope of the last step alone; fit all levels."),
    "mean_of_steps": Misconception(
        mean_of_steps, "you average the slopes of the steps, which is a different line; fit by least squares."
    ),
    "ratio_of_logs": Misconception(
        ratio_of_logs, "log V / log ε still holds the constant log c / log ε; it is the slope that is free of it."
    ),
    "by_level": Misconception(
        by_level, "you fit against the number of the level; the thresholds are not evenly spaced."
    ),
    "volume_not_logged": Misconception(
        volume_not_logged, "you fit V and not log V: a power law is a line in logarithms."
    ),
    "threshold_not_logged": Misconception(
        threshold_not_logged, "you fit against ε and not log ε: a power law is a line in logarithms of both."
    ),
    "runs_averaged": Misconception(
        runs_averaged, "you average over the runs; one exponent per run is asked for, so that their spread can be seen."
    ),
    "twice": Misconception(twice, "twice too large: this is the number of regular weights, 2λ; asked for is λ."),
    "wrong_sign": Misconception(wrong_sign, "the sign is turned: V grows with ε, so the exponent is positive."),
    "decadic": Misconception(
        decadic,
        "with logarithms to base ten the slope of a power is the same, but the multiplicity's term is not: it needs "
        "natural "
        "ones.",
    ),
}

QUESTION = Question(
    id="ch14.exponents",
    points=2,
    title="The exponent of a measured volume",
    hints=(
        "Level by level one measures shares of shares. What is the volume below the third threshold?",
        "log V is the cumulative sum of the log shares. Take off (m - 1) log(-log ε) and fit a line, with an "
        "intercept, "
        "against log ε, separately in every run.",
        "x = threshold.log(); y = share.log().cumsum(1) - (multiplicity - 1) * (-x).log(); with x = x - x.mean() the "
        "slope "
        "is (y * x).sum(1) / x.square().sum().",
    ),
    reference=exponents,
    cases=cases,
    axes={"threshold": "level", "share": "run level"},
    fields=(Field("exponent", "run", atol=1e-5),),
    misconceptions=MISCONCEPTIONS,
)
