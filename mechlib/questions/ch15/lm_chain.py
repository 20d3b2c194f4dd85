"""Question ch15.lm_chain: chains with Leimkuhler-Matthews noise on a quadratic loss."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import both_signs, distinct

__all__ = ["QUESTION"]

Spectrum = Float[Tensor, " weight"]
Noise = Float[Tensor, "normal chain weight"]
Draws = Float[Tensor, "draw chain weight"]


def lm_chain(curvature: Spectrum, w_star: Spectrum, noise: Noise, nbeta: float, gamma: float, lr: float) -> Draws:
    """The places after every step, one fewer than there are normals; all chains start at w*."""

    def gradient(w: Tensor) -> Tensor:
        return nbeta * curvature * (w - w_star) + gamma * (w - w_star)

    return walk(gradient, w_star, (noise[:-1] + noise[1:]) / 2, lr)


def walk(gradient, start, kicks, lr):
    """Langevin steps with the given kicks ``[draw, chain, weight]``."""
    w, draws = start.expand(kicks.shape[1:]), []
    for kick in kicks:
        w = w - lr / 2 * gradient(w) + lr**0.5 * kick
        draws.append(w)
    return torch.stack(draws)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Ordinary chains, a single one, a strong prior, a large step, one at which they fly away, and a single draw."""
    return (
        _case("several chains", generator, gamma=3.0, steep=1.0),
        _case("a single chain", generator, gamma=1.0, steep=0.5, chains=1),
        _case("a prior as steep as the loss", generator, gamma=150.0, steep=1.5),
        _case("a large step", generator, gamma=10.0, steep=2.6),
        _case("a step at which the chains fly away", generator, gamma=4.0, steep=60.0, normals=10),
        _case("a single draw", generator, gamma=6.0, steep=0.8, normals=2),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    gamma: float,
    steep: float,
    chains: int | None = None,
    normals: int | None = None,
) -> Case:
    several, count, weights = distinct(generator, 3, 3, 8)
    chains, normals = chains or several, normals or count
    curvature = 0.3 + torch.rand(weights, generator=generator, dtype=torch.float64)
    w_star = both_signs(generator, weights) * (0.5 + torch.rand(weights, generator=generator, dtype=torch.float64))
    noise = torch.randn(normals, chains, weights, generator=generator, dtype=torch.float64)
    nbeta = 100 + 100 * float(torch.rand(1, generator=generator, dtype=torch.float64))
    lr = steep / (nbeta * float(curvature.max()) + gamma)
    inputs = {"curvature": curvature, "w_star": w_star, "noise": noise, "nbeta": nbeta, "gamma": gamma, "lr": lr}
    return Case(description, inputs)


def _with(kicks=None, gradient=None, start=None, step=None):
    """An answer that differs from the right one in one part."""

    def answer(curvature, w_star, noise, nbeta, gamma, lr):
        def usual(w):
            return (nbeta * curvature + gamma) * (w - w_star)

        def other(w):
            return gradient(w, curvature, w_star, nbeta, gamma)

        drawn = (noise[:-1] + noise[1:]) / 2 if kicks is None else kicks(noise, lr)
        begin = w_star if start is None else start(w_star)
        return walk(usual if gradient is None else other, begin, drawn, lr if step is None else step(lr))

    return answer


plain_sgld = _with(lambda noise, lr: noise[:-1])
plain_sgld_late = _with(lambda noise, lr: noise[1:])
sum_not_mean = _with(lambda noise, lr: noise[:-1] + noise[1:])
unit_variance = _with(lambda noise, lr: (noise[:-1] + noise[1:]) / 2**0.5)
difference = _with(lambda noise, lr: (noise[1:] - noise[:-1]) / 2)
step_not_rooted = _with(lambda noise, lr: (noise[:-1] + noise[1:]) / 2 * lr**0.5)
root_of_half = _with(lambda noise, lr: (noise[:-1] + noise[1:]) / 2**1.5)
no_noise = _with(lambda noise, lr: 0 * noise[1:])
prior_forgotten = _with(gradient=lambda w, h, w_star, nbeta, gamma: nbeta * h * (w - w_star))
nbeta_forgotten = _with(gradient=lambda w, h, w_star, nbeta, gamma: (h + gamma) * (w - w_star))
loss_about_zero = _with(gradient=lambda w, h, w_star, nbeta, gamma: nbeta * h * w + gamma * (w - w_star))
prior_about_zero = _with(gradient=lambda w, h, w_star, nbeta, gamma: nbeta * h * (w - w_star) + gamma * w)
uphill = _with(gradient=lambda w, h, w_star, nbeta, gamma: -(nbeta * h + gamma) * (w - w_star))
curvature_squared = _with(gradient=lambda w, h, w_star, nbeta, gamma: (nbeta * h**2 + gamma) * (w - w_star))
from_zero = _with(start=torch.zeros_like)
all_about_zero = _with(gradient=lambda w, h, w_star, nbeta, gamma: (nbeta * h + gamma) * w)
prior_times_nbeta = _with(gradient=lambda w, h, w_star, nbeta, gamma: nbeta * (h + gamma) * (w - w_star))
full_drift = _with(gradient=lambda w, h, w_star, nbeta, gamma: 2 * (nbeta * h + gamma) * (w - w_star))


def from_w_star_only(curvature, w_star, noise, nbeta, gamma, lr):
    return w_star + lr**0.5 * (noise[:-1] + noise[1:]) / 2


def same_tensor(curvature, w_star, noise, nbeta, gamma, lr):
    """A list of one tensor that is changed in place."""
    draws = lm_chain(curvature, w_star, noise, nbeta, gamma, lr)
    return draws[-1:].expand_as(draws)


def start_included(curvature, w_star, noise, nbeta, gamma, lr):
    draws = lm_chain(curvature, w_star, noise, nbeta, gamma, lr)
    return torch.cat([w_star.expand_as(draws[:1]), draws[:-1]])


def less_w_star(curvature, w_star, noise, nbeta, gamma, lr):
    return lm_chain(curvature, w_star, noise, nbeta, gamma, lr) - w_star


MISCONCEPTIONS = {
    "plain_sgld": Misconception(
        plain_sgld, "this is plain SGLD: one normal per step. Take the mean of normal t and normal t + 1."
    ),
    "plain_sgld_late": Misconception(
        plain_sgld_late, "this is plain SGLD with the later normal; take the mean of normal t and normal t + 1."
    ),
    "sum_not_mean": Misconception(sum_not_mean, "you add the two normals; take their mean."),
    "unit_variance": Misconception(
        unit_variance,
        "you divide by sqrt(2), so that the kick has variance 1. The mean has variance 1/2; the rest comes from the "
        "normal that two steps share.",
    ),
    "difference": Misconception(difference, "you take the difference of the two normals; take their mean."),
    "step_not_rooted": Misconception(
        step_not_rooted, "the noise is multiplied by ε; a random walk of time ε moves by sqrt(ε)."
    ),
    "root_of_half": Misconception(
        root_of_half, "the noise is too small by sqrt(2): it is sqrt(ε) times the mean of the two normals."
    ),
    "no_noise": Misconception(no_noise, "there is no noise in your chain: this is gradient descent."),
    "prior_forgotten": Misconception(
        prior_forgotten, "the pull of the prior, γ (w - w*), is missing in the gradient of U."
    ),
    "nbeta_forgotten": Misconception(nbeta_forgotten, "the gradient of the loss counts nβ times in the gradient of U."),
    "loss_about_zero": Misconception(
        loss_about_zero, "your loss has its minimum at zero: its gradient is h (w - w*), not h w."
    ),
    "prior_about_zero": Misconception(prior_about_zero, "your prior pulls to zero; the localising prior pulls to w*."),
    "all_about_zero": Misconception(
        all_about_zero, "your chains are pulled to zero; loss and prior both pull to w*: (nβ h + γ) (w - w*)."
    ),
    "prior_times_nbeta": Misconception(
        prior_times_nbeta, "you multiply the prior by nβ too; only the loss counts nβ times: nβ h + γ."
    ),
    "uphill": Misconception(uphill, "the sign of the drift is turned: your chain climbs."),
    "curvature_squared": Misconception(
        curvature_squared, "the curvature comes in squared; the gradient is h (w - w*)."
    ),
    "from_zero": Misconception(from_zero, "your chains start at zero; they start at w*."),
    "full_drift": Misconception(
        full_drift, "the drift is ε times the gradient of U; with noise of variance ε it is half of that."
    ),
    "from_w_star_only": Misconception(
        from_w_star_only, "every step starts at w* again; a chain goes on from where it is."
    ),
    "same_tensor": Misconception(
        same_tensor,
        "all your draws are the last one: the list holds one tensor that you change in place. Keep w.clone().",
    ),
    "start_included": Misconception(
        start_included, "your first draw is the start; asked for are the places after each step."
    ),
    "less_w_star": Misconception(less_w_star, "these are deviations from w*; asked for are the places themselves."),
}

QUESTION = Question(
    id="ch15.lm_chain",
    points=1,
    title="The Leimkuhler–Matthews step",
    hints=(
        "It is equation (2) with another kick. Which two normals does the step from draw t - 1 to draw t use, and "
        "which of them does the next step use again?",
        "w = w - lr/2 * (nβ h + γ) (w - w*) + sqrt(lr) * (noise[t] + noise[t + 1]) / 2, starting at w*.",
        "Loop over zip(noise[:-1], noise[1:]); keep every new w in a list; torch.stack at the end.",
    ),
    reference=lm_chain,
    cases=cases,
    axes={"curvature": "weight", "w_star": "weight", "noise": "normal chain weight"},
    fields=(Field("draws", "draw chain weight", atol=1e-6),),
    misconceptions=MISCONCEPTIONS,
)
