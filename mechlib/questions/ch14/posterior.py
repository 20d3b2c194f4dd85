"""Question ch14.posterior: how the posterior divides itself between solutions as samples come in."""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Question
from mechlib.questions.drawing import distinct

__all__ = ["QUESTION"]

PerSolution = Float[Tensor, " solution"]
Multiplicities = Int[Tensor, " solution"]
Sizes = Float[Tensor, " size"]
Weights = Float[Tensor, "size solution"]


def free_energy(
    loss: PerSolution,
    coefficient: PerSolution,
    multiplicity: Multiplicities,
    n: Sizes,
    *,
    times=torch.mul,
    growth=torch.log,
    log=torch.log,
) -> Weights:
    """The expansion without its constant, ``n L + λ log n - (m - 1) log log n``."""
    n = n[:, None]
    return times(n, loss) + coefficient * growth(n) - (multiplicity - 1) * log(log(n))


def shares(free: Weights) -> Weights:
    """``exp(-F)`` of every solution over the sum of all."""
    return (-free).softmax(1)


def posterior(
    loss: PerSolution,
    coefficient: PerSolution,
    multiplicity: Multiplicities,
    n: Sizes,
    *,
    energy=free_energy,
    weigh=shares,
) -> Weights:
    """The posterior weights of the solutions, by the expansion of their free energies."""
    return weigh(energy(loss, coefficient, multiplicity, n))


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """A trade, equal losses, multiplicities alone, free energies of thousands of nats,
    log log n < 0, one solution.
    """
    equal = _case("equal losses", generator, largest=1e4)  # n L keeps its digits in single precision
    equal.inputs["loss"][:] = 0.4 + 0.1 * torch.rand(1, generator=generator, dtype=torch.float64)
    equal.inputs["loss"][0] += 1e-9
    orders = _case("coefficients that differ little, so that the multiplicity decides", generator, largest=1e6)
    orders.inputs["loss"][:] = orders.inputs["loss"].sort().values * 1e-8 + 0.2
    orders.inputs["coefficient"][:] = 1 + 0.05 * orders.inputs["coefficient"]
    many = _case("so many samples that exp(-F) underflows", generator, largest=3e5, offset=1.0, spread=0.4)
    order = many.inputs["loss"].argsort(descending=True).roll(-1)  # the best is neither the first nor the last
    ordered = {name: value if name == "n" else value[order] for name, value in many.inputs.items()}
    return (
        _case("accuracy against simplicity", generator, largest=2000.0),
        equal,
        orders,
        Case(many.description, ordered),
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
    multiplicity = torch.randint(1, 6, (solutions,), generator=generator)
    multiplicity[:2] = torch.tensor(distinct(generator, 2, 1, 5))
    order = torch.randperm(solutions, generator=generator)
    inputs = {
        "loss": loss[order],
        "coefficient": coefficient[order],
        "multiplicity": multiplicity[order],
        "n": largest ** torch.linspace(1.0, 0.4, sizes or drawn, dtype=torch.float64).flip(0),
    }
    return Case(description, inputs)


def normalised(weight):
    return weight / weight.sum(1, keepdim=True)


def one_for_the_best(free):
    return torch.nn.functional.one_hot(free.argmin(1), free.shape[1]).double()


def per_sample(loss, coefficient, multiplicity, n):
    return free_energy(loss, coefficient, multiplicity, n) / n[:, None]


on = edits_of(posterior)
MISCONCEPTIONS = {
    "underflows": on(
        "right for few samples and NaN for many: exp(-F) rounds to zero. Take the smallest F off first, or use "
        "softmax.",
        weigh=lambda free: normalised((-free).exp()),
    ),
    "accuracy_only": on(
        "only the losses count in yours; the complexity λ log n - (m - 1) log log n is missing.",
        coefficient=torch.zeros_like,
        multiplicity=torch.ones_like,
    ),
    "complexity_only": on("only the complexities count in yours; n L is missing.", loss=torch.zeros_like),
    "multiplicity_forgotten": on(
        "the multiplicity is not used: (m - 1) log log n comes off the free energy.", multiplicity=torch.ones_like
    ),
    "multiplicity_added": on(
        "you add (m - 1) log log n; a higher multiplicity means more volume, so it comes off.",
        multiplicity=lambda multiplicity: 2 - multiplicity,
    ),
    "logarithm_once": on(
        "you take (m - 1) log n off; the multiplicity's term holds the logarithm of the logarithm.",
        energy=lambda loss, coefficient, multiplicity, n: free_energy(
            loss, coefficient - multiplicity + 1, torch.ones_like(multiplicity), n
        ),
    ),
    "half_the_coefficient": on(
        "you count half of λ, as one does with a number of weights; λ is d/2 of a regular solution already.",
        coefficient=lambda coefficient: coefficient / 2,
    ),
    "twice_the_coefficient": on("you count λ twice; F holds λ log n.", coefficient=lambda coefficient: 2 * coefficient),
    "coefficient_without_n": on(
        "λ is not multiplied by log n in yours.", energy=partial(free_energy, growth=torch.ones_like)
    ),
    "coefficient_times_n": on(
        "you multiply λ by n; it comes with log n, and that is why accuracy wins in the end.",
        energy=partial(free_energy, growth=torch.clone),
    ),
    "decadic": on(
        "these are logarithms to base ten; the free energy is in nats.",
        energy=partial(free_energy, growth=torch.log10, log=torch.log10),
    ),
    "per_sample": on("you divide the free energy by n; the posterior weighs all samples.", energy=per_sample),
    "loss_not_times_n": on(
        "the loss is per sample: it counts n times in the free energy, once in yours.",
        energy=partial(free_energy, times=lambda n, loss: loss),
    ),
    "larger_is_better": on(
        "the sign is turned: the posterior prefers the smaller free energy.", weigh=lambda free: free.softmax(1)
    ),
    "over_sizes": on(
        "you normalise over the sample sizes; at every n the weights of the solutions add up to 1.",
        weigh=lambda free: (-free).softmax(0),
    ),
    "transposed": on("the axes are exchanged: sample sizes come first, then solutions.", result=torch.t),
    "winner_takes_all": on(
        "you give everything to the best solution; the odds of two are exp of the gap between their F.",
        weigh=one_for_the_best,
    ),
    "inverse_free_energy": on(
        "you weigh by 1/F; the evidence is exp(-F), so a gap of a few nats already decides.",
        weigh=lambda free: normalised(1 / free),
    ),
    "free_energies": on("these are the free energies; asked for are the posterior weights.", weigh=lambda free: free),
    "log_weights": on(
        "these are the logarithms of the weights; asked for are the weights.",
        weigh=lambda free: (-free).log_softmax(1),
    ),
}

QUESTION = Question(
    id="ch14.posterior",
    points=1,
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
