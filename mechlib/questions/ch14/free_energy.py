"""Question ch14.free_energy: exact free energies from losses at the nodes of a quadrature."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, integer

__all__ = ["QUESTION"]

Losses = Float[Tensor, "region node"]
Weights = Float[Tensor, " node"]
Sizes = Float[Tensor, " size"]
Energies = Float[Tensor, "region size"]


def free_energy(loss: Losses, weight: Weights, n: Sizes) -> Energies:
    """``-log sum_i weight_i exp(-n loss_i)``, without underflow."""
    return -exponents(loss, weight, n).logsumexp(-1)


def exponents(loss: Losses, weight: Weights, n: Sizes) -> Float[Tensor, "region size node"]:
    """``log weight_i - n loss_i``."""
    return weight.log() - n[:, None] * loss[:, None]


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Ordinary losses, one region, losses below zero, and free energies of thousands of nats."""
    return (
        _case("ordinary losses", generator, largest=50.0),
        _case("a single region", generator, largest=50.0, regions=1),
        _case("losses below zero", generator, largest=20.0, offset=-1.5),
        _case("so many samples that the evidence underflows", generator, largest=2e5, offset=0.7),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    largest: float,
    regions: int | None = None,
    offset: float = 0.3,
) -> Case:
    several, sizes = distinct(generator, 2, 2, 5)
    nodes = integer(generator, 8, 13)
    regions = several if regions is None else regions
    loss = offset + torch.rand(regions, nodes, generator=generator, dtype=torch.float64)
    weight = 0.05 + torch.rand(nodes, generator=generator, dtype=torch.float64)
    n = largest ** torch.linspace(0.3, 1.0, sizes, dtype=torch.float64)
    return Case(description, {"loss": loss, "weight": weight / weight.sum() * 0.8, "n": n})


def underflows(loss, weight, n):
    return -(weight * (-n[:, None] * loss[:, None]).exp()).sum(-1).log()


def log_evidence(loss, weight, n):
    return -free_energy(loss, weight, n)


def weights_forgotten(loss, weight, n):
    return -(-n[:, None] * loss[:, None]).logsumexp(-1)


def weights_not_logged(loss, weight, n):
    return -(weight - n[:, None] * loss[:, None]).logsumexp(-1)


def evenly_weighted(loss, weight, n):
    return weights_forgotten(loss, weight, n) + math.log(len(weight))


def weights_normalised(loss, weight, n):
    return free_energy(loss, weight / weight.sum(), n)


def mean_energy(loss, weight, n):
    return n * (loss @ weight)[:, None]


def posterior_energy(loss, weight, n):
    posterior = exponents(loss, weight, n).softmax(-1)
    return n * (posterior * loss[:, None]).sum(-1)


def best_node(loss, weight, n):
    return -exponents(loss, weight, n).amax(-1)


def best_loss(loss, weight, n):
    return n * loss.amin(1, keepdim=True)


def complexity_only(loss, weight, n):
    return free_energy(loss, weight, n) - best_loss(loss, weight, n)


def per_sample(loss, weight, n):
    return free_energy(loss, weight, n) / n


def n_forgotten(loss, weight, n):
    return free_energy(loss, weight, torch.ones_like(n))


def n_outside(loss, weight, n):
    return n * free_energy(loss, weight, torch.ones_like(n))


def tempered(loss, weight, n):
    return free_energy(loss, weight, n / n.log())


def sign_of_loss(loss, weight, n):
    return free_energy(-loss, weight, n)


def base_two(loss, weight, n):
    return free_energy(loss, weight, n) / math.log(2)


def over_regions(loss, weight, n):
    total = free_energy(loss, weight, n)
    return total - (-total).logsumexp(0).neg()


def of_the_whole(loss, weight, n):
    return -(-free_energy(loss, weight, n)).logsumexp(0)


def axes_swapped(loss, weight, n):
    return free_energy(loss, weight, n).T


MISCONCEPTIONS = {
    "underflows": Misconception(
        underflows,
        "right for few samples and infinite for many: exp(-n loss) rounds to zero. Stay with logarithms and use "
        "logsumexp, or take "
        "the smallest loss out first.",
    ),
    "log_evidence": Misconception(log_evidence, "the sign is turned: this is log Z; the free energy is minus that."),
    "weights_forgotten": Misconception(
        weights_forgotten,
        "every node counts as 1; each counts with its weight, so add log weight inside the logsumexp.",
    ),
    "weights_not_logged": Misconception(
        weights_not_logged, "inside the logsumexp stands weight itself; it has to be its logarithm."
    ),
    "evenly_weighted": Misconception(
        evenly_weighted, "you take the plain mean over the nodes; the nodes of a quadrature have different weights."
    ),
    "weights_normalised": Misconception(
        weights_normalised,
        "you made the weights sum to one. They hold the prior's mass in the region, which need not be 1, and what is "
        "missing is "
        "part of the free energy.",
    ),
    "mean_energy": Misconception(
        mean_energy,
        "this is n times the mean loss under the prior. The mean is taken of exp(-n loss), and minus its logarithm "
        "is smaller.",
    ),
    "posterior_energy": Misconception(
        posterior_energy,
        "this is n times the mean loss under the posterior: the energy. The free energy also pays for leaving the "
        "prior.",
    ),
    "best_node": Misconception(best_node, "you take the largest term for the whole sum; add up all nodes."),
    "best_loss": Misconception(
        best_loss, "n times the smallest loss is the accuracy alone; what is left of the sum is the complexity."
    ),
    "complexity_only": Misconception(
        complexity_only, "you took n times the smallest loss off; asked for is the whole free energy."
    ),
    "per_sample": Misconception(per_sample, "you divide by n; the free energy is of all n samples together."),
    "n_forgotten": Misconception(n_forgotten, "n is not used: the loss is per sample and counts n times."),
    "n_outside": Misconception(
        n_outside, "n multiplies the loss inside the exponential; outside of the logarithm it does not do the same."
    ),
    "tempered": Misconception(
        tempered, "you use n / log n, the inverse temperature of an estimator; the evidence of n samples has n itself."
    ),
    "sign_of_loss": Misconception(
        sign_of_loss, "the sign of the loss is turned: weights with a small loss must count most."
    ),
    "base_two": Misconception(base_two, "this is in bits; asked for are nats, the natural logarithm."),
    "over_regions": Misconception(
        over_regions, "you compare the regions with each other; asked for is the free energy of each by itself."
    ),
    "of_the_whole": Misconception(
        of_the_whole, "you add up the regions' evidence; one free energy per region is asked for."
    ),
    "axes_swapped": Misconception(axes_swapped, "the axes are exchanged: regions come first, then sample sizes."),
}

QUESTION = Question(
    id="ch14.free_energy",
    points=1,
    title="Free energy without underflow",
    hints=(
        "At n = 100 000 and a loss of 0.7, what is exp(-n loss) in floating point?",
        "log(weight * exp(-n loss)) = log weight - n loss is harmless; logsumexp over the nodes adds up without "
        "leaving the "
        "logarithms.",
        "-(weight.log() - n[:, None] * loss[:, None]).logsumexp(-1): the axes are region, size, node.",
    ),
    reference=free_energy,
    cases=cases,
    axes={"loss": "region node", "weight": "node", "n": "size"},
    fields=(Field("free_energy", "region size"),),
    misconceptions=MISCONCEPTIONS,
)
