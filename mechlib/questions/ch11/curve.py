"""Question ch11.curve: the error of least squares as a function of the number of examples."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import distinct

__all__ = ["QUESTION"]

Result = Float[Tensor, " examples"]


def unknown(d: int, n: int) -> float:
    """The share of the weights that no example shows."""
    return max(0.0, 1 - n / d)


def spread(d: int, n: int) -> float:
    """The expected trace of the pseudoinverse of ``X'X``, over ``d``."""
    if n == 0:
        return 0.0
    few, many = min(n, d), max(n, d)
    return few / d / (many - few - 1) if many > few + 1 else math.inf


def curve(d: int, noise_var: float, most: int, *, bias: Step = unknown, noise: Step = spread) -> Result:
    """The expected error over that of predicting zero, with 0 to ``most`` examples; ``inf`` where it is infinite."""
    found = [bias(d, n) + noise_var * noise(d, n) for n in range(most + 1)]
    return torch.tensor(found, dtype=torch.float64)


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


def one_not_taken_off(d: int, n: int) -> float:
    few, many = min(n, d), max(n, d)
    return (few / d / (many - few) if many > few else math.inf) if n else 0.0


def spread_of_all(d: int, n: int) -> float:
    gap = abs(n - d) - 1
    return (1 / gap if gap > 0 else math.inf) if n else 0.0


on = edits_of(curve)

MISCONCEPTIONS = {
    "without_noise": on("the noise is missing: it moves the fitted weights.", noise=lambda d, n: 0.0),
    "classical_alone": on(
        "noise counts with fewer examples than dimensions too: the fit goes through every noisy y.",
        noise=lambda d, n: spread(d, n) if n >= d else 0.0,
    ),
    "one_not_taken_off": on(
        "the mean of an inverse Wishart matrix has one more less below: n - d - 1, and d - n - 1.",
        noise=one_not_taken_off,
    ),
    "many_examples": on(
        "this is the limit of many examples, in which X'X is n I; with few its inverse is larger.",
        noise=lambda d, n: 1 / n if n else 0.0,
    ),
    "finite_at_peak": on(
        "from one example on, where n and d differ by at most one, the mean is infinite: the matrix that is inverted "
        "can be as good as singular.",
        noise=lambda d, n: spread(d, n) if abs(n - d) > 1 else 1.0,
    ),
    "spread_of_all": on(
        "with n < d examples only n directions are fitted, and only these carry noise: n of d.", noise=spread_of_all
    ),
    "trace_over_examples": on(
        "with n > d examples X'X is d by d: its inverse has the mean trace d / (n - d - 1), not n.",
        noise=lambda d, n: spread(d, n) * (max(n, d) / d if n > d + 1 else 1.0),
    ),
    "no_bias": on(
        "this is the noise alone; with n < d examples, d - n directions of w stay unknown as well.",
        bias=lambda d, n: float(n == 0),
    ),
    "not_divided": Misconception(
        lambda d, noise_var, most: d * curve(d, noise_var, most), "divide by the error of predicting zero, which is d."
    ),
    "noise_not_divided": on(
        "the part of the noise is to be divided by d as well, as the other part is.",
        noise=lambda d, n: d * spread(d, n),
    ),
    "deviation": on("noise_var is a variance already; you squared it.", noise_var=lambda v: v**2),
    "variance_of_deviation": on("noise_var is the variance; you took its root.", noise_var=lambda v: v**0.5),
    "noise_of_the_query": on(
        "you count the query's own noise; the error is against w . x.", noise=lambda d, n: spread(d, n) + 1 / d
    ),
    "shrinkage_squared": on(
        "n of d directions are found whole and the others lost whole: of the squared length 1 - n/d is left on "
        "average, not its square.",
        bias=lambda d, n: unknown(d, n) ** 2,
    ),
    "starts_at_one": on("the first entry is for no example at all.", most=lambda m: m + 1, result=lambda r: r[1:]),
    "nothing_below_d": on(
        "fewer examples than dimensions teach something: n of the d directions are known.",
        bias=lambda d, n: float(n < d),
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
