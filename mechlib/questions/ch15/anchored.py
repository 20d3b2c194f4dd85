"""Question ch15.anchored: loss and gradient on a minibatch, paired with a chain frozen at w*."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import both_signs, distinct

__all__ = ["QUESTION"]

Points = Float[Tensor, "chain weight"]
Point = Float[Tensor, " weight"]
Result = tuple[Float[Tensor, " chain"], Points]


def anchored(
    w: Points, w_star: Point, loss: Float[Tensor, " chain"], gradient: Points, loss_star: float, gradient_star: Point,
    full_loss: float, full_gradient: Point,
) -> Result:  # fmt: skip
    """Equation (5): the rise of the loss above w*, and the gradient, with the minibatch's noise at w* taken off."""
    noise = gradient_star - full_gradient
    return loss - loss_star - (w - w_star) @ noise, gradient - noise


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Regression on real minibatches: several chains, one chain, a batch of one, a noisy one, chains still at w*."""
    return (
        _case("several chains", generator),
        _case("a single chain", generator, chains=1),
        _case("a batch of a single sample", generator, batch=1),
        _case("noisy labels", generator, noise=5.0),
        _case("chains that are close to w*", generator, away=1e-2),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    chains: int | None = None,
    batch: int = 12,
    noise: float = 1.0,
    away: float = 0.5,
) -> Case:
    """Squared errors of a linear model near the weights that made the data, so that no gradient at w* is zero."""
    several, weights = distinct(generator, 2, 3, 8)
    chains = several if chains is None else chains
    truth = both_signs(generator, weights) * (0.5 + torch.rand(weights, generator=generator, dtype=torch.float64))
    x, y = _data(generator, truth, 60, noise)
    w_star = truth + 0.1 * torch.randn(weights, generator=generator, dtype=torch.float64)
    w = w_star + away * torch.randn(chains, weights, generator=generator, dtype=torch.float64)
    losses, gradients = _read(torch.cat([w, w_star[None]]), x[:batch], y[:batch])
    full_loss, full_gradient = _read(w_star[None], x, y)
    inputs = {
        "w": w,
        "w_star": w_star,
        "loss": losses[:-1],
        "gradient": gradients[:-1],
        "loss_star": float(losses[-1]),
        "gradient_star": gradients[-1],
        "full_loss": float(full_loss),
        "full_gradient": full_gradient[0],
    }
    return Case(description, inputs)


def _data(generator: torch.Generator, truth: Point, samples: int, noise: float) -> tuple[Tensor, Tensor]:
    x = 0.3 + torch.randn(samples, len(truth), generator=generator, dtype=torch.float64)
    return x, (x * truth).sum(1) + noise * torch.randn(samples, generator=generator, dtype=torch.float64)


def _read(w: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean losses ``[row]`` and gradients ``[row, weight]`` at the rows of ``w``; sums give the same bits each time."""
    error = (w[:, None] * x).sum(2) - y
    return error.square().mean(1) / 2, (error[..., None] * x).mean(1)


def _wrong(rise=None, gradient=None):
    """An answer that is wrong in one of its two parts."""

    def answer(w, w_star, loss, gradient_w, loss_star, gradient_star, full_loss, full_gradient):
        given = (w, w_star, loss, gradient_w, loss_star, gradient_star, full_loss, full_gradient)
        right = anchored(*given)
        return right[0] if rise is None else rise(*given), right[1] if gradient is None else gradient(*given)

    return answer


uncorrected = _wrong(rise=lambda w, c, f, g, fs, gs, fl, fg: f - fs, gradient=lambda w, c, f, g, fs, gs, fl, fg: g)
correction_turned = _wrong(
    rise=lambda w, c, f, g, fs, gs, fl, fg: f - fs + (w - c) @ (gs - fg),
    gradient=lambda w, c, f, g, fs, gs, fl, fg: g + gs - fg,
)
baseline_only = _wrong(rise=lambda w, c, f, g, fs, gs, fl, fg: f - fs)
full_baseline = _wrong(rise=lambda w, c, f, g, fs, gs, fl, fg: f - fl - (w - c) @ (gs - fg))
unpaired = _wrong(rise=lambda w, c, f, g, fs, gs, fl, fg: f - fl)
baseline_forgotten = _wrong(rise=lambda w, c, f, g, fs, gs, fl, fg: f - (w - c) @ (gs - fg))
above_the_full_loss = _wrong(rise=lambda w, c, f, g, fs, gs, fl, fg: f - fs + fl - (w - c) @ (gs - fg))
slope_added = _wrong(rise=lambda w, c, f, g, fs, gs, fl, fg: f - fs + (w - c) @ (gs - fg))
whole_slope = _wrong(rise=lambda w, c, f, g, fs, gs, fl, fg: f - fs - (w - c) @ gs)
slope_at_w = _wrong(rise=lambda w, c, f, g, fs, gs, fl, fg: f - fs - ((w - c) * (g - fg)).sum(1))
place_not_deviation = _wrong(rise=lambda w, c, f, g, fs, gs, fl, fg: f - fs - w @ (gs - fg))
half_slope = _wrong(rise=lambda w, c, f, g, fs, gs, fl, fg: f - fs - (w - c) @ (gs - fg) / 2)
rise_turned = _wrong(rise=lambda w, c, f, g, fs, gs, fl, fg: fs - f + (w - c) @ (gs - fg))
gradient_as_it_is = _wrong(gradient=lambda w, c, f, g, fs, gs, fl, fg: g)
full_not_added = _wrong(gradient=lambda w, c, f, g, fs, gs, fl, fg: g - gs)
correction_added = _wrong(gradient=lambda w, c, f, g, fs, gs, fl, fg: g + gs - fg)
only_full = _wrong(gradient=lambda w, c, f, g, fs, gs, fl, fg: g - fg)
full_for_all = _wrong(gradient=lambda w, c, f, g, fs, gs, fl, fg: fg.expand_as(g))
averaged = _wrong(gradient=lambda w, c, f, g, fs, gs, fl, fg: (g + fg) / 2)


MISCONCEPTIONS = {
    "uncorrected": Misconception(
        uncorrected,
        "the baseline is right, and that is all: the noise of the gradient at w*, g_B(w*) - g(w*), is still in both "
        "results.",
    ),
    "correction_turned": Misconception(
        correction_turned, "the sign of the noise is turned in both results: it is g_B(w*) - g(w*), and comes off."
    ),
    "baseline_only": Misconception(
        baseline_only,
        "the gradient is right. The rise is paired with w*, but the batch's slope at w* is still noise in it: take "
        "(g_B(w*) - g(w*)) . (w - w*) off as well.",
    ),
    "full_baseline": Misconception(
        full_baseline, "your baseline is the loss on all the data; take the loss of w* on the same batch off."
    ),
    "unpaired": Misconception(
        unpaired, "your rise compares a batch with all the data, so the batch's noise is all in it; pair it with w*."
    ),
    "baseline_forgotten": Misconception(
        baseline_forgotten, "the loss of w* on the same batch is not taken off the rise."
    ),
    "above_the_full_loss": Misconception(
        above_the_full_loss, "this is an estimate of the loss itself; asked for is its rise above w*."
    ),
    "slope_added": Misconception(slope_added, "you add the slope's noise to the rise; take it off."),
    "whole_slope": Misconception(
        whole_slope,
        "you take the batch's whole slope off the rise; only its noise, g_B(w*) - g(w*), has mean zero.",
    ),
    "slope_at_w": Misconception(
        slope_at_w, "the slope in your rise is the batch's at w; take it at w*, where all the data are known."
    ),
    "place_not_deviation": Misconception(
        place_not_deviation, "the slope's noise is multiplied by w - w*, not by w: at w* nothing is to be corrected."
    ),
    "half_slope": Misconception(half_slope, "the linear term has no factor of one half."),
    "rise_turned": Misconception(rise_turned, "the sign of the rise is turned: loss at w less loss at w*."),
    "gradient_as_it_is": Misconception(
        gradient_as_it_is, "the rise is right; the gradient still has the batch's noise: take g_B(w*) - g(w*) off."
    ),
    "full_not_added": Misconception(
        full_not_added,
        "without g(w*) the corrected gradient has another mean: add the gradient over all the data back.",
    ),
    "correction_added": Misconception(
        correction_added, "you add the noise at w* to the gradient a second time; take it off."
    ),
    "only_full": Misconception(
        only_full, "you take the full gradient off; take the batch's at w* off and add the full one."
    ),
    "full_for_all": Misconception(
        full_for_all, "your gradient is that of w* for every chain; it has to follow the chain's own place."
    ),
    "averaged": Misconception(
        averaged, "a mean of the two gradients has another expectation; correct by the difference at w*."
    ),
}

QUESTION = Question(
    id="ch15.anchored",
    points=1,
    title="The anchor",
    hints=(
        "On this batch, by how much is the gradient at w* off? It will be off by about as much at w.",
        "noise = gradient_star - full_gradient. Off the gradient goes the noise; off the rise loss - loss_star goes "
        "the noise times the way from w* to w.",
        "loss - loss_star - (w - w_star) @ (gradient_star - full_gradient), and gradient - gradient_star + "
        "full_gradient. The loss over all the data is not needed.",
    ),
    reference=anchored,
    cases=cases,
    axes={
        "w": "chain weight",
        "w_star": "weight",
        "loss": "chain",
        "gradient": "chain weight",
        "gradient_star": "weight",
        "full_gradient": "weight",
    },
    fields=(Field("rise", "chain", atol=1e-7), Field("gradient", "chain weight", atol=1e-7)),
    misconceptions=MISCONCEPTIONS,
)
