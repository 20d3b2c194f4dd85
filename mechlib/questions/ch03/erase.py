"""Question ch03.erase: the least change of vectors after which no linear map reads the codes from them."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Question, Step
from mechlib.questions.drawing import distinct, double_normals

__all__ = ["QUESTION"]

Vectors = Float64[Tensor, "row d_model"]
Codes = Float64[Tensor, "row d_code"]


def centred(values: Tensor) -> Tensor:
    return values - values.mean(0)


def explained(codes: Codes, h: Vectors) -> Vectors:
    """What least squares makes of ``h`` from centred codes."""
    return codes @ (torch.linalg.pinv(codes, rtol=1e-10) @ h)


def erase(h: Vectors, codes: Codes, *, about: Step = centred, part: Step = explained) -> Vectors:
    """``h`` less its part that is linear in the codes; the mean stays."""
    return h - part(about(codes), about(h))


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Codes with a mean, dependent entries, a constant entry, one entry, few rows, nothing to erase."""
    return (
        _case("codes far from the origin", generator, away=4.0),
        _case("codes one entry of which is the sum of two others", generator, dependent=True),
        _case("codes with an entry that is the same everywhere", generator, constant=True),
        _case("codes of one entry", generator, width=1),
        _case("two rows more than entries of the codes", generator, rows=-2),
        _case("vectors that have nothing to do with the codes", generator, strength=0.0),
        _case("vectors of one entry", generator, d_model=1),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    strength: float = 1.0,
    away: float = 0.5,
    dependent: bool = False,
    constant: bool = False,
    width: int | None = None,
    d_model: int | None = None,
    rows: int = 0,
) -> Case:
    normals = double_normals(generator)
    d, w = distinct(generator, 2, 4, 8)
    d, w = d_model or d, width or w
    n = w - rows + 1 if rows else distinct(generator, 1, 25, 35)[0]
    n += n == d
    codes = normals(n, w) @ (normals(w, w) + 2 * torch.eye(w, dtype=torch.float64)) + away * normals(w)
    if dependent:
        codes[:, -1] = codes[:, 0] + codes[:, 1]
    if constant:
        codes[:, 1] = 2.5
    h = strength * codes @ normals(w, d) + normals(n, d) + 3 * normals(d)
    return Case(description, {"h": h, "codes": codes})


def one_by_one(codes: Codes, h: Vectors) -> Vectors:
    """Each entry of the codes by itself, as if they did not depend on each other."""
    length = codes.square().sum(0)
    share = torch.where(length > 1e-12, (codes.T @ h) / length.clamp(min=1e-12)[:, None], 0.0)
    return codes @ share


def from_vectors(codes: Codes, h: Vectors) -> Vectors:
    """The directions of h from which the codes are read, taken out."""
    read = torch.linalg.pinv(h, rtol=1e-10) @ codes
    return h @ read @ torch.linalg.pinv(read, rtol=1e-10)


def penalised(codes: Codes, h: Vectors) -> Vectors:
    moments = codes.T @ codes
    strength = 0.01 * moments.diagonal().mean()
    return codes @ torch.linalg.solve(moments + strength * torch.eye(len(moments), dtype=moments.dtype), codes.T @ h)


on = edits_of(erase)
MISCONCEPTIONS = {
    "not_centred": on(
        "you fit without an offset, so what is taken out has a mean of its own: centre both, or fit an offset.",
        about=lambda values: values,
    ),
    "mean_too": on(
        "the mean of h is gone as well; it tells nothing of the codes and stays.", result=lambda left: centred(left)
    ),
    "the_part": on(
        "this is the part that is linear in the codes; it is to be taken off h.",
        part=lambda codes, h: h - explained(codes, h),
    ),
    "added": on("you add the part; it is taken off.", part=lambda codes, h: -explained(codes, h)),
    "one_by_one": on(
        "you take out each entry of the codes by itself. They hang together: fit all of them at once.", part=one_by_one
    ),
    "directions": on(
        "you take whole directions out of h, those from which the codes are read. That takes out more than the codes "
        "explain; regress h on the codes, not the codes on h.",
        part=from_vectors,
    ),
    "penalised": on(
        "a penalty leaves some of the codes behind: least squares without one takes out all of it.", part=penalised
    ),
    "half": on("half of the part is left.", part=lambda codes, h: explained(codes, h) / 2),
    "code_mean": on(
        "you take the mean over entries off each row; the mean meant is that over the rows.",
        about=lambda values: values - values.mean(-1, keepdim=True),
    ),
}
QUESTION = Question(
    id="ch03.erase",
    points=2,
    title="Erase what a linear map reads",
    hints=(
        "A linear map can read the codes as far as they have covariance with h. What is left of h after what kind of "
        "fit has none?",
        "Regress h on the codes by least squares, with an offset, and take away what the codes contribute: the "
        "residuals of a regression have no covariance with what they were regressed on. The mean of h stays.",
        "c = codes - codes.mean(0); return h - c @ (torch.linalg.pinv(c, rtol=1e-10) @ (h - h.mean(0)))",
    ),
    reference=erase,
    cases=cases,
    axes={"h": "row d_model", "codes": "row d_code"},
    fields=(Field("h", "row d_model", atol=1e-6, rtol=1e-6),),
    misconceptions=MISCONCEPTIONS,
)
