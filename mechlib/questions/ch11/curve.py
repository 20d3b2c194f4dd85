"""Question ch11.curve: the error of least squares as a function of the number of examples."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct

__all__ = ["QUESTION"]

Result = Float[Tensor, " examples"]


def curve(d: int, noise_var: float, most: int) -> Result:
    """The expected error over that of predicting zero, with 0 to ``most`` examples; ``inf`` where it is infinite."""
    return _curve(d, most, lambda n: noise_var * _spread(d, n))


def _curve(d: int, most: int, noise, bias=lambda d, n: max(0.0, 1 - n / d)) -> Result:
    return torch.tensor([bias(d, n) + noise(n) for n in range(most + 1)], dtype=torch.float64)


def _spread(d: int, n: int) -> float:
    """The expected trace of the pseudoinverse of ``X'X``, over ``d``."""
    if n == 0:
        return 0.0
    few, many = min(n, d), max(n, d)
    return few / d / (many - few - 1) if many > few + 1 else math.inf


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Much and little noise, one dimension, curves that end before the peak, and no example at all."""
    low, middle, high = distinct(generator, 3, 3, 11)
    noise = (0.1 + 2 * torch.rand(5, generator=generator, dtype=torch.float64)).tolist()
    return (
        Case("more examples than dimensions", {"d": low, "noise_var": noise[0], "most": 3 * low}),
        Case("a single dimension", {"d": 1, "noise_var": noise[1], "most": middle + 3}),
        Case("fewer examples than dimensions", {"d": 12 + high, "noise_var": noise[2], "most": high}),
        Case("hardly any noise", {"d": middle, "noise_var": noise[3] / 1000, "most": 2 * middle + 5}),
        Case("no example at all", {"d": high, "noise_var": noise[4], "most": 0}),
    )


def without_noise(d, noise_var, most):
    return _curve(d, most, lambda n: 0.0)


def classical_alone(d, noise_var, most):
    return _curve(d, most, lambda n: noise_var * _spread(d, n) if n >= d else 0.0)


def one_not_taken_off(d, noise_var, most):
    def noise(n):
        few, many = min(n, d), max(n, d)
        return noise_var * (few / d / (many - few) if many > few else math.inf) if n else 0.0

    return _curve(d, most, noise)


def many_examples(d, noise_var, most):
    return _curve(d, most, lambda n: noise_var / n if n else 0.0)


def finite_at_peak(d, noise_var, most):
    return _curve(d, most, lambda n: noise_var * _spread(d, n) if abs(n - d) > 1 else noise_var)


def spread_of_all(d, noise_var, most):
    def noise(n):
        few, many = min(n, d), max(n, d)
        return noise_var / (many - few - 1) if many > few + 1 and n else (math.inf if n else 0.0)

    return _curve(d, most, noise)


def trace_over_examples(d, noise_var, most):
    return _curve(d, most, lambda n: noise_var * _spread(d, n) * (max(n, d) / d if n > d + 1 else 1.0))


def no_bias(d, noise_var, most):
    return _curve(d, most, lambda n: noise_var * _spread(d, n), lambda d, n: float(n == 0))


def not_divided(d, noise_var, most):
    return d * curve(d, noise_var, most)


def noise_not_divided(d, noise_var, most):
    return _curve(d, most, lambda n: d * noise_var * _spread(d, n))


def deviation(d, noise_var, most):
    return curve(d, noise_var**2, most)


def variance_of_deviation(d, noise_var, most):
    return curve(d, noise_var**0.5, most)


def noise_of_the_query(d, noise_var, most):
    return curve(d, noise_var, most) + noise_var / d


def shrinkage_squared(d, noise_var, most):
    return _curve(d, most, lambda n: noise_var * _spread(d, n), lambda d, n: max(0.0, 1 - n / d) ** 2)


def starts_at_one(d, noise_var, most):
    return curve(d, noise_var, most + 1)[1:]


def nothing_below_d(d, noise_var, most):
    return _curve(d, most, lambda n: noise_var * _spread(d, n), lambda d, n: float(n < d))


MISCONCEPTIONS = {
    "without_noise": Misconception(without_noise, "the noise is missing: it moves the fitted weights."),
    "classical_alone": Misconception(
        classical_alone, "noise counts with fewer examples than dimensions too: the fit goes through every noisy y."
    ),
    "one_not_taken_off": Misconception(
        one_not_taken_off, "the mean of an inverse Wishart matrix has one more less below: n - d - 1, and d - n - 1."
    ),
    "many_examples": Misconception(
        many_examples, "this is the limit of many examples, in which X'X is n I; with few its inverse is larger."
    ),
    "finite_at_peak": Misconception(
        finite_at_peak,
        "from one example on, where n and d differ by at most one, the mean is infinite: the matrix that is inverted "
        "can be as good as singular.",
    ),
    "spread_of_all": Misconception(
        spread_of_all, "with n < d examples only n directions are fitted, and only these carry noise: n of d."
    ),
    "trace_over_examples": Misconception(
        trace_over_examples, "with n > d examples X'X is d by d: its inverse has the mean trace d / (n - d - 1), not n."
    ),
    "no_bias": Misconception(
        no_bias, "this is the noise alone; with n < d examples, d - n directions of w stay unknown as well."
    ),
    "not_divided": Misconception(not_divided, "divide by the error of predicting zero, which is d."),
    "noise_not_divided": Misconception(
        noise_not_divided, "the part of the noise is to be divided by d as well, as the other part is."
    ),
    "deviation": Misconception(deviation, "noise_var is a variance already; you squared it."),
    "variance_of_deviation": Misconception(variance_of_deviation, "noise_var is the variance; you took its root."),
    "noise_of_the_query": Misconception(
        noise_of_the_query, "you count the query's own noise; the error is against w . x."
    ),
    "shrinkage_squared": Misconception(
        shrinkage_squared,
        "n of d directions are found whole and the others lost whole: of the squared length 1 - n/d is left on "
        "average, not its square.",
    ),
    "starts_at_one": Misconception(starts_at_one, "the first entry is for no example at all."),
    "nothing_below_d": Misconception(
        nothing_below_d, "fewer examples than dimensions teach something: n of the d directions are known."
    ),
}

QUESTION = Question(
    id="ch11.curve",
    points=2,
    title="How least squares learns",
    hints=(
        "Split the error of the weights: directions that no example shows, and noise in those that are shown.",
        "n < d examples leave d - n directions. The noise costs noise_var times the mean trace of the inverse of "
        "X X' (n < d) or of X' X (n > d), which are Wishart matrices.",
        "n examples, n <= d - 2: ((d - n) + noise_var * n / (d - n - 1)) / d; n >= d + 2: noise_var / (n - d - 1); "
        "between: inf; no example: 1.",
    ),
    reference=curve,
    cases=cases,
    axes={},
    fields=(Field("error", "examples", atol=1e-9),),
    misconceptions=MISCONCEPTIONS,
)
