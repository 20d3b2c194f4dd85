"""Question ch12.projection: where predictions lie between two algorithms, and how far off the line."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.icl import ridge_dmmse_projection
from mechlib.questions.drawing import distinct

__all__ = ["QUESTION"]

Points = Float[Tensor, "prompt point"]
Result = tuple[float | Tensor, float | Tensor]


def projection(f: Points, ridge: Points, dmmse: Points) -> Result:
    """The projection, 0 at ridge and 1 at dMMSE, and the share of ``|f - ridge|^2`` that it leaves."""
    alpha = ridge_dmmse_projection(f, ridge, dmmse)
    return alpha, left_by(alpha, f, ridge, dmmse)


def left_by(alpha: float | Tensor, f: Points, ridge: Points, dmmse: Points) -> Tensor:
    own = f - ridge
    return (own - alpha * (dmmse - ridge)).square().sum() / own.square().sum()


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Between the two, beyond one of them, on the line, and prompts whose lines have very different lengths."""
    return (
        _case("predictions between the two", generator, alpha=0.4, off=0.3),
        _case("predictions beyond dMMSE", generator, alpha=1.6, off=0.2),
        _case("predictions on the far side of ridge", generator, alpha=-0.5, off=0.1),
        _case("lines of very different lengths", generator, alpha=0.7, off=0.5, spread=1.5),
    )


def _case(description: str, generator: torch.Generator, *, alpha: float, off: float, spread: float = 0.4) -> Case:
    prompts, points = distinct(generator, 2, 4, 12)
    draws = torch.randn(3, prompts, points, generator=generator, dtype=torch.float64)
    lengths = (spread * torch.randn(prompts, 1, generator=generator, dtype=torch.float64)).exp()
    line = lengths * (0.4 + draws[1])
    ridge = 0.5 + 2 * draws[0]
    places = alpha + 0.3 * torch.randn(prompts, 1, generator=generator, dtype=torch.float64)
    return Case(description, {"f": ridge + places * line + off * draws[2], "ridge": ridge, "dmmse": ridge + line})


def _both(alpha: Tensor, f: Points, ridge: Points, dmmse: Points) -> Result:
    return alpha, left_by(alpha, f, ridge, dmmse)


def mean_of_ratios(f, ridge, dmmse):
    line = dmmse - ridge
    return _both((((f - ridge) * line).sum(1) / line.square().sum(1)).mean(), f, ridge, dmmse)


def ends_exchanged(f, ridge, dmmse):
    return projection(f, dmmse, ridge)


def counted_from_dmmse(f, ridge, dmmse):
    alpha, left = projection(f, ridge, dmmse)
    return 1 - alpha, left


def cosine(f, ridge, dmmse):
    found = torch.cosine_similarity((f - ridge).flatten(), (dmmse - ridge).flatten(), dim=0)
    return _both(found, f, ridge, dmmse)


def from_zero(f, ridge, dmmse):
    return _both((f * dmmse).sum() / dmmse.square().sum(), f, ridge, dmmse)


def raw_on_line(f, ridge, dmmse):
    line = dmmse - ridge
    return _both((f * line).sum() / line.square().sum(), f, ridge, dmmse)


def over_own_length(f, ridge, dmmse):
    own = f - ridge
    return _both((own * (dmmse - ridge)).sum() / own.square().sum(), f, ridge, dmmse)


def not_squared(f, ridge, dmmse):
    line = dmmse - ridge
    return _both(((f - ridge) * line).sum() / line.norm(), f, ridge, dmmse)


def by_distances(f, ridge, dmmse):
    near, far = (f - ridge).norm(), (f - dmmse).norm()
    return _both(near / (near + far), f, ridge, dmmse)


def clamped(f, ridge, dmmse):
    alpha, _ = projection(f, ridge, dmmse)
    return _both(min(max(alpha, 0.0), 1.0), f, ridge, dmmse)


def centred(f, ridge, dmmse):
    own, line = f - ridge, dmmse - ridge
    own, line = own - own.mean(), line - line.mean()
    return _both((own * line).sum() / line.square().sum(), f, ridge, dmmse)


def ratio_of_lengths(f, ridge, dmmse):
    alpha, left = projection(f, ridge, dmmse)
    return alpha, left.sqrt()


def explained(f, ridge, dmmse):
    alpha, left = projection(f, ridge, dmmse)
    return alpha, 1 - left


def over_line(f, ridge, dmmse):
    alpha, left = projection(f, ridge, dmmse)
    return alpha, left * (f - ridge).square().sum() / (dmmse - ridge).square().sum()


def over_distance_to_dmmse(f, ridge, dmmse):
    alpha, left = projection(f, ridge, dmmse)
    return alpha, left * (f - ridge).square().sum() / (f - dmmse).square().sum()


def over_predictions(f, ridge, dmmse):
    alpha, left = projection(f, ridge, dmmse)
    return alpha, left * (f - ridge).square().sum() / f.square().sum()


def sum_of_squares_left(f, ridge, dmmse):
    alpha, left = projection(f, ridge, dmmse)
    return alpha, left * (f - ridge).square().sum()


def mean_square_left(f, ridge, dmmse):
    alpha, left = projection(f, ridge, dmmse)
    return alpha, left * (f - ridge).square().mean()


MISCONCEPTIONS = {
    "mean_of_ratios": Misconception(
        mean_of_ratios, "you average the projections of single prompts, so that those with short lines count too much."
    ),
    "ends_exchanged": Misconception(ends_exchanged, "the ends are exchanged: ridge is 0 and dMMSE is 1."),
    "counted_from_dmmse": Misconception(
        counted_from_dmmse, "alpha counts from dMMSE here; it has to be 0 at ridge and 1 at dMMSE."
    ),
    "cosine": Misconception(cosine, "this is a cosine; divide by the squared length of the line, not by both lengths."),
    "from_zero": Misconception(from_zero, "ridge is the origin here: subtract it from f and from dMMSE first."),
    "raw_on_line": Misconception(raw_on_line, "the line starts at ridge: subtract it from f as well."),
    "over_own_length": Misconception(
        over_own_length, "you divide by the squared length of f - ridge; the line is what is measured against."
    ),
    "not_squared": Misconception(not_squared, "divide by the *squared* length of the line, so that dMMSE itself is 1."),
    "by_distances": Misconception(
        by_distances, "this compares two distances, and is 1/2 for anything far from both; project on the line instead."
    ),
    "clamped": Misconception(clamped, "you clamp to 0 and 1; beyond the ends is information too."),
    "centred": Misconception(
        centred, "you subtract means first; a common offset of the predictions counts, so leave them."
    ),
    "ratio_of_lengths": Misconception(ratio_of_lengths, "what is left is a ratio of lengths here; take their squares."),
    "explained": Misconception(explained, "this is the share that the line explains; asked for is the rest."),
    "over_line": Misconception(
        over_line, "what is left is a share of the squared length of f - ridge, not of the line's."
    ),
    "over_distance_to_dmmse": Misconception(
        over_distance_to_dmmse, "what is left is a share of the squared length of f - ridge, not of f - dmmse."
    ),
    "over_predictions": Misconception(
        over_predictions, "what is left is a share of the squared length of f - ridge, not of f."
    ),
    "sum_of_squares_left": Misconception(
        sum_of_squares_left, "what is left is a share: divide by the squared length of f - ridge."
    ),
    "mean_square_left": Misconception(
        mean_square_left, "what is left is a share: divide by the squared length of f - ridge."
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
