"""Question ch14.free_energy: exact free energies from losses at the nodes of a quadrature."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, integer

__all__ = ["QUESTION"]

Losses = Float[Tensor, "region node"]
Weights = Float[Tensor, " node"]
Sizes = Float[Tensor, " size"]
Energies = Float[Tensor, "region size"]
Exponents = Float[Tensor, "region size node"]


def added_up(exponent: Exponents) -> Energies:
    """The logarithm of the sum of the exponentials, without underflow."""
    return exponent.logsumexp(-1)


def free_energy(loss: Losses, weight: Weights, n: Sizes, *, log=torch.log, log_sum=added_up) -> Energies:
    """``-log sum_i weight_i exp(-n loss_i)``."""
    return -log_sum(log(weight) - n[:, None] * loss[:, None])


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Ordinary losses, one region, losses below zero, many nodes, weights that are tiny or large, and free energies of
    thousands of nats, of one node and of many.
    """
    level = _case("losses that hardly differ, and an evidence that underflows", generator, largest=1500.0)
    level.inputs["loss"].mul_(5e-4).add_(2.0)
    return (
        _case("ordinary losses", generator, largest=50.0),
        _case("a single region", generator, largest=50.0, regions=1, total=1e-14),
        _case("many nodes", generator, largest=50.0, nodes=integer(generator, 60, 90)),
        _case("losses below zero", generator, largest=20.0, offset=-1.5, total=40.0),
        _case("so many samples that the evidence underflows", generator, largest=2e5, offset=0.7),
        level,
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    largest: float,
    regions: int | None = None,
    offset: float = 0.3,
    nodes: int | None = None,
    total: float = 0.8,
) -> Case:
    several, sizes = distinct(generator, 2, 2, 5)
    some = integer(generator, 8, 13)
    nodes = some if nodes is None else nodes
    regions = several if regions is None else regions
    loss = offset + torch.rand(regions, nodes, generator=generator, dtype=torch.float64)
    weight = 0.05 + torch.rand(nodes, generator=generator, dtype=torch.float64)
    n = largest ** torch.linspace(0.3, 1.0, sizes, dtype=torch.float64)
    return Case(description, {"loss": loss, "weight": weight / weight.sum() * total, "n": n})


def posterior_energy(loss, weight, n):
    shares = (weight.log() - n[:, None] * loss[:, None]).softmax(-1)
    return n * (shares * loss[:, None]).sum(-1)


def best_loss(loss, weight, n):
    return n * loss.amin(1, keepdim=True)


on = edits_of(free_energy)
MISCONCEPTIONS = {
    "underflows": on(
        "right for few samples and infinite for many: exp(-n loss) rounds to zero. Stay with logarithms and use "
        "logsumexp, or take the smallest loss out first.",
        log_sum=lambda exponent: exponent.exp().sum(-1).log(),
    ),
    "log_evidence": on("the sign is turned: this is log Z; the free energy is minus that.", result=torch.neg),
    "weights_forgotten": on(
        "every node counts as 1; each counts with its weight, so add log weight inside the logsumexp.",
        log=torch.zeros_like,
    ),
    "weights_not_logged": on(
        "inside the logsumexp stands weight itself; it has to be its logarithm.", log=lambda weight: weight
    ),
    "evenly_weighted": on(
        "you take the plain mean over the nodes; the nodes of a quadrature have different weights.",
        weight=lambda weight: torch.full_like(weight, 1 / len(weight)),
    ),
    "weights_normalised": on(
        "you made the weights sum to one. They hold the prior's mass in the region, which need not be 1, and what is "
        "missing is part of the free energy.",
        weight=lambda weight: weight / weight.sum(),
    ),
    "best_node": on(
        "you take the largest term for the whole sum; add up all nodes.", log_sum=lambda exponent: exponent.amax(-1)
    ),
    "n_forgotten": on("n is not used: the loss is per sample and counts n times.", n=torch.ones_like),
    "tempered": on(
        "you use n / log n, the inverse temperature of an estimator; the evidence of n samples has n itself.",
        n=lambda n: n / n.log(),
    ),
    "sign_of_loss": on("the sign of the loss is turned: weights with a small loss must count most.", loss=torch.neg),
    "base_two": on(
        "this is in bits; asked for are nats, the natural logarithm.", result=lambda total: total / math.log(2)
    ),
    "over_regions": on(
        "you compare the regions with each other; asked for is the free energy of each by itself.",
        result=lambda total: total + (-total).logsumexp(0),
    ),
    "of_the_whole": on(
        "you add up the regions' evidence; one free energy per region is asked for.",
        result=lambda total: -(-total).logsumexp(0),
    ),
    "axes_swapped": on("the axes are exchanged: regions come first, then sample sizes.", result=torch.t),
    "mean_energy": Misconception(
        lambda loss, weight, n: n * (loss @ weight)[:, None],
        "this is n times the mean loss under the prior. The mean is taken of exp(-n loss), and minus its logarithm "
        "is smaller.",
    ),
    "posterior_energy": Misconception(
        posterior_energy,
        "this is n times the mean loss under the posterior: the energy. The free energy also pays for leaving "
        "the prior.",
    ),
    "best_loss": Misconception(
        best_loss, "n times the smallest loss is the accuracy alone; what is left of the sum is the complexity."
    ),
    "complexity_only": Misconception(
        lambda loss, weight, n: free_energy(loss, weight, n) - best_loss(loss, weight, n),
        "you took n times the smallest loss off; asked for is the whole free energy.",
    ),
    "per_sample": Misconception(
        lambda loss, weight, n: free_energy(loss, weight, n) / n,
        "you divide by n; the free energy is of all n samples together.",
    ),
    "n_outside": Misconception(
        lambda loss, weight, n: n * free_energy(loss, weight, torch.ones_like(n)),
        "n multiplies the loss inside the exponential; outside of the logarithm it does not do the same.",
    ),
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
