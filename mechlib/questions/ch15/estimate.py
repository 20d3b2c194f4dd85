"""Question ch15.estimate: from the losses of several chains to an estimate with an error."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, integer

__all__ = ["QUESTION"]

Losses = Float[Tensor, "chain step"]
Result = tuple[Tensor, Tensor, Float[Tensor, " chain"]]


def estimate(loss: Losses, loss_star: float, nbeta: float, burnin: int) -> Result:
    """The mean of all chains, its standard error from their spread, and every chain's own mean; none is left out."""
    per_chain = nbeta * (loss[:, burnin:].mean(1) - loss_star)
    return per_chain.mean(), per_chain.std() / len(per_chain) ** 0.5, per_chain


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Chains that disagree, a long burn-in, a w* that is no minimum, large losses and errors, one chain flown."""
    return (
        _case("chains that disagree", generator),
        _case("a long burn-in", generator, burnin=40),
        _case("a w* that is no minimum", generator, rise=-4.0),
        _case("a large loss at w*", generator, base=7.0, rise=300.0),
        _case("a chain that flew away", generator, flown=True),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    rise: float = 6.0,
    base: float = 0.4,
    burnin: int | None = None,
    flown: bool = False,
) -> Case:
    """Chains that have left w* for a level of their own and stay there, with draws that remember each other."""
    chains, steps = integer(generator, 4, 7), integer(generator, 60, 80)
    burnin = integer(generator, 10, 20) if burnin is None else burnin
    nbeta = float(integer(generator, 80, 200))
    levels = rise * (1 + 0.3 * torch.randn(chains, 1, generator=generator, dtype=torch.float64))
    noise = torch.randn(chains, steps + 4, generator=generator, dtype=torch.float64).unfold(1, 5, 1).mean(2)
    climb = 1 - torch.exp(-torch.arange(1, steps + 1, dtype=torch.float64) / 6)
    loss = base + (levels * climb + noise * climb) / nbeta
    if flown:
        where = distinct(generator, 1, 0, chains - 1)[0]
        loss[where, -7:] = torch.inf
    return Case(description, {"loss": loss, "loss_star": base, "nbeta": nbeta, "burnin": burnin})


def _of(per_chain: Tensor) -> Result:
    return per_chain.mean(), per_chain.std() / len(per_chain) ** 0.5, per_chain


def lowest_as_baseline(loss, loss_star, nbeta, burnin):
    return _of(nbeta * (loss[:, burnin:].mean(1) - loss[:, burnin:].amin(1)))


def cut_at_zero(loss, loss_star, nbeta, burnin):
    return _of((nbeta * (loss[:, burnin:].mean(1) - loss_star)).clamp(min=0))


def flown_left_out(loss, loss_star, nbeta, burnin):
    _, _, per_chain = estimate(loss, loss_star, nbeta, burnin)
    kept = per_chain[per_chain.isfinite()]
    return kept.mean(), kept.std() / len(kept) ** 0.5, per_chain


def flown_draws_left_out(loss, loss_star, nbeta, burnin):
    finite = loss.where(loss.isfinite(), torch.nan)
    return _of(nbeta * (finite[:, burnin:].nanmean(1) - loss_star))


def flown_as_zero(loss, loss_star, nbeta, burnin):
    return estimate(loss.nan_to_num(posinf=loss_star), loss_star, nbeta, burnin)


def draws_as_independent(loss, loss_star, nbeta, burnin):
    mean, _, per_chain = estimate(loss, loss_star, nbeta, burnin)
    draws = nbeta * (loss[:, burnin:] - loss_star)
    return mean, draws.std() / draws.numel() ** 0.5, per_chain


def no_root(loss, loss_star, nbeta, burnin):
    mean, error, per_chain = estimate(loss, loss_star, nbeta, burnin)
    return mean, error * len(per_chain) ** 0.5, per_chain


def whole_count(loss, loss_star, nbeta, burnin):
    mean, error, per_chain = estimate(loss, loss_star, nbeta, burnin)
    return mean, error / len(per_chain) ** 0.5, per_chain


def population_deviation(loss, loss_star, nbeta, burnin):
    mean, _, per_chain = estimate(loss, loss_star, nbeta, burnin)
    return mean, per_chain.std(correction=0) / len(per_chain) ** 0.5, per_chain


def interval_not_error(loss, loss_star, nbeta, burnin):
    mean, error, per_chain = estimate(loss, loss_star, nbeta, burnin)
    return mean, 1.96 * error, per_chain


MISCONCEPTIONS = {
    "burnin_kept": Misconception(
        lambda loss, loss_star, nbeta, burnin: estimate(loss, loss_star, nbeta, 0),
        "you average over the burn-in as well: the chains start at w*, where the rise is zero, and climb from there.",
    ),
    "burnin_only": Misconception(
        lambda loss, loss_star, nbeta, burnin: estimate(loss[:, :burnin], loss_star, nbeta, 0),
        "you average over the burn-in; it is what has to be left out.",
    ),
    "burnin_from_the_end": Misconception(
        lambda loss, loss_star, nbeta, burnin: estimate(loss[:, :-burnin], loss_star, nbeta, 0),
        "you leave out the last steps; the burn-in comes first.",
    ),
    "nbeta_forgotten": Misconception(
        lambda loss, loss_star, nbeta, burnin: estimate(loss, loss_star, 1.0, burnin),
        "this is the rise of the loss; the estimate is nβ times as much.",
    ),
    "divided_by_nbeta": Misconception(
        lambda loss, loss_star, nbeta, burnin: estimate(loss, loss_star, 1 / nbeta, burnin),
        "you divide by nβ; multiply by it.",
    ),
    "baseline_forgotten": Misconception(
        lambda loss, loss_star, nbeta, burnin: estimate(loss, 0.0, nbeta, burnin),
        "the loss at w* is not taken off: the estimate is about the rise above it.",
    ),
    "first_draw_as_baseline": Misconception(
        lambda loss, loss_star, nbeta, burnin: _of(nbeta * (loss[:, burnin:].mean(1) - loss[:, burnin])),
        "your baseline is the first draw after the burn-in; it is the loss at w*.",
    ),
    "first_loss_as_baseline": Misconception(
        lambda loss, loss_star, nbeta, burnin: _of(nbeta * (loss[:, burnin:].mean(1) - loss[:, 0])),
        "your baseline is the first loss of every chain, and by then it has moved; the loss at w* is given.",
    ),
    "baseline_not_scaled": Misconception(
        lambda loss, loss_star, nbeta, burnin: _of(nbeta * loss[:, burnin:].mean(1) - loss_star),
        "you take loss_star off after multiplying by nβ; multiply the difference.",
    ),
    "lowest_as_baseline": Misconception(
        lowest_as_baseline, "your baseline is the lowest loss that the chain met; it is the loss at w*."
    ),
    "sign_turned": Misconception(
        lambda loss, loss_star, nbeta, burnin: _of(nbeta * (loss_star - loss[:, burnin:].mean(1))),
        "the sign is turned: loss of the draws less loss at w*.",
    ),
    "absolute": Misconception(
        lambda loss, loss_star, nbeta, burnin: _of((nbeta * (loss[:, burnin:].mean(1) - loss_star)).abs()),
        "you take absolute values. A negative estimate says that w* is not a minimum; do not hide it.",
    ),
    "cut_at_zero": Misconception(
        cut_at_zero,
        "you set negative means to zero. A negative estimate says that w* is not a minimum; do not hide it.",
    ),
    "last_draw": Misconception(
        lambda loss, loss_star, nbeta, burnin: _of(nbeta * (loss[:, -1] - loss_star)),
        "you look at the last draw of each chain; average over all draws that count.",
    ),
    "median_of_draws": Misconception(
        lambda loss, loss_star, nbeta, burnin: _of(nbeta * (loss[:, burnin:].median(1).values - loss_star)),
        "you take medians; the estimator is an expectation, and the rise is skewed.",
    ),
    "flown_left_out": Misconception(
        flown_left_out,
        "you drop the chain that flew away. What is left looks healthy and is not: the estimate is infinite then.",
    ),
    "flown_draws_left_out": Misconception(
        flown_draws_left_out, "you average over what is left of the chain that flew away; its mean is infinite."
    ),
    "flown_as_zero": Misconception(flown_as_zero, "you count infinite losses as if they lay at w*."),
    "draws_as_independent": Misconception(
        draws_as_independent,
        "your error takes all draws as independent. Successive draws are alike: use the spread of the chains' means.",
    ),
    "no_root": Misconception(
        no_root, "this is the spread of single chains; the mean of c chains is better known by sqrt(c)."
    ),
    "whole_count": Misconception(
        whole_count, "you divide the spread by the number of chains; divide by its square root."
    ),
    "population_deviation": Misconception(
        population_deviation, "your standard deviation divides by the number of chains; divide by one less."
    ),
    "interval_not_error": Misconception(
        interval_not_error, "this is half of a 95 % interval; asked for is one standard error."
    ),
}

QUESTION = Question(
    id="ch15.estimate",
    points=1,
    title="From losses to an estimate",
    hints=(
        "Which part of the losses counts, from what are they measured, and in which unit?",
        "Every chain has a mean of nβ (loss - loss_star) after the burn-in. The estimate is the mean of these means, "
        "its error their standard deviation over the square root of their number. What is infinite stays infinite.",
        "per_chain = nbeta * (loss[:, burnin:].mean(1) - loss_star); per_chain.mean(), per_chain.std() / "
        "len(per_chain) ** 0.5, per_chain.",
    ),
    reference=estimate,
    cases=cases,
    axes={"loss": "chain step"},
    fields=(Field("llc", atol=1e-7), Field("error", atol=1e-7), Field("per_chain", "chain", atol=1e-7)),
    misconceptions=MISCONCEPTIONS,
)
