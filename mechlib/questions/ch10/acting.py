"""Question ch10.acting: the weights that a predictor acts on, from its answers to several queries."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct

__all__ = ["QUESTION"]

Queries = Float[Tensor, "query coordinate"]
Predictions = Float[Tensor, "prompt query"]
Result = tuple[Tensor, Tensor]


def acting(queries: Queries, predictions: Predictions) -> Result:
    """The weights of the best affine fit for each prompt, and the share of the predictions' variance it leaves."""
    weights = torch.linalg.lstsq(with_ones(queries), predictions.T).solution[:-1].T
    return weights, share_left(queries, predictions, weights)


def with_ones(queries: Queries) -> Tensor:
    return torch.cat([queries, torch.ones_like(queries[:, :1])], dim=1)


def centred(values: Tensor, axis: int) -> Tensor:
    return values - values.mean(axis, keepdim=True)


def share_left(queries: Queries, predictions: Predictions, weights: Tensor) -> Tensor:
    """Of the spread of every prompt's predictions about their own mean."""
    spread = centred(predictions, 1)
    rest = spread - weights @ centred(queries, 0).T
    return rest.square().sum() / spread.square().sum()


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Predictors with and without curvature, an offset, and queries that all lie to one side."""
    return (
        _case("a predictor with some curvature", generator, curvature=0.3, offset=0.5, mean=0.3),
        _case("a predictor that is linear", generator, curvature=0.0, offset=0.0, mean=0.5),
        _case("queries far from the origin", generator, curvature=0.1, offset=1.0, mean=4.0),
        _case("predictions far from zero", generator, curvature=0.5, offset=20.0, mean=1.0),
    )


def _case(description: str, generator: torch.Generator, *, curvature: float, offset: float, mean: float) -> Case:
    n_prompts, d = distinct(generator, 2, 3, 7)
    n_queries = distinct(generator, 1, 14, 20)[0]

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    queries = (0.5 + torch.rand(d, generator=generator, dtype=torch.float64)) * normal(n_queries, d) + mean
    sizes = torch.linspace(0.5, 3.0, n_prompts, dtype=torch.float64)[:, None]  # so that prompts count unequally
    weights = sizes * normal(n_prompts, d)
    bent = curvature * torch.tanh(queries @ normal(d, n_prompts)).T.square()
    predictions = weights @ queries.T + bent / sizes + offset * (1 + torch.rand(n_prompts, 1, generator=generator))
    return Case(description, {"queries": queries, "predictions": predictions})


def _with(queries: Queries, predictions: Predictions, weights: Tensor) -> Result:
    return weights, share_left(queries, predictions, weights)


def no_intercept(queries, predictions):
    weights = torch.linalg.lstsq(queries, predictions.T).solution.T
    rest = predictions - weights @ queries.T
    return weights, rest.square().sum() / centred(predictions, 1).square().sum()


def through_the_origin(queries, predictions):
    weights = torch.linalg.lstsq(queries, predictions.T).solution.T
    return weights, (predictions - weights @ queries.T).square().sum() / predictions.square().sum()


def half_centred(queries, predictions):
    spread = centred(predictions, 1)
    weights = torch.linalg.lstsq(queries, spread.T).solution.T
    return weights, (spread - weights @ queries.T).square().sum() / spread.square().sum()


def correlated(queries, predictions):
    return _with(queries, predictions, centred(predictions, 1) @ centred(queries, 0) / len(queries))


def one_coordinate_at_a_time(queries, predictions):
    x = centred(queries, 0)
    return _with(queries, predictions, centred(predictions, 1) @ x / x.square().sum(0))


def one_for_all(queries, predictions):
    weights = torch.linalg.lstsq(with_ones(queries), predictions.mean(0)[:, None]).solution[:-1].T
    return _with(queries, predictions, weights.expand(len(predictions), -1))


def wrong_rows(queries, predictions):
    ones_first = with_ones(queries).roll(1, 1)
    weights = torch.linalg.lstsq(ones_first, predictions.T).solution[:-1].T
    return weights, acting(queries, predictions)[1]


def share_explained(queries, predictions):
    weights, left = acting(queries, predictions)
    return weights, 1 - left


def of_the_square(queries, predictions):
    weights, left = acting(queries, predictions)
    return weights, left * centred(predictions, 1).square().sum() / predictions.square().sum()


def mean_of_shares(queries, predictions):
    weights, _ = acting(queries, predictions)
    spread = centred(predictions, 1)
    rest = spread - weights @ centred(queries, 0).T
    return weights, (rest.square().sum(1) / spread.square().sum(1)).mean()


def about_one_mean(queries, predictions):
    weights, left = acting(queries, predictions)
    grand = predictions - predictions.mean()
    return weights, left * centred(predictions, 1).square().sum() / grand.square().sum()


def root(queries, predictions):
    weights, left = acting(queries, predictions)
    return weights, left.sqrt()


MISCONCEPTIONS = {
    "no_intercept": Misconception(
        no_intercept, "your fit has no intercept; a predictor may have an offset, which then leaks into the weights."
    ),
    "through_the_origin": Misconception(
        through_the_origin, "you fit through the origin and measure from zero: allow an intercept, and centre."
    ),
    "half_centred": Misconception(
        half_centred, "you centred the predictions and not the queries; that is no fit with an intercept."
    ),
    "correlated": Misconception(
        correlated, "these are covariances with the queries; divide by the queries' covariance matrix."
    ),
    "one_coordinate_at_a_time": Misconception(
        one_coordinate_at_a_time,
        "you fit each coordinate alone; finitely many queries are correlated: fit them jointly.",
    ),
    "one_for_all": Misconception(one_for_all, "you fit one weight vector to all prompts; every prompt has its own."),
    "wrong_rows": Misconception(
        wrong_rows, "the intercept is among your weights: look where the column of ones stands."
    ),
    "share_explained": Misconception(share_explained, "this share is the one explained; asked for is what is left."),
    "of_the_square": Misconception(
        of_the_square, "you divide by the squares of the predictions; take their spread about each prompt's mean."
    ),
    "mean_of_shares": Misconception(
        mean_of_shares, "you average the prompts' shares; add up what is left, and divide by the sum of the spreads."
    ),
    "about_one_mean": Misconception(
        about_one_mean, "you centre on the mean of all prompts; each prompt has a mean of its own."
    ),
    "root": Misconception(root, "you took a root: shares of variance are ratios of squares."),
}

QUESTION = Question(
    id="ch10.acting",
    points=1,
    title="The weights that a predictor acts on",
    hints=(
        "With the examples held fixed, a prediction is a function of the query. Which plane fits it best?",
        "Least squares with an intercept, one fit for each prompt; then the squares that are left over those about "
        "the prompts' means, both summed over everything.",
        "design = torch.cat([queries, torch.ones_like(queries[:, :1])], 1); solution = torch.linalg.lstsq(design, "
        "predictions.T).solution; the weights are solution[:-1].T.",
    ),
    reference=acting,
    cases=cases,
    axes={"queries": "query coordinate", "predictions": "prompt query"},
    fields=(Field("weights", "prompt coordinate", atol=1e-4), Field("curved", atol=1e-6)),
    misconceptions=MISCONCEPTIONS,
)
