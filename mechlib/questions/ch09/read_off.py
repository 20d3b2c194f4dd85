"""Question ch09.read_off: the gradient step nearest to a layer's weights, and what it leaves unexplained."""

from __future__ import annotations

import torch
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, integer, normal

__all__ = ["QUESTION"]


def read_off(W_Q: Tensor, W_K: Tensor, W_V: Tensor, W_O: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The rate of the step nearest to the layer's function, and the share of the function that is not it."""
    T = symmetric(function(W_Q, W_K, W_V, W_O))
    return nearest(T, n)


def function(W_Q: Tensor, W_K: Tensor, W_V: Tensor, W_O: Tensor) -> Tensor:
    """``T [x, token, token]``: minus the prediction is its form in the query and twice in every example."""
    M, u = (W_Q @ W_K.T)[:-1], (W_V @ W_O)[:, -1]
    return M[:, :, None] * u


def symmetric(T: Tensor) -> Tensor:
    return (T + T.mT) / 2


def one_step(d: int, n: int) -> Tensor:
    """The function of a step of rate 1."""
    T = torch.zeros(d, d + 1, d + 1)
    T[range(d), range(d), d] = -1 / n
    return symmetric(T)


def nearest(T: Tensor, n: int) -> tuple[Tensor, Tensor]:
    unit = one_step(len(T), n)
    rate = (T * unit).sum() / unit.square().sum()
    return rate, (T - rate * unit).square().sum() / T.square().sum()


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Random weights, few and many, a noisy step, a large one, nearly nothing else, a large rest, a step of another
    sign, a single example, and a single coordinate.
    """
    return (
        _case("random weights", generator, noise=1.0, rate=0.0),
        _case("random weights on many coordinates", generator, noise=1.0, rate=0.0, d_token=14),
        _case("a large step and nearly nothing else", generator, noise=0.005, rate=30.0),
        _case("a noisy step", generator, noise=0.05, rate=2.0),
        _case("a step with a large share of something else", generator, noise=0.3, rate=4.0),
        _case("a step uphill", generator, noise=0.1, rate=-1.5),
        _case("a single example", generator, noise=0.1, rate=0.8, n=1),
        _case("a single coordinate", generator, noise=0.2, rate=1.5, d_token=2),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    noise: float,
    rate: float,
    n: int | None = None,
    d_token: int | None = None,
) -> Case:
    several, d_key, d_value = distinct(generator, 3, 4, 8)
    d_token = several if d_token is None else d_token
    d_key, d_value = d_token + 2 + d_key, d_token + 11 + d_value
    many = integer(generator, 5, 20)
    n = many if n is None else n
    reads_x, reads_y = torch.zeros(d_token, d_key), torch.zeros(d_token, d_value)
    reads_x[range(d_token - 1), range(d_token - 1)] = 1
    reads_y[-1, 0] = -rate / n
    back = torch.zeros(d_value, d_token)
    back[0, -1] = 1
    ideal = {"W_Q": reads_x, "W_K": reads_x, "W_V": reads_y, "W_O": back}
    inputs = {name: W + noise * normal(generator, *W.shape, scale=W.shape[1] ** -0.5) for name, W in ideal.items()}
    return Case(description, {**inputs, "n": n})


def neither_symmetrised(W_Q, W_K, W_V, W_O, n):
    T = function(W_Q, W_K, W_V, W_O)
    unit = torch.zeros_like(T)
    unit[range(len(T)), range(len(T)), -1] = -1 / n
    rate = (T * unit).sum() / unit.square().sum()
    return rate, (T - rate * unit).square().sum() / T.square().sum()


def one_place(W_Q, W_K, W_V, W_O, n):
    rate, rest = read_off(W_Q, W_K, W_V, W_O, n)
    return rate, (1 + rest) / 2


def twice_the_rate(W_Q, W_K, W_V, W_O, n):
    rate, rest = read_off(W_Q, W_K, W_V, W_O, n)
    return 2 * rate, rest


def diagonal_alone(W_Q, W_K, W_V, W_O, n):
    M, u = (W_Q @ W_K.T)[:-1], (W_V @ W_O)[:, -1]
    return -n * M.diagonal().mean() * u[-1], read_off(W_Q, W_K, W_V, W_O, n)[1]


def sign_forgotten(W_Q, W_K, W_V, W_O, n):
    rate, rest = read_off(W_Q, W_K, W_V, W_O, n)
    return -rate, rest


def examples_forgotten(W_Q, W_K, W_V, W_O, n):
    rate, rest = read_off(W_Q, W_K, W_V, W_O, n)
    return rate / n, rest


def row_for_column(W_Q, W_K, W_V, W_O, n):
    T = (W_Q @ W_K.T)[:-1, :, None] * (W_V @ W_O)[-1]
    return nearest(symmetric(T), n)


def explained(W_Q, W_K, W_V, W_O, n):
    rate, rest = read_off(W_Q, W_K, W_V, W_O, n)
    return rate, 1 - rest


def length_for_square(W_Q, W_K, W_V, W_O, n):
    rate, rest = read_off(W_Q, W_K, W_V, W_O, n)
    return rate, rest.sqrt()


def relative_to_step(W_Q, W_K, W_V, W_O, n):
    rate, rest = read_off(W_Q, W_K, W_V, W_O, n)
    return rate, rest / (1 - rest)


def query_y_counted(W_Q, W_K, W_V, W_O, n):
    rate, _ = read_off(W_Q, W_K, W_V, W_O, n)
    T = symmetric((W_Q @ W_K.T)[:, :, None] * (W_V @ W_O)[:, -1])
    explained_part = rate * one_step(len(T) - 1, n)
    return rate, 1 - explained_part.square().sum() / T.square().sum()


def y_as_coordinate(W_Q, W_K, W_V, W_O, n):
    rate, rest = read_off(W_Q, W_K, W_V, W_O, n)
    return rate * (len(W_Q) - 1) / len(W_Q), rest


def half_the_rate(W_Q, W_K, W_V, W_O, n):
    rate, rest = read_off(W_Q, W_K, W_V, W_O, n)
    return rate / 2, rest


MISCONCEPTIONS = {
    "not_symmetrised": Misconception(
        lambda W_Q, W_K, W_V, W_O, n: nearest(function(W_Q, W_K, W_V, W_O), n),
        "you compare T as it stands. Both of its last axes meet the same example, so only its symmetric part counts.",
    ),
    "neither_symmetrised": Misconception(
        neither_symmetrised,
        "you symmetrised neither T nor the step. Both last axes meet the same example: (x_a, y, x_a) adds to the rate.",
    ),
    "one_place": Misconception(
        one_place, "your step has one place for each coordinate; symmetrised it has two, [a, a, d] and [a, d, a]."
    ),
    "twice_the_rate": Misconception(
        twice_the_rate,
        "twice the rate: the symmetric part is half the sum of T and its transpose; a step has -1/(2n) at two places.",
    ),
    "query_y_counted": Misconception(
        query_y_counted, "a runs over the d coordinates of x alone: the query's y is zero, and its row of T is unused."
    ),
    "diagonal_alone": Misconception(
        diagonal_alone, "your rate uses the terms (x_a, x_a, y) alone; (x_a, y, x_a) adds to the same product."
    ),
    "sign_forgotten": Misconception(sign_forgotten, "the sign of the rate is turned: minus the query's y predicts."),
    "examples_forgotten": Misconception(
        examples_forgotten, "this is the rate over the number of examples; a step averages over them."
    ),
    "exchanged": Misconception(
        lambda W_Q, W_K, W_V, W_O, n: read_off(W_K, W_Q, W_V, W_O, n),
        "query and key are exchanged: the query's x goes through W_Q.",
    ),
    "row_for_column": Misconception(
        row_for_column, "you take the last row of W_V W_O; what is written to y is its last column."
    ),
    "explained": Misconception(explained, "this is the share that the step explains; asked for is the rest."),
    "length_for_square": Misconception(
        length_for_square, "you return a ratio of lengths; the share is one of squared lengths."
    ),
    "relative_to_step": Misconception(
        relative_to_step, "you divide by the square of the step; the share is one of the whole function."
    ),
    "y_as_coordinate": Misconception(
        y_as_coordinate, "you average over d + 1 coordinates; the query has d of them and no y."
    ),
    "half_the_rate": Misconception(
        half_the_rate, "half the rate: a symmetrised step has -1/(2n) at two places for each coordinate, not -1/n."
    ),
}

QUESTION = Question(
    id="ch09.read_off",
    points=1,
    title="Read a step off the weights",
    hints=(
        "The layer's prediction is linear in the query and quadratic in every example. Write down the coefficients.",
        "Build T, symmetrise its last two axes, and project it on the T of a step of rate 1.",
        "T = (W_Q @ W_K.T)[:-1, :, None] * (W_V @ W_O)[:, -1]; T = (T + T.mT) / 2; the unit step has -1/(2n) at "
        "[a, a, d] and [a, d, a]; rate = (T * unit).sum() / unit.square().sum().",
    ),
    reference=read_off,
    cases=cases,
    axes={
        "W_Q": "d_token d_key",
        "W_K": "d_token d_key",
        "W_V": "d_token d_value",
        "W_O": "d_value d_token",
    },
    fields=(Field("rate", atol=1e-4), Field("unexplained", atol=2e-5)),
    misconceptions=MISCONCEPTIONS,
)
