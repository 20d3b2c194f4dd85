"""Question ch05.reach: what weights that miss the row still prove of vectors up to a length."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Question, Step
from mechlib.questions.drawing import integer, near

__all__ = ["QUESTION"]

Rows = Float[Tensor, "token d"]
PerToken = Float[Tensor, " token"]


def away(rows: Rows, weights: PerToken, token: int) -> Float[Tensor, " d"]:
    return rows[token] - weights @ rows


def ahead(bias: PerToken, weights: PerToken, token: int) -> Float[Tensor, ""]:
    return bias[token] - weights @ bias


def reach(
    rows: Rows,
    bias: PerToken,
    weights: PerToken,
    token: int,
    radius: float,
    *,
    missed: Step = away,
    offset: Step = ahead,
    size: Step = torch.linalg.vector_norm,
) -> Float[Tensor, ""]:
    """The largest lead over the weighted mean of the others that a vector no longer than the radius can give."""
    return radius * size(missed(rows, weights, token)) + offset(bias, weights, token)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Results of both signs, weights that miss by much, by little and not at all, one rival, one entry."""
    return (
        _case("weights that miss the row", generator, miss=1.0, offset=0.3, radius=2.5),
        _case("weights that nearly meet it", generator, miss=7e-4, offset=-0.02, radius=12.0),
        _case("weights that meet it", generator, miss=0.0, offset=-1.7, radius=4.0),
        _case("a bias that decides", generator, miss=0.4, offset=-9.0, radius=0.5),
        _case("a single rival", generator, miss=2.0, offset=5.0, radius=1.5, rivals=1),
        _case("rows of one entry", generator, miss=-3.0, offset=1.2, radius=0.8, d=1),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    miss: float,
    offset: float,
    radius: float,
    rivals: int | None = None,
    d: int | None = None,
) -> Case:
    """Rows of which the token's is the weighted mean and a vector of size ``miss`` more; its bias likewise."""
    tokens, d = integer(generator, 8, 12), d or integer(generator, 3, 6)
    token = integer(generator, 1, tokens - 2)
    rows = 2 * torch.randn(tokens, d, generator=generator, dtype=torch.float64)
    bias = 2 * torch.randn(tokens, generator=generator, dtype=torch.float64)
    drawn = [v for v in torch.randperm(tokens - 1, generator=generator).tolist() if v != token]
    among = [tokens - 1, *drawn][: rivals or 5]
    weights = torch.zeros(tokens, dtype=torch.float64)
    weights[among] = 0.1 + torch.rand(len(among), generator=generator, dtype=torch.float64)
    weights[tokens - 1] *= 0.05 if len(among) > 1 else 1  # little is not nothing
    weights /= weights.sum()
    direction = torch.randn(d, generator=generator, dtype=torch.float64)
    rows[token] = weights @ rows + near(generator, miss) * direction / direction.norm()
    bias[token] = weights @ bias + near(generator, offset)
    return Case(description, {"rows": rows, "bias": bias, "weights": weights, "token": token, "radius": radius})


on = edits_of(reach)
MISCONCEPTIONS = {
    "no_radius": on(
        "you take vectors of length 1; a vector can be as long as the radius, and its lead grows with it.", radius=1.0
    ),
    "no_bias": on("the bias is missing.", offset=lambda bias, weights, token: 0.0),
    "bias_reversed": on(
        "the bias has the wrong sign: a higher bias of the token itself helps it.",
        offset=lambda bias, weights, token: weights @ bias - bias[token],
    ),
    "rival_bias": on(
        "you take the largest bias of the others; the mean over the weights is what the argument uses.",
        offset=lambda bias, weights, token: bias[token] - bias[weights > 0].max(),
    ),
    "squared": on(
        "your distance is squared: a scalar product is at most the product of the two lengths.",
        size=lambda missed: missed.square().sum(),
    ),
    "sum": on(
        "your size is the sum of the entries' sizes, the bound for a box; for vectors up to a length it is the length.",
        size=lambda missed: missed.abs().sum(),
    ),
    "largest": on(
        "your size is the largest entry; for vectors up to a length it is the length.",
        size=lambda missed: missed.abs().max(),
    ),
    "never_behind": on(
        "your result stops at 0: below 0 it says by how much the token stays behind at best.",
        result=lambda found: found.clamp(min=0),
    ),
    "unweighted": on(
        "you take the plain mean of the others; their weights differ.",
        missed=lambda rows, weights, token: rows[token] - rows[weights > 0].mean(0),
    ),
}

QUESTION = Question(
    id="ch05.reach",
    points=2,
    title="Weights that nearly meet",
    hints=(
        "The largest of the others is never below their weighted mean. So bound the lead over that mean.",
        "The lead over the mean is h · r + c: find r and c. Which h of a given length makes h · r largest?",
        "r = rows[token] - weights @ rows; c = bias[token] - weights @ bias; the largest is radius * r.norm() + c.",
    ),
    reference=reach,
    cases=cases,
    axes={"rows": "token d", "bias": "token", "weights": "token"},
    fields=(Field("reach", atol=3e-5, rtol=1e-5),),
    misconceptions=MISCONCEPTIONS,
)
