"""Question ch08.weigh: the free energy of the neighbourhood of a minimum under a prior around 0."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Question, Step
from mechlib.questions.drawing import integer, near, normal

__all__ = ["QUESTION"]

PerDirection = Float[Tensor, " direction"]


def logarithm(ratio: PerDirection) -> PerDirection:
    return torch.log1p(ratio) / 2


def pull(along: PerDirection, nbeta: float, curvature: PerDirection, gamma: float) -> PerDirection:
    held = nbeta * curvature
    return along**2 * gamma * held / (gamma + held) / 2


def weigh(
    curvature: PerDirection,
    along: PerDirection,
    nbeta: float,
    gamma: float,
    *,
    volume: Step = logarithm,
    place: Step = pull,
) -> tuple[Tensor, Tensor]:
    """Both parts of -log of the integral of exp(-nbeta L) over a normal prior, with L quadratic around w*."""
    return volume(nbeta * curvature / gamma).sum(), place(along, nbeta, curvature, gamma).sum()


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Stiff and flat directions, weights of both signs, a single direction, priors that hold more than the loss, and
    fewer than one sample.

    In double precision: an answer that completes the square subtracts numbers that nearly cancel.
    """
    return (
        _case("stiff and flat directions", generator, nbeta=300.0, gamma=4.0, spread=5.0),
        _case("directions that are flat but for one", generator, nbeta=1e7, gamma=1.5, flat=True),
        _case("a prior as strong as the loss", generator, nbeta=6.0, gamma=5.0),
        _case("a narrow prior", generator, nbeta=2.0, gamma=40.0),
        _case("a broad prior", generator, nbeta=1e4, gamma=0.05, spread=3.0),
        _case("one direction", generator, nbeta=20.0, gamma=3.0, directions=1),
        _case("an inverse temperature below 1", generator, nbeta=0.2, gamma=0.3),
        _case("directions a million times as stiff", generator, nbeta=50.0, gamma=8.0, stiffness=2e6),
        _case("weights far from the centre", generator, nbeta=50.0, gamma=0.7, scale=9.0),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    nbeta: float,
    gamma: float,
    spread: float = 1.0,
    flat: bool = False,
    directions: int | None = None,
    scale: float = 1.3,
    stiffness: float = 2.0,
) -> Case:
    n = directions or integer(generator, 5, 9)
    curvature = 10 ** (-spread * torch.rand(n, generator=generator).double()) * near(generator, stiffness)
    if flat:
        curvature[1:] = 0
    given = {"curvature": curvature, "along": normal(generator, n, scale=scale).double()}
    return Case(description, given | {"nbeta": near(generator, nbeta), "gamma": near(generator, gamma)})


on = edits_of(weigh)
MISCONCEPTIONS = {
    "all_of_it": on(
        "your place is gamma / 2 times the squared length of w*: along a flat direction the weights can move to the "
        "prior's centre for nothing.",
        place=lambda along, nbeta, curvature, gamma: gamma * along**2 / 2,
    ),
    "loss_of_going": on(
        "your place is the loss at the prior's centre; where the loss is stiff the weights stay, and the prior is what "
        "costs.",
        place=lambda along, nbeta, curvature, gamma: nbeta * curvature * along**2 / 2,
    ),
    "no_one": on(
        "your volume is log(nbeta h / gamma) / 2, the limit for stiff directions; a flat one costs nothing and must "
        "give 0.",
        volume=lambda ratio: ratio.clamp(min=1e-30).log() / 2,
    ),
    "no_half": on(
        "your volume is twice as large: an integral over one direction goes with the root.", volume=torch.log1p
    ),
    "expectation": on(
        "your volume is what a chain reads, nbeta h / (2 (nbeta h + gamma)); the free energy adds that up over all "
        "temperatures, which gives a logarithm.",
        volume=lambda ratio: ratio / (1 + ratio) / 2,
    ),
    "length": on(
        "your place grows with the size of w*, not with its square.",
        place=lambda along, nbeta, curvature, gamma: pull(along, nbeta, curvature, gamma) / along.abs(),
    ),
    "added": on(
        "your stiffness is the sum of both; two springs in a row give way like the softer one: a b / (a + b).",
        place=lambda along, nbeta, curvature, gamma: along**2 * (gamma + nbeta * curvature) / 2,
    ),
    "no_half_place": on(
        "your place is twice as large: a spring of stiffness k that is stretched by c costs k c² / 2.",
        place=lambda along, nbeta, curvature, gamma: 2 * pull(along, nbeta, curvature, gamma),
    ),
}

QUESTION = Question(
    id="ch08.weigh",
    points=2,
    title="What the posterior weighs",
    hints=(
        "Directions separate: find the integral of one direction, and add up what they give.",
        "In one direction, complete the square of nbeta h (w - c)² / 2 + gamma w² / 2. What is left over does not "
        "depend on w; the rest is a Gaussian, to be compared with the prior's own.",
        "volume = 0.5 * log(1 + nbeta * h / gamma), place = 0.5 * c**2 * gamma * nbeta * h / (gamma + nbeta * h), "
        "each summed over the directions.",
    ),
    reference=weigh,
    cases=cases,
    axes={"curvature": "direction", "along": "direction"},
    fields=(Field("volume", atol=1e-5, rtol=1e-4), Field("place", atol=1e-5, rtol=1e-4)),
    misconceptions=MISCONCEPTIONS,
)
