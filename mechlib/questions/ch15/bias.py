"""Question ch15.bias: what plain SGLD finds on a quadratic loss, step by step."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, integer

__all__ = ["QUESTION"]

Spectrum = Float[Tensor, " weight"]
Steps = Float[Tensor, " step"]


def bias(curvature: Spectrum, lr: Steps, nbeta: float, gamma: float) -> Steps:
    """Half the sum of ``nbeta h`` times the stationary variance, and infinite where a direction is not stable."""
    steepness = nbeta * curvature + gamma
    return energy(nbeta * curvature, variance(steepness, lr))


def variance(steepness: Spectrum, lr: Steps) -> Float[Tensor, "step weight"]:
    """``1 / (a (1 - ε a / 4))``, infinite from ε a = 4 on."""
    room = 1 - lr[:, None] * steepness / 4
    return torch.where(room > 0, 1 / (steepness * room), torch.inf)


def energy(scaled: Spectrum, spread: Float[Tensor, "step weight"]) -> Steps:
    """``sum_i n β h_i v_i / 2``; a flat direction contributes nothing, whatever its variance."""
    return torch.where(scaled > 0, scaled * spread, 0.0).sum(1) / 2


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """An ordinary spectrum, one with flat directions, a strong prior, one weight, steps too far, and a single step."""
    return (
        _case("an ordinary spectrum", generator, gamma=1.0),
        _case("flat directions", generator, gamma=2.0, flat=2),
        _case("a prior as steep as the loss", generator, gamma=400.0, largest=4.4),
        _case("a single weight", generator, gamma=5.0, weights=1),
        _case("steps at which the chain flies away", generator, gamma=20.0, largest=6.0, extra=EDGES, falling=True),
        _case(
            "the same with the steepest direction last", generator, gamma=8.0, largest=6.0, extra=EDGES, falling=False
        ),
        _case("a step at which flat directions fly away too", generator, gamma=300.0, flat=1, extra=(30.0,)),
        _case("a single step", generator, gamma=12.0, steps=1),
    )


EDGES = (3.9, 4.1)
"""Steps over the steepest curvature of U, on both sides of where the chain becomes unstable."""


def _case(
    description: str,
    generator: torch.Generator,
    *,
    gamma: float,
    flat: int = 0,
    weights: int | None = None,
    largest: float = 3.2,
    steps: int | None = None,
    extra: tuple[float, ...] = (),
    falling: bool | None = None,
) -> Case:
    """Steps from ``largest`` down to a fifth of it, over the steepest curvature of U; the last are ``extra`` ones."""
    several, drawn = distinct(generator, 2, 4, 9)
    weights = several if weights is None else weights
    curvature = 0.2 + 3 * torch.rand(weights, generator=generator, dtype=torch.float64)
    curvature[:flat] = 0.0
    if falling is not None:
        curvature = curvature.sort(descending=falling).values
    nbeta = float(integer(generator, 90, 300))
    steepest = nbeta * float(curvature.max()) + gamma
    lr = torch.linspace(largest, largest / 5, steps or drawn, dtype=torch.float64)
    lr[len(lr) - len(extra) :] = torch.tensor(extra, dtype=torch.float64)
    return Case(description, {"curvature": curvature, "lr": lr / steepest, "nbeta": nbeta, "gamma": gamma})


def no_step(curvature, lr, nbeta, gamma):
    scaled = nbeta * curvature
    return (scaled / (2 * (scaled + gamma))).sum().expand(len(lr))


def half_for_quarter(curvature, lr, nbeta, gamma):
    return energy(nbeta * curvature, variance(nbeta * curvature + gamma, 2 * lr))


def energy_of_u(curvature, lr, nbeta, gamma):
    steepness = nbeta * curvature + gamma
    return energy(steepness, variance(steepness, lr))


def steepest_for_all(curvature, lr, nbeta, gamma):
    steepest = nbeta * curvature.max() + gamma
    room = 1 - lr * steepest / 4
    return torch.where(room > 0, no_step(curvature, lr, nbeta, gamma) / room, torch.inf)


def mean_for_all(curvature, lr, nbeta, gamma):
    room = 1 - lr * (nbeta * curvature + gamma).mean() / 4
    return torch.where(room > 0, no_step(curvature, lr, nbeta, gamma) / room, torch.inf)


def goes_on_when_unstable(curvature, lr, nbeta, gamma):
    steepness = nbeta * curvature + gamma
    return (nbeta * curvature / (steepness * (1 - lr[:, None] * steepness / 4))).sum(1) / 2


def absolute_when_unstable(curvature, lr, nbeta, gamma):
    steepness = nbeta * curvature + gamma
    return (nbeta * curvature / (steepness * (1 - lr[:, None] * steepness / 4).abs())).sum(1) / 2


def factor_inverted(curvature, lr, nbeta, gamma):
    steepness = nbeta * curvature + gamma
    room = 1 - lr[:, None] * steepness / 4
    return (nbeta * curvature / steepness * room).sum(1) / 2


def first_order(curvature, lr, nbeta, gamma):
    steepness = nbeta * curvature + gamma
    return (nbeta * curvature / steepness * (1 + lr[:, None] * steepness / 4)).sum(1) / 2


def excess_only(curvature, lr, nbeta, gamma):
    return bias(curvature, lr, nbeta, gamma) - no_step(curvature, lr, nbeta, gamma)


def factor_only(curvature, lr, nbeta, gamma):
    return bias(curvature, lr, nbeta, gamma) / no_step(curvature, lr, nbeta, gamma)


def flat_at_infinity(curvature, lr, nbeta, gamma):
    """The factor with the loss's curvature alone, the variance with all of it."""
    room = 1 - lr[:, None] * nbeta * curvature / 4
    spread = torch.where(room > 0, 1 / ((nbeta * curvature + gamma) * room), torch.inf)
    return energy(nbeta * curvature, spread)


def full_drift(curvature, lr, nbeta, gamma):
    steepness = nbeta * curvature + gamma
    return (nbeta * curvature / (steepness * (2 - lr[:, None] * steepness))).sum(1) / 2


def unstable_left_out(curvature, lr, nbeta, gamma):
    spread = variance(nbeta * curvature + gamma, lr)
    return energy(nbeta * curvature, spread.where(spread.isfinite(), torch.zeros(())))


MISCONCEPTIONS = {
    "no_step": Misconception(
        no_step, "this is the exact expectation, what a chain of vanishing step finds; the step widens every direction."
    ),
    "half_the_weights": Misconception(
        lambda curvature, lr, nbeta, gamma: torch.full_like(lr, len(curvature) / 2),
        "this is d/2, the coefficient of a regular model; γ and the step both move the estimate.",
    ),
    "half_for_quarter": Misconception(
        half_for_quarter,
        "your factor is 1/(1 - εa/2); solving v = (1 - εa/2)² v + ε gives v = 1/(a (1 - εa/4)).",
    ),
    "gamma_forgotten": Misconception(
        lambda curvature, lr, nbeta, gamma: bias(curvature, lr, nbeta, 0.0),
        "the chain feels the prior as well: the curvature of U is a = nβ h + γ.",
    ),
    "nbeta_forgotten": Misconception(
        lambda curvature, lr, nbeta, gamma: bias(curvature, lr, 1.0, gamma),
        "the chain samples exp(-nβ L): every curvature of the loss counts nβ times.",
    ),
    "without_the_half": Misconception(
        lambda curvature, lr, nbeta, gamma: 2 * bias(curvature, lr, nbeta, gamma),
        "twice too large: a quadratic loss is half the curvature times the square.",
    ),
    "mean_over_weights": Misconception(
        lambda curvature, lr, nbeta, gamma: bias(curvature, lr, nbeta, gamma) / len(curvature),
        "you average over the weights; their contributions add up.",
    ),
    "energy_of_u": Misconception(
        energy_of_u, "this is the mean of U, with the prior's part in it; the estimate is of nβ times the loss alone."
    ),
    "steepest_for_all": Misconception(
        steepest_for_all,
        "you give every direction the factor of the steepest one; each has its own, 1/(1 - ε a_i/4).",
    ),
    "mean_for_all": Misconception(
        mean_for_all, "you give every direction the factor of the mean curvature; each has its own, 1/(1 - ε a_i/4)."
    ),
    "goes_on_when_unstable": Misconception(
        goes_on_when_unstable,
        "from ε a = 4 on the formula turns negative, and the chain flies away: the estimate is infinite there.",
    ),
    "absolute_when_unstable": Misconception(
        absolute_when_unstable,
        "from ε a = 4 on you take the factor's absolute value; the chain flies away, and the estimate is infinite.",
    ),
    "unstable_left_out": Misconception(
        unstable_left_out,
        "you leave out the directions that are not stable; one of them is enough to make the estimate infinite.",
    ),
    "full_drift": Misconception(
        full_drift, "your recursion shrinks by 1 - εa; it is 1 - εa/2, and v = (1 - εa/2)² v + ε."
    ),
    "factor_inverted": Misconception(
        factor_inverted, "you multiply by 1 - εa/4; the variance grows with the step, so divide by it."
    ),
    "first_order": Misconception(
        first_order, "1 + εa/4 is right for small steps only; the exact factor is 1/(1 - εa/4)."
    ),
    "sign_of_the_step": Misconception(
        lambda curvature, lr, nbeta, gamma: bias(curvature, -lr, nbeta, gamma),
        "your estimate falls with the step: the factor is 1/(1 - εa/4), with a minus.",
    ),
    "excess_only": Misconception(
        excess_only, "this is the excess over the exact expectation; asked for is the estimate itself."
    ),
    "factor_only": Misconception(
        factor_only, "this is the estimate over the exact expectation; asked for is the estimate itself."
    ),
    "flat_at_infinity": Misconception(
        flat_at_infinity, "γ is missing in the factor of the step: it is 1/(1 - ε (nβ h + γ)/4)."
    ),
}

QUESTION = Question(
    id="ch15.bias",
    points=1,
    title="What SGLD finds",
    hints=(
        "Every direction is a chain of its own, w' = (1 - εa/2) w + sqrt(ε) ξ with a = nβ h + γ. Which variance stays "
        "as it is?",
        "The stationary variance is 1/(a (1 - εa/4)) while εa < 4. A direction contributes nβ h/2 times its variance.",
        "a = nbeta * curvature + gamma; room = 1 - lr[:, None] * a / 4; (nbeta * curvature / (a * room)).sum(1) / 2, "
        "and infinity where some room is not positive.",
    ),
    reference=bias,
    cases=cases,
    axes={"curvature": "weight", "lr": "step"},
    fields=(Field("estimate", "step", atol=1e-6),),
    misconceptions=MISCONCEPTIONS,
)
