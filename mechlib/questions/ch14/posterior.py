"""Question ch14.posterior: how the posterior divides itself between solutions as samples come in."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct

__all__ = ["QUESTION"]

PerSolution = Float[Tensor, " solution"]
Multiplicities = Int[Tensor, " solution"]
Sizes = Float[Tensor, " size"]
Weights = Float[Tensor, "size solution"]


def posterior(loss: PerSolution, coefficient: PerSolution, multiplicity: Multiplicities, n: Sizes) -> Weights:
    """``exp(-F)`` of every solution over the sum of all, ``F = n L + λ log n - (m - 1) log log n``."""
    return (-free_energy(loss, coefficient, multiplicity, n)).softmax(1)


def free_energy(loss: PerSolution, coefficient: PerSolution, multiplicity: Multiplicities, n: Sizes) -> Weights:
    """The expansion without its constant."""
    n = n[:, None]
    return n * loss + coefficient * n.log() - (multiplicity - 1) * n.log().log()


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """A trade, equal losses, multiplicities alone, free energies of thousands of nats, log log n < 0, one solution."""
    equal = _case("equal losses", generator, largest=1e4)  # n L keeps its digits in single precision
    equal.inputs["loss"][:] = 0.4 + 0.1 * torch.rand(1, generator=generator, dtype=torch.float64)
    equal.inputs["loss"][0] += 1e-9
    orders = _case("coefficients that differ little, so that the multiplicity decides", generator, largest=1e6)
    orders.inputs["loss"][:] = orders.inputs["loss"].sort().values * 1e-8 + 0.2
    orders.inputs["coefficient"][:] = 1 + 0.05 * orders.inputs["coefficient"]
    return (
        _case("accuracy against simplicity", generator, largest=2000.0),
        equal,
        orders,
        _case("so many samples that exp(-F) underflows", generator, largest=3e5, offset=1.0, spread=0.4),
        _case("a single size, hardly above 2", generator, largest=2.2, sizes=1),
        _first_alone(_case("a single solution", generator, largest=500.0)),
    )


def _first_alone(case: Case) -> Case:
    inputs = {name: value if name == "n" else value[:1] for name, value in case.inputs.items()}
    return Case(case.description, inputs)


def _case(
    description: str,
    generator: torch.Generator,
    *,
    largest: float,
    offset: float = 0.05,
    spread: float | None = None,
    sizes: int | None = None,
) -> Case:
    """The better a solution's loss, the larger its coefficient.

    Unless ``spread`` is the size of their gaps, losses are such that the preferred solution changes as n grows.
    """
    solutions, drawn = distinct(generator, 2, 3, 7)
    coefficient = (0.4 + torch.rand(solutions, generator=generator, dtype=torch.float64)).cumsum(0)
    place = torch.rand(solutions - 1, generator=generator, dtype=torch.float64)
    change = largest ** (0.5 + 0.4 * place.sort().values)
    gaps = coefficient.diff() * change.log() / change if spread is None else spread * place
    loss = offset + torch.cat([gaps, torch.zeros(1, dtype=torch.float64)]).flip(0).cumsum(0).flip(0)
    multiplicity = torch.randint(1, 4, (solutions,), generator=generator)
    multiplicity[:2] = torch.tensor(distinct(generator, 2, 1, 3))
    order = torch.randperm(solutions, generator=generator)
    inputs = {
        "loss": loss[order],
        "coefficient": coefficient[order],
        "multiplicity": multiplicity[order],
        "n": largest ** torch.linspace(1.0, 0.4, sizes or drawn, dtype=torch.float64).flip(0),
    }
    return Case(description, inputs)


def underflows(loss, coefficient, multiplicity, n):
    evidence = (-free_energy(loss, coefficient, multiplicity, n)).exp()
    return evidence / evidence.sum(1, keepdim=True)


def accuracy_only(loss, coefficient, multiplicity, n):
    return (-n[:, None] * loss).softmax(1)


def complexity_only(loss, coefficient, multiplicity, n):
    return posterior(0 * loss, coefficient, multiplicity, n)


def multiplicity_forgotten(loss, coefficient, multiplicity, n):
    return posterior(loss, coefficient, torch.ones_like(multiplicity), n)


def multiplicity_added(loss, coefficient, multiplicity, n):
    return posterior(loss, coefficient, 2 - multiplicity, n)


def logarithm_once(loss, coefficient, multiplicity, n):
    return posterior(loss, coefficient - multiplicity + 1, torch.ones_like(multiplicity), n)


def half_the_coefficient(loss, coefficient, multiplicity, n):
    return posterior(loss, coefficient / 2, multiplicity, n)


def twice_the_coefficient(loss, coefficient, multiplicity, n):
    return posterior(loss, 2 * coefficient, multiplicity, n)


def coefficient_without_n(loss, coefficient, multiplicity, n):
    n = n[:, None]
    return (-n * loss - coefficient + (multiplicity - 1) * n.log().log()).softmax(1)


def coefficient_times_n(loss, coefficient, multiplicity, n):
    n = n[:, None]
    return (-n * (loss + coefficient) + (multiplicity - 1) * n.log().log()).softmax(1)


def decadic(loss, coefficient, multiplicity, n):
    n = n[:, None]
    return (-n * loss - coefficient * n.log10() + (multiplicity - 1) * n.log10().log10()).softmax(1)


def per_sample(loss, coefficient, multiplicity, n):
    return (-free_energy(loss, coefficient, multiplicity, n) / n[:, None]).softmax(1)


def loss_not_times_n(loss, coefficient, multiplicity, n):
    n = n[:, None]
    return (-loss - coefficient * n.log() + (multiplicity - 1) * n.log().log()).softmax(1)


def larger_is_better(loss, coefficient, multiplicity, n):
    return free_energy(loss, coefficient, multiplicity, n).softmax(1)


def over_sizes(loss, coefficient, multiplicity, n):
    return (-free_energy(loss, coefficient, multiplicity, n)).softmax(0)


def transposed(loss, coefficient, multiplicity, n):
    return posterior(loss, coefficient, multiplicity, n).T


def winner_takes_all(loss, coefficient, multiplicity, n):
    best = free_energy(loss, coefficient, multiplicity, n).argmin(1)
    return torch.nn.functional.one_hot(best, len(loss)).double()


def inverse_free_energy(loss, coefficient, multiplicity, n):
    inverse = 1 / free_energy(loss, coefficient, multiplicity, n)
    return inverse / inverse.sum(1, keepdim=True)


def free_energies(loss, coefficient, multiplicity, n):
    return free_energy(loss, coefficient, multiplicity, n)


def log_weights(loss, coefficient, multiplicity, n):
    return (-free_energy(loss, coefficient, multiplicity, n)).log_softmax(1)


MISCONCEPTIONS = {
    "underflows": Misconception(
        underflows,
        "right for few samples and NaN for many: exp(-F) rounds to zero. Take the smallest F off first, or use "
        "softmax.",
    ),
    "accuracy_only": Misconception(
        accuracy_only, "only the losses count in yours; the complexity λ log n - (m - 1) log log n is missing."
    ),
    "complexity_only": Misconception(complexity_only, "only the complexities count in yours; n L is missing."),
    "multiplicity_forgotten": Misconception(
        multiplicity_forgotten, "the multiplicity is not used: (m - 1) log log n comes off the free energy."
    ),
    "multiplicity_added": Misconception(
        multiplicity_added, "you add (m - 1) log log n; a higher multiplicity means more volume, so it comes off."
    ),
    "logarithm_once": Misconception(
        logarithm_once, "you take (m - 1) log n off; the multiplicity's term holds the logarithm of the logarithm."
    ),
    "half_the_coefficient": Misconception(
        half_the_coefficient,
        "you count half of λ, as one does with a number of weights; λ is d/2 of a regular solution already.",
    ),
    "twice_the_coefficient": Misconception(twice_the_coefficient, "you count λ twice; F holds λ log n."),
    "coefficient_without_n": Misconception(coefficient_without_n, "λ is not multiplied by log n in yours."),
    "coefficient_times_n": Misconception(
        coefficient_times_n, "you multiply λ by n; it comes with log n, and that is why accuracy wins in the end."
    ),
    "decadic": Misconception(decadic, "these are logarithms to base ten; the free energy is in nats."),
    "per_sample": Misconception(per_sample, "you divide the free energy by n; the posterior weighs all samples."),
    "loss_not_times_n": Misconception(
        loss_not_times_n, "the loss is per sample: it counts n times in the free energy, once in yours."
    ),
    "larger_is_better": Misconception(
        larger_is_better, "the sign is turned: the posterior prefers the smaller free energy."
    ),
    "over_sizes": Misconception(
        over_sizes, "you normalise over the sample sizes; at every n the weights of the solutions add up to 1."
    ),
    "transposed": Misconception(transposed, "the axes are exchanged: sample sizes come first, then solutions."),
    "winner_takes_all": Misconception(
        winner_takes_all,
        "you give everything to the best solution; the odds of two are exp of the gap between their F.",
    ),
    "inverse_free_energy": Misconception(
        inverse_free_energy, "you weigh by 1/F; the evidence is exp(-F), so a gap of a few nats already decides."
    ),
    "free_energies": Misconception(free_energies, "these are the free energies; asked for are the posterior weights."),
    "log_weights": Misconception(log_weights, "these are the logarithms of the weights; asked for are the weights."),
}

QUESTION = Question(
    id="ch14.posterior",
    points=2,
    title="Which solution is preferred?",
    hints=(
        "The posterior weight of a solution is its evidence over the sum of all. What is the evidence, given F?",
        "Compute F for every size and solution, then exp(-F) normalised over the solutions. For large n only "
        "differences of F may be exponentiated.",
        "n = n[:, None]; F = n * loss + coefficient * n.log() - (multiplicity - 1) * n.log().log(); (-F).softmax(1).",
    ),
    reference=posterior,
    cases=cases,
    axes={"loss": "solution", "coefficient": "solution", "multiplicity": "solution", "n": "size"},
    fields=(Field("weight", "size solution", atol=1e-4),),
    misconceptions=MISCONCEPTIONS,
)
