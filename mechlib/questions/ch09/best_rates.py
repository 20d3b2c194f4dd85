"""Question ch09.best_rates: the best single step when the inputs have unequal variances."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, integer

__all__ = ["QUESTION"]

Moments = Float[Tensor, " coordinate"]
Result = tuple[Tensor, Tensor, Tensor]


def best_rates(var: Moments, fourth: Moments, n: int) -> Result:
    """The best rate of every coordinate, the loss with these rates, and the best rate common to all."""
    return solved_with(var, second_moment(var, fourth, n))


def second_moment(var: Moments, fourth: Moments, n: int) -> Moments:
    """The diagonal of ``E S^2``."""
    return (fourth + var * var.sum() + (n - 2) * var**2) / n


def solved_with(var: Moments, squared: Moments) -> Result:
    rates = var / squared
    return rates, 0.5 * (var * (1 - rates * var)).sum(), var.square().sum() / (var * squared).sum()


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Several kinds of inputs, one example, many, a single coordinate, inputs that are mostly zero, and small ones,
    whose rates exceed 1.
    """
    few, some, many = distinct(generator, 3, 3, 12)
    return (
        _case("normal inputs", generator, n=few, kurtosis=(3.0, 3.0)),
        _case("inputs of all kinds", generator, n=some, kurtosis=(1.0, 6.0)),
        _case("a single example", generator, n=1, kurtosis=(1.5, 4.0)),
        _case("many examples", generator, n=100 * many, kurtosis=(1.2, 9.0)),
        _case("a single coordinate", generator, n=few, kurtosis=(1.0, 6.0), d=1),
        _case("inputs that are mostly zero", generator, n=few, kurtosis=(20.0, 60.0)),
        _case("small inputs", generator, n=many, kurtosis=(1.0, 6.0), scale=0.01),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    n: int,
    kurtosis: tuple[float, float],
    d: int | None = None,
    scale: float = 1.0,
) -> Case:
    several = integer(generator, 3, 8)
    d = several if d is None else d
    var = scale * (1.2 * torch.randn(d, generator=generator, dtype=torch.float64)).exp()
    low, high = kurtosis
    return Case(
        description,
        {
            "var": var,
            "fourth": (low + (high - low) * torch.rand(d, generator=generator, dtype=torch.float64)) * var**2,
            "n": n,
        },
    )


def loss_not_halved(var, fourth, n):
    rates, loss, common = best_rates(var, fourth, n)
    return rates, 2 * loss, common


def loss_of_mean(var, fourth, n):
    rates, _, common = best_rates(var, fourth, n)
    return rates, 0.5 * (var * (1 - rates * var).square()).sum(), common


def loss_of_common_rate(var, fourth, n):
    rates, _, common = best_rates(var, fourth, n)
    return rates, 0.5 * (var.sum() - common * var.square().sum()), common


def loss_unweighted(var, fourth, n):
    rates, _, common = best_rates(var, fourth, n)
    return rates, 0.5 * (1 - rates * var).sum(), common


def average_of_rates(var, fourth, n):
    rates, loss, _ = best_rates(var, fourth, n)
    return rates, loss, rates.mean()


def common_unweighted(var, fourth, n):
    rates, loss, _ = best_rates(var, fourth, n)
    return rates, loss, var.sum() / second_moment(var, fourth, n).sum()


def common_from_averages(var, fourth, n):
    rates, loss, _ = best_rates(var, fourth, n)
    v = var.mean()
    return rates, loss, n * v / (fourth.mean() + (len(var) + n - 2) * v**2)


MISCONCEPTIONS = {
    "as_if_equal": Misconception(
        lambda var, fourth, n: solved_with(var, (fourth + (len(var) + n - 2) * var**2) / n),
        "you took all variances to be equal: |x|² has the mean sum_b v_b, not d v_a.",
    ),
    "fourth_of_normal": Misconception(
        lambda var, fourth, n: best_rates(var, 3 * var**2, n),
        "you put 3 v² for the fourth moment; that is right for normal inputs alone.",
    ),
    "own_pairs_forgotten": Misconception(
        lambda var, fourth, n: solved_with(var, (fourth + var * (var.sum() - var)) / n + var**2),
        "there is v² / n too much. Either n² pairs of different examples were counted, and there are n (n - 1); or v_a "
        "was multiplied by the sum of all variances, its own among them, which the fourth moment holds already.",
    ),
    "entries_squared": Misconception(
        lambda var, fourth, n: solved_with(var, (fourth + (n - 1) * var**2) / n),
        "you squared the entries of S; S² is a matrix product, and its diagonal sums whole rows.",
    ),
    "many_examples": Misconception(
        lambda var, fourth, n: solved_with(var, var**2),
        "this is 1 / v, the rate for very many examples; with n of them S varies about its mean.",
    ),
    "unaveraged": Misconception(
        lambda var, fourth, n: solved_with(var, n * second_moment(var, fourth, n)),
        "a step averages over the n examples; you let it add them up.",
    ),
    "loss_not_halved": Misconception(loss_not_halved, "the loss is half the squared error."),
    "loss_of_mean": Misconception(
        loss_of_mean, "your loss puts the mean of S for S; it varies from prompt to prompt, which costs as well."
    ),
    "loss_of_common_rate": Misconception(
        loss_of_common_rate, "your loss is that of the common rate; asked for is the loss with a rate for each."
    ),
    "loss_unweighted": Misconception(
        loss_unweighted, "an error of w along coordinate a costs v_a times its square; weight the sum with v_a."
    ),
    "average_of_rates": Misconception(
        average_of_rates, "the best common rate is not the mean of the rates: minimise the loss over one rate."
    ),
    "common_unweighted": Misconception(
        common_unweighted, "for the common rate every coordinate counts with its variance, for so it does in the loss."
    ),
    "common_from_averages": Misconception(
        common_from_averages, "you averaged the moments first; the loss is not a function of the averages."
    ),
}

QUESTION = Question(
    id="ch09.best_rates",
    points=2,
    title="The best rate for every direction",
    hints=(
        "From an estimate of zero and with rates p, the error after the step is (I - P S) w. Average its square.",
        "You need the diagonal of E S². Terms with i = j give the fourth moment and v_a v_b, the others v_a².",
        "squared = (fourth + var * var.sum() + (n - 2) * var**2) / n; rates = var / squared; the loss is half the "
        "sum of var (1 - rates var); the common rate minimises sum var (1 - 2 p var + p² squared).",
    ),
    reference=best_rates,
    cases=cases,
    axes={"var": "coordinate", "fourth": "coordinate"},
    fields=(
        Field("rates", "coordinate", atol=1e-9),
        Field("loss", atol=1e-9),
        Field("common", atol=1e-9),
    ),
    misconceptions=MISCONCEPTIONS,
)
