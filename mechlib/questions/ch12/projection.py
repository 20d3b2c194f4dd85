"""Question ch12.projection: where predictions lie between two algorithms, and how far off the line."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import distinct

__all__ = ["QUESTION"]

Points = Float[Tensor, "prompt point"]
Result = tuple[float | Tensor, float | Tensor]


def nearest(own: Points, line: Points) -> Tensor:
    """The multiple of ``line`` that is nearest to ``own``."""
    return (own * line).sum() / line.square().sum()


def share(rest: Points, own: Points, line: Points) -> Tensor:
    """The squares that are left, as a share of all."""
    return rest.square().sum() / own.square().sum()


def projection(f: Points, ridge: Points, dmmse: Points, *, along: Step = nearest, left: Step = share) -> Result:
    """The projection, 0 at ridge and 1 at dMMSE, and the share of ``|f - ridge|^2`` that it leaves."""
    own, line = f - ridge, dmmse - ridge
    alpha = along(own, line)
    return alpha, left(own - alpha * line, own, line)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Between the two, beyond one of them, near each other, and prompts whose lines have very different lengths."""
    return (
        _case("predictions between the two", generator, alpha=0.4, off=0.3),
        _case("predictions beyond dMMSE", generator, alpha=1.6, off=0.2),
        _case("predictions on the far side of ridge", generator, alpha=-0.5, off=0.1),
        _case("lines of very different lengths", generator, alpha=0.7, off=0.5, spread=1.5),
        _case("predictions that nearly agree", generator, alpha=0.6, off=0.4, scale=5e-3),
    )


def _case(
    description: str, generator: torch.Generator, *, alpha: float, off: float, spread: float = 0.4, scale: float = 1.0
) -> Case:
    prompts, points = distinct(generator, 2, 4, 12)
    draws = torch.randn(3, prompts, points, generator=generator, dtype=torch.float64)
    lengths = (spread * torch.randn(prompts, 1, generator=generator, dtype=torch.float64)).exp()
    line = scale * lengths * (0.4 + draws[1])
    ridge = scale * (0.5 + 2 * draws[0])
    places = alpha + 0.3 * torch.randn(prompts, 1, generator=generator, dtype=torch.float64)
    return Case(
        description, {"f": ridge + places * line + scale * off * draws[2], "ridge": ridge, "dmmse": ridge + line}
    )


def by_lengths(own, line):
    return own.norm() / (own.norm() + (own - line).norm())


def raw_on_line(f, ridge, dmmse):
    line = dmmse - ridge
    alpha = nearest(f, line)
    return alpha, share(f - ridge - alpha * line, f - ridge, line)


def from_zero(f, ridge, dmmse):
    alpha = nearest(f, dmmse)
    return alpha, share(f - ridge - alpha * (dmmse - ridge), f - ridge, dmmse)


def over_predictions(f, ridge, dmmse):
    alpha, left = projection(f, ridge, dmmse)
    return alpha, left * (f - ridge).square().sum() / f.square().sum()


on = edits_of(projection)
MISCONCEPTIONS = {
    "mean_of_ratios": on(
        "you average the projections of single prompts, so that those with short lines count too much.",
        along=lambda own, line: ((own * line).sum(1) / line.square().sum(1)).mean(),
    ),
    "ends_exchanged": Misconception(
        lambda f, ridge, dmmse: projection(f, dmmse, ridge), "the ends are exchanged: ridge is 0 and dMMSE is 1."
    ),
    "counted_from_dmmse": on(
        "alpha counts from dMMSE here; it has to be 0 at ridge and 1 at dMMSE.", result=lambda r: (1 - r[0], r[1])
    ),
    "cosine": on(
        "this is a cosine; divide by the squared length of the line, not by both lengths.",
        along=lambda own, line: torch.cosine_similarity(own.flatten(), line.flatten(), dim=0),
    ),
    "from_zero": Misconception(from_zero, "ridge is the origin here: subtract it from f and from dMMSE first."),
    "raw_on_line": Misconception(raw_on_line, "the line starts at ridge: subtract it from f as well."),
    "over_own_length": on(
        "you divide by the squared length of f - ridge; the line is what is measured against.",
        along=lambda own, line: (own * line).sum() / own.square().sum(),
    ),
    "not_squared": on(
        "divide by the *squared* length of the line, so that dMMSE itself is 1.",
        along=lambda own, line: (own * line).sum() / line.norm(),
    ),
    "by_distances": on(
        "this compares two distances, and is 1/2 for anything far from both; project on the line instead.",
        along=by_lengths,
    ),
    "clamped": on(
        "you clamp to 0 and 1; beyond the ends is information too.",
        along=lambda own, line: nearest(own, line).clamp(0, 1),
    ),
    "centred": on(
        "you subtract means first; a common offset of the predictions counts, so leave them.",
        along=lambda own, line: nearest(own - own.mean(), line - line.mean()),
    ),
    "ratio_of_lengths": on(
        "what is left is a ratio of lengths here; take their squares.", result=lambda r: (r[0], r[1].sqrt())
    ),
    "explained": on(
        "this is the share that the line explains; asked for is the rest.", result=lambda r: (r[0], 1 - r[1])
    ),
    "over_line": on(
        "what is left is a share of the squared length of f - ridge, not of the line's.",
        left=lambda rest, own, line: rest.square().sum() / line.square().sum(),
    ),
    "over_distance_to_dmmse": on(
        "what is left is a share of the squared length of f - ridge, not of f - dmmse.",
        left=lambda rest, own, line: rest.square().sum() / (own - line).square().sum(),
    ),
    "over_predictions": Misconception(
        over_predictions, "what is left is a share of the squared length of f - ridge, not of f."
    ),
    "sum_of_squares_left": on(
        "what is left is a share: divide by the squared length of f - ridge.",
        left=lambda rest, own, line: rest.square().sum(),
    ),
    "mean_square_left": on(
        "what is left is a share: divide by the squared length of f - ridge.",
        left=lambda rest, own, line: rest.square().mean(),
    ),
}

QUESTION = Question(
    id="ch12.projection",
    points=1,
    title="Between ridge and dMMSE",
    hints=(
        "Put the origin at ridge regression. How far along the way to dMMSE does f go?",
        "Least squares: which multiple of dmmse - ridge is nearest to f - ridge, over all prompts and points at once?",
        "line = dmmse - ridge; own = f - ridge; alpha = (own * line).sum() / (line**2).sum(); "
        "left = ((own - alpha * line)**2).sum() / (own**2).sum().",
    ),
    reference=projection,
    cases=cases,
    axes={"f": "prompt point", "ridge": "prompt point", "dmmse": "prompt point"},
    fields=(Field("alpha", atol=1e-5), Field("left", atol=1e-5)),
    misconceptions=MISCONCEPTIONS,
)
