"""Question ch10.acting: the weights that a predictor acts on, from its answers to several queries."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import distinct, double_normals

__all__ = ["QUESTION"]

Queries = Float[Tensor, "query coordinate"]
Predictions = Float[Tensor, "prompt query"]
Weights = Float[Tensor, "prompt coordinate"]
Result = tuple[Tensor, Tensor]


def planes(queries: Queries, predictions: Predictions) -> Weights:
    """The slopes of the best affine fit to each prompt's predictions."""
    return through_origin(with_ones(queries), predictions)[:, :-1]


def through_origin(queries: Queries, predictions: Predictions) -> Weights:
    return torch.linalg.lstsq(queries, predictions.T).solution.T


def with_ones(queries: Queries) -> Tensor:
    return torch.cat([queries, torch.ones_like(queries[:, :1])], dim=1)


def centred(values: Tensor, axis: int) -> Tensor:
    return values - values.mean(axis, keepdim=True)


def share_left(queries: Queries, predictions: Predictions, weights: Weights) -> Tensor:
    """Of the spread of every prompt's predictions about their own mean."""
    spread = centred(predictions, 1)
    return (spread - weights @ centred(queries, 0).T).square().sum() / spread.square().sum()


def acting(queries: Queries, predictions: Predictions, *, fit: Step = planes, share: Step = share_left) -> Result:
    """The weights of the best affine fit for each prompt, and the share of the predictions' variance it leaves."""
    weights = fit(queries, predictions)
    return weights, share(queries, predictions, weights)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Predictors with and without curvature, an offset, queries that all lie to one side, and axes of one entry."""
    return (
        _case("a predictor with some curvature", generator, curvature=0.3, offset=0.5, mean=0.3),
        _case("a predictor that is linear", generator, curvature=0.0, offset=0.0, mean=0.5),
        _case("queries far from the origin", generator, curvature=0.1, offset=1.0, mean=4.0),
        _case("predictions far from zero", generator, curvature=0.5, offset=20.0, mean=1.0),
        _case("a single coordinate", generator, curvature=0.4, offset=-0.7, mean=-0.6, d=1),
        _case("a single prompt", generator, curvature=0.2, offset=-3.0, mean=0.8, n_prompts=1),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    curvature: float,
    offset: float,
    mean: float,
    n_prompts: int | None = None,
    d: int | None = None,
) -> Case:
    drawn = distinct(generator, 2, 3, 7)
    n_prompts, d = n_prompts or drawn[0], d or drawn[1]
    n_queries = distinct(generator, 1, 14, 20)[0]
    normal = double_normals(generator)
    queries = (0.5 + torch.rand(d, generator=generator, dtype=torch.float64)) * normal(n_queries, d) + mean
    sizes = torch.linspace(0.5, 3.0, n_prompts, dtype=torch.float64)[:, None]  # so that prompts count unequally
    weights = sizes * normal(n_prompts, d)
    bent = curvature * torch.tanh(queries @ normal(d, n_prompts)).T.square()
    predictions = weights @ queries.T + bent / sizes + offset * (1 + torch.rand(n_prompts, 1, generator=generator))
    return Case(description, {"queries": queries, "predictions": predictions})


def left_at(queries, predictions, weights):
    """What is left of the predictions as they are."""
    return (predictions - weights @ queries.T).square()


def mean_of_shares(queries, predictions, weights):
    spread = centred(predictions, 1)
    rest = spread - weights @ centred(queries, 0).T
    return (rest.square().sum(1) / spread.square().sum(1)).mean()


def share_of(total):
    """The share when what is left is divided by the sum of squares of ``total``, a function of the predictions."""

    def share(queries, predictions, weights):
        spread = centred(predictions, 1).square().sum()
        return share_left(queries, predictions, weights) * spread / total(predictions).square().sum()

    return share


on = edits_of(acting)

MISCONCEPTIONS = {
    "no_intercept": on(
        "your fit has no intercept; a predictor may have an offset, which then leaks into the weights.",
        fit=through_origin,
        share=lambda q, p, weights: left_at(q, p, weights).sum() / centred(p, 1).square().sum(),
    ),
    "through_the_origin": on(
        "you fit through the origin and measure from zero: allow an intercept, and centre.",
        fit=through_origin,
        share=lambda q, p, weights: left_at(q, p, weights).sum() / p.square().sum(),
    ),
    "half_centred": on(
        "you centred the predictions and not the queries; that is no fit with an intercept.",
        predictions=lambda p: centred(p, 1),
        fit=through_origin,
        share=lambda q, p, weights: left_at(q, p, weights).sum() / p.square().sum(),
    ),
    "correlated": on(
        "these are covariances with the queries; divide by the queries' covariance matrix.",
        fit=lambda q, p: centred(p, 1) @ centred(q, 0) / len(q),
    ),
    "one_coordinate_at_a_time": on(
        "you fit each coordinate alone; finitely many queries are correlated: fit them jointly.",
        fit=lambda q, p: centred(p, 1) @ centred(q, 0) / centred(q, 0).square().sum(0),
    ),
    "one_for_all": on(
        "you fit one weight vector to all prompts; every prompt has its own.",
        fit=lambda q, p: planes(q, p.mean(0, keepdim=True)).expand(len(p), -1),
    ),
    "wrong_rows": Misconception(
        lambda q, p: (through_origin(with_ones(q).roll(1, 1), p)[:, :-1], acting(q, p)[1]),
        "the intercept is among your weights: look where the column of ones stands.",
    ),
    "share_explained": on(
        "this share is the one explained; asked for is what is left.", result=lambda r: (r[0], 1 - r[1])
    ),
    "of_the_square": on(
        "you divide by the squares of the predictions; take their spread about each prompt's mean.",
        share=share_of(lambda p: p),
    ),
    "mean_of_shares": on(
        "you average the prompts' shares; add up what is left, and divide by the sum of the spreads.",
        share=mean_of_shares,
    ),
    "about_one_mean": on(
        "you centre on the mean of all prompts; each prompt has a mean of its own.",
        share=share_of(lambda p: p - p.mean()),
    ),
    "root": on("you took a root: shares of variance are ratios of squares.", result=lambda r: (r[0], r[1].sqrt())),
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
