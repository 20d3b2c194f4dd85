"""Question ch14.exponents: the exponent of volumes that several runs measured level by level."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import integer

__all__ = ["QUESTION"]

Thresholds = Float[Tensor, " level"]
Shares = Float[Tensor, "run level"]
PerRun = Float[Tensor, " run"]


def slope(x: Float[Tensor, " level"], y: Float[Tensor, "run level"]) -> PerRun:
    """Of the least-squares line with an intercept."""
    x = x - x.mean()
    return (y * x).sum(1) / x.square().sum()


def of_logs(
    x: Float[Tensor, " level"], log_volume: Float[Tensor, "run level"], multiplicity: int
) -> Float[Tensor, "run level"]:
    """``log V - (m - 1) log(-log ε)``."""
    return log_volume - (multiplicity - 1) * (-x).log()


def cumulated(log_share: Float[Tensor, "run level"]) -> Float[Tensor, "run level"]:
    """The logarithms of the volumes; a share is of the level before."""
    return log_share.cumsum(1)


def exponents(
    threshold: Thresholds,
    share: Shares,
    multiplicity: int,
    *,
    log=torch.log,
    volume=cumulated,
    corrected=of_logs,
    fit=slope,
) -> PerRun:
    """The slope of ``log V - (m - 1) log(-log ε)`` over log ε in every run."""
    x = log(threshold)
    return fit(x, corrected(x, volume(log(share)), multiplicity))


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Powers with and without logarithms, a single run, two levels, many, a slow power, thresholds near 1, and volumes
    far below single precision.
    """
    return (
        _case("a plain power", generator, coefficient=1.5, multiplicity=1),
        _case("multiplicity 2", generator, coefficient=0.8, multiplicity=2),
        _case("thresholds near 1", generator, coefficient=0.8, multiplicity=2, step=0.2, start=0.02),
        _case("many levels", generator, coefficient=1.2, multiplicity=4, levels=45),
        _case("a volume that hardly shrinks", generator, coefficient=0.05, multiplicity=1, noise=0.005),
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
    start: float = 0.5,
    noise: float = 0.3,
) -> Case:
    """Uneven thresholds below 1, and shares that follow the law with errors of some ten per cent."""
    runs = integer(generator, 3, 5) if runs is None else runs
    levels = integer(generator, 8, 11) if levels is None else levels
    steps = step * (0.6 + 0.8 * torch.rand(levels, generator=generator, dtype=torch.float64))
    x = -start - steps.cumsum(0)
    volume = coefficient * x + (multiplicity - 1) * (-x).log() - 1.0
    errors = noise * torch.randn(runs, levels, generator=generator, dtype=torch.float64)
    volume = torch.cat([torch.zeros(runs, 1, dtype=torch.float64), volume + errors], dim=1)
    share = volume.diff(dim=1).clamp(max=-0.02).exp()
    return Case(description, {"threshold": x.exp(), "share": share, "multiplicity": multiplicity})


def through_the_origin(x, y):
    return (y * x).sum(1) / x.square().sum()


def axes_exchanged(x, y):
    return slope(x, y) * (x - x.mean()).square().sum() / (y - y.mean(1, keepdim=True)).square().sum(1)


def volume_not_logged(threshold, share, multiplicity):
    x = threshold.log()
    return slope(x, share.cumprod(1) / (-x) ** (multiplicity - 1))


def threshold_not_logged(threshold, share, multiplicity):
    return slope(threshold, of_logs(threshold.log(), share.log().cumsum(1), multiplicity))


on = edits_of(exponents)
MISCONCEPTIONS = {
    "shares_as_volumes": on(
        "you take each share for the volume itself. A share is of the level before: the volume is the product of all "
        "shares so far, so add up their logarithms.",
        volume=lambda log_share: log_share,
    ),
    "added_over_runs": on(
        "you add up the log shares along the runs; a volume is built level by level, along the second axis.",
        volume=lambda log_share: log_share.cumsum(0),
    ),
    "one_level_late": on(
        "your volumes lag by one level: the volume below threshold i includes share i, which leads to it.",
        volume=lambda log_share: log_share.cumsum(1) - log_share,
    ),
    "no_logarithm": on(
        "you ignore the multiplicity: take (m - 1) log(-log ε) from log V before you fit the line.", multiplicity=1
    ),
    "logarithm_added": on(
        "you add the multiplicity's term; it is part of log V and has to come off.", multiplicity=lambda m: 2 - m
    ),
    "power_m": on(
        "you take off m times log(-log ε); the power of the logarithm is m - 1.", multiplicity=lambda m: m + 1
    ),
    "subtracts_log_threshold": on(
        "you subtract (m - 1)(-log ε) itself; V holds (-log ε) to the power m - 1, so log V holds (m - 1) log(-log ε).",
        corrected=lambda x, log_volume, m: log_volume + (m - 1) * x,
    ),
    "through_the_origin": on(
        "your line goes through the origin; the constant c is unknown, so fit an intercept.", fit=through_the_origin
    ),
    "axes_exchanged": on(
        "you fit log ε as a function of log V; the exponent is the slope the other way round.", fit=axes_exchanged
    ),
    "end_to_end": on(
        "you use the first and last level only; asked for is the least-squares line through all of them.",
        fit=lambda x, y: (y[:, -1] - y[:, 0]) / (x[-1] - x[0]),
    ),
    "last_step": on(
        "this is the slope of the last step alone; fit all levels.",
        fit=lambda x, y: (y[:, -1] - y[:, -2]) / (x[-1] - x[-2]),
    ),
    "mean_of_steps": on(
        "you average the slopes of the steps, which is a different line; fit by least squares.",
        fit=lambda x, y: (y.diff(dim=1) / x.diff()).mean(1),
    ),
    "ratio_of_logs": on(
        "log V / log ε still holds the constant log c / log ε; it is the slope that is free of it.",
        fit=lambda x, y: (y / x).mean(1),
    ),
    "by_level": on(
        "you fit against the number of the level; the thresholds are not evenly spaced.",
        fit=lambda x, y: slope(torch.arange(len(x), dtype=torch.float64), y),
    ),
    "runs_averaged": on(
        "you average over the runs; one exponent per run is asked for, so that their spread can be seen.",
        result=torch.mean,
    ),
    "twice": on(
        "twice too large: this is the number of regular weights, 2λ; asked for is λ.", result=lambda rate: 2 * rate
    ),
    "wrong_sign": on("the sign is turned: V grows with ε, so the exponent is positive.", result=torch.neg),
    "decadic": on(
        "with logarithms to base ten the slope of a power is the same, but the multiplicity's term is not: it needs "
        "natural ones.",
        log=torch.log10,
    ),
    "volume_not_logged": Misconception(
        volume_not_logged, "you fit V and not log V: a power law is a line in logarithms."
    ),
    "threshold_not_logged": Misconception(
        threshold_not_logged, "you fit against ε and not log ε: a power law is a line in logarithms of both."
    ),
}

QUESTION = Question(
    id="ch14.exponents",
    points=1,
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
