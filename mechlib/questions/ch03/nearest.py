"""Question ch03.nearest: the token whose embedding is nearest to where a map takes a vector."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Question, Step
from mechlib.questions.drawing import distinct, normal

__all__ = ["QUESTION"]

Mapped = Float[Tensor, "row pos d_code"]
Codes = Float[Tensor, "token d_code"]
Scores = Float[Tensor, "row pos token"]

DRAWS = 60
"""So many vectors are drawn for a position, until one is not equally near to two codes."""


def affine(h: Float[Tensor, "row pos d_model"], weight: Tensor, bias: Tensor) -> Mapped:
    return h @ weight + bias


def nearness(z: Mapped, codes: Codes) -> Scores:
    """Half the negative square distance, less what all tokens have in common."""
    return z @ codes.T - codes.square().sum(-1) / 2


def nearest(
    h: Float[Tensor, "row pos d_model"],
    weight: Float[Tensor, "d_model d_code"],
    bias: Float[Tensor, " d_code"],
    codes: Codes,
    *,
    mapped: Step = affine,
    score: Step = nearness,
) -> Int[Tensor, "row pos"]:
    """The token whose code is nearest to ``h @ weight + bias``."""
    return score(mapped(h, weight, bias), codes).argmax(-1)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Codes of equal and of very unequal length, far from the origin, a long map, one position, one entry of a code."""
    return (
        _case("codes of much the same length", generator),
        _case("codes of very unequal length", generator, unequal=1.2),
        _case(
            "vectors nearly halfway between two codes that lie far from the origin",
            generator,
            away=6.0,
            close=True,
            pos=23,
        ),
        _case("vectors that are mapped far out", generator, far=8.0, unequal=0.8),
        _case("a single position", generator, pos=1, unequal=0.6),
        _case("codes of one entry", generator, narrow=True, away=-3.0),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    unequal: float = 0.1,
    away: float = 0.0,
    far: float = 1.0,
    pos: int | None = None,
    narrow: bool = False,
    close: bool = False,
) -> Case:
    """Vectors that are mapped near codes, beside them and halfway between two of them, never equally near to both."""
    width, d_model, *several = distinct(generator, 4, 4, 11)
    d_model, width = max(d_model, width), min(d_model, width)
    rows, pos = several[0], pos or several[1]
    width = 1 if narrow else width
    n = 13 + distinct(generator, 1, 0, 4)[0]
    codes = normal(generator, n, width) * (unequal * normal(generator, n, 1)).exp() + away
    weight, bias = normal(generator, d_model, width), normal(generator, width, scale=2.0)
    drawn = (DRAWS, rows, pos)
    places = torch.randint(n, (2, *drawn), generator=generator)
    share = 0.55 * torch.rand(*drawn, 1, generator=generator)
    share = 0.4997 + share / 920 if close else share
    beside = (0.0015 if close else 0.2) * normal(generator, *drawn, width)
    target = far * torch.lerp(codes[places[0]], codes[places[1]], share) + beside
    back = torch.linalg.pinv(weight)
    free = torch.eye(d_model) - weight @ back
    h = (target - bias) @ back + 0.3 * normal(generator, *drawn, d_model) @ free
    first, second = nearness(affine(h, weight, bias), codes).topk(2, -1).values.unbind(-1)
    clear = (first - second) > (1e-5 if close else 2e-3) * codes.square().sum(-1).max()
    chosen = clear.int().argmax(0)  # the first that is clear
    h = h.gather(0, chosen[None, ..., None].expand(1, -1, -1, d_model))[0]
    return Case(description, {"h": h, "weight": weight, "bias": bias, "codes": codes})


def cosine(z: Mapped, codes: Codes) -> Scores:
    return torch.nn.functional.normalize(z, dim=-1) @ torch.nn.functional.normalize(codes, dim=-1).T


on = edits_of(nearest)
MISCONCEPTIONS = {
    "scalar_product": on(
        "you take the largest scalar product, which favours long codes; take off half the square of each length.",
        score=lambda z, codes: z @ codes.T,
    ),
    "whole_square": on(
        "you take off the whole square of each length; half of it belongs there.",
        score=lambda z, codes: z @ codes.T - codes.square().sum(-1),
    ),
    "length": on(
        "you take off half the length; half of its square belongs there.",
        score=lambda z, codes: z @ codes.T - codes.norm(dim=-1) / 2,
    ),
    "cosine": on("this is the code with the nearest direction; its length counts too.", score=cosine),
    "farthest": on("this is the farthest code.", score=lambda z, codes: -nearness(z, codes)),
    "sum_of_differences": on(
        "you add up absolute differences; the distance meant is the square root of the sum of squares.",
        score=lambda z, codes: -(z[..., None, :] - codes).abs().sum(-1),
    ),
    "no_bias": on("the map's bias is missing.", mapped=lambda h, weight, bias: h @ weight),
    "bias_off": on("you take the bias off; it is added.", mapped=lambda h, weight, bias: h @ weight - bias),
}

QUESTION = Question(
    id="ch03.nearest",
    points=1,
    title="Name the token",
    hints=(
        "The map takes each vector to a point among the codes. Which code is nearest to it?",
        "Of the squared distance to a code, the part with the point alone is the same for all codes. What is left is a "
        "score that is linear in the point.",
        "z = h @ weight + bias; (z @ codes.T - codes.square().sum(-1) / 2).argmax(-1)",
    ),
    reference=nearest,
    cases=cases,
    axes={"h": "row pos d_model", "weight": "d_model d_code", "bias": "d_code", "codes": "token d_code"},
    fields=(Field("token", "row pos", atol=0, rtol=0),),
    misconceptions=MISCONCEPTIONS,
)
