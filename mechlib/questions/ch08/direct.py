"""Question ch08.direct: what a head writes toward a logit difference, through a final norm that is kept as it was."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import distinct, double_normals

__all__ = ["QUESTION"]

Vectors = Float[Tensor, "row d_model"]
Gain = Float[Tensor, " d_model"]


def size(stream: Vectors, eps: float) -> Float[Tensor, "row 1"]:
    """What an RMSNorm divides by."""
    return (stream.square().mean(-1, keepdim=True) + eps).sqrt()


def written(before: Vectors, after: Vectors) -> Vectors:
    """What the head itself adds, beyond what stands in its place."""
    return before - after


def read(normed: Vectors, right: Vectors, wrong: Vectors) -> Float[Tensor, " row"]:
    """The logit of one token less that of another."""
    return (normed * (right - wrong)).sum(-1)


def direct_effect(
    head: Vectors,
    instead: Vectors,
    stream: Vectors,
    gain: Gain,
    eps: float,
    right: Vectors,
    wrong: Vectors,
    *,
    by: Step = size,
    lost: Step = written,
    ahead: Step = read,
) -> Float[Tensor, " row"]:
    """The logit difference that a head writes, divided by what the norm divides by while nothing is cut."""
    return ahead(lost(head, instead) * gain / by(stream, eps), right, wrong)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Ordinary rows, one row, streams so short that eps counts, a head that is most of the stream, one entry."""
    return (
        _case("ordinary vectors", generator),
        _case("a single row", generator, rows=1),
        _case("streams so short that eps counts", generator, length=0.02, eps=1e-3),
        _case("a head that writes most of the stream", generator, most=True),
        _case("a stream of one entry", generator, d_model=1),
        _case("a stream far from zero", generator, away=4.0),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    rows: int | None = None,
    d_model: int | None = None,
    length: float = 1.0,
    eps: float = 1e-5,
    most: bool = False,
    away: float = 0.0,
) -> Case:
    normals = double_normals(generator)
    n, d = distinct(generator, 2, 4, 9)
    n, d = rows or n, d_model or d
    d += d == n
    head, instead, rest = (length * normals(n, d) for _ in range(3))
    stream = head + (0.05 if most else 1.5) * rest + away
    gain = 1.0 + 0.6 * normals(d)
    right, wrong = normals(n, d), normals(n, d)
    given = {"head": head, "instead": instead, "stream": stream, "gain": gain, "eps": eps}
    return Case(description, given | {"right": right, "wrong": wrong})


on = edits_of(direct_effect)


def anew(head, instead, stream, gain, eps, right, wrong):
    left = stream - head + instead
    return read(gain * (stream / size(stream, eps) - left / size(left, eps)), right, wrong)


def by_what_is_left(head, instead, stream, gain, eps, right, wrong):
    return direct_effect(head, instead, stream - head + instead, gain, eps, right, wrong)


MISCONCEPTIONS = {
    "norm_anew": Misconception(
        anew,
        "you let the norm divide what is left by its own size. That is the norm's answer to the cut; for the direct "
        "effect it divides by what it divided by before.",
    ),
    "size_of_the_rest": Misconception(
        by_what_is_left,
        "you divide by the size of the stream after the cut; the direct effect keeps the size before it.",
    ),
    "not_divided": on(
        "the norm is left out: what the head writes is divided by the size of the stream like all the rest.",
        by=lambda stream, eps: 1.0,
    ),
    "root_missing": on("you divide by the mean square; the norm divides by its root.", by=lambda x, e: size(x, e) ** 2),
    "length": on(
        "you divide by the length of the stream; an RMSNorm divides by the root of the mean square, without the sum.",
        by=lambda x, eps: (x.square().sum(-1, keepdim=True) + eps).sqrt(),
    ),
    "eps_outside": on("eps stands under the root.", by=lambda x, eps: size(x, 0.0) + eps),
    "no_eps": on("eps is left out; for short streams it counts.", by=lambda x, eps: size(x, 0.0)),
    "centred": on(
        "you take the mean off, as LayerNorm does; an RMSNorm does not.",
        by=lambda x, eps: size(x - x.mean(-1, keepdim=True), eps),
    ),
    "one_size": on("one size for all rows: every row has its own.", by=lambda x, eps: (x.square().mean() + eps).sqrt()),
    "whole_head": on(
        "this is all that the head writes. Something stands in its place after the cut: take that off.",
        lost=lambda head, instead: head,
    ),
    "turned": on(
        "the sign is turned: the effect is what the head adds beyond what stands in its place.", result=torch.neg
    ),
    "right_alone": on(
        "this is the logit of the right token alone; that of the wrong one comes off.",
        ahead=lambda normed, right, wrong: (normed * right).sum(-1),
    ),
    "no_gain": on("the gain of the norm is left out.", gain=lambda gain: torch.ones_like(gain)),
    "averaged": on("you average over the rows; one number for each is asked for.", result=lambda each: each.mean()),
}
QUESTION = Question(
    id="ch08.direct",
    points=1,
    title="Direct effect",
    hints=(
        "What becomes of a vector in the stream on its way to a logit, if the number by which the norm divides is "
        "given?",
        "With that number kept, norm and unembedding are linear: what the head adds beyond what stands in its place is "
        "divided by the size of the whole stream before the cut, multiplied by the gain, and read along right - wrong.",
        "s = (stream.square().mean(-1, keepdim=True) + eps).sqrt(); "
        "return ((head - instead) * gain / s * (right - wrong)).sum(-1)",
    ),
    reference=direct_effect,
    cases=cases,
    axes=dict.fromkeys(("head", "instead", "stream", "right", "wrong"), "row d_model") | {"gain": "d_model"},
    fields=(Field("effect", "row", atol=1e-7, rtol=1e-7),),
    misconceptions=MISCONCEPTIONS,
)
