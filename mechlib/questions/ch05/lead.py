"""Question ch05.lead: by how much a token leads at a vector, and its nearest rival."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Question, Step
from mechlib.questions.drawing import integer, near, normal

__all__ = ["QUESTION"]

Rows = Float[Tensor, "token d"]
Logits = Float[Tensor, " token"]


def logits_of(rows: Rows, bias: Logits, h: Float[Tensor, " d"]) -> Logits:
    return rows @ h + bias


def without(logits: Logits, token: int) -> Logits:
    """The logits of the others; the token's own is out of the way, and all places stay."""
    return torch.where(torch.arange(len(logits)) == token, -torch.inf, logits)


def lead(
    rows: Rows,
    bias: Logits,
    h: Float[Tensor, " d"],
    token: int,
    *,
    logits: Step = logits_of,
    others: Step = without,
    compare: Step = torch.sub,
) -> tuple[Tensor, Tensor]:
    """The logit of a token less the largest of the others, and whose that is."""
    found = logits(rows, bias, h)
    rest = others(found, token)
    return compare(found[token], rest.max()), rest.argmax()


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Leads of both signs, logits all of one sign, rivals in front and behind, two tokens, one entry."""
    return (
        _case("a token that leads", generator, ahead=1.5),
        _case("a token that is last", generator, ahead=-40.0),
        _case("logits that are all above zero", generator, ahead=-6.0, shift=400.0),
        _case("logits that are all below zero", generator, ahead=2.5, shift=-400.0),
        _case("a token just behind its rival", generator, ahead=-0.02, first=True),
        _case("two tokens", generator, ahead=0.6, tokens=2, first=True),
        _case("rows of one entry", generator, ahead=-3.0, d=1, last=True),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    ahead: float,
    shift: float = 0.0,
    tokens: int | None = None,
    d: int | None = None,
    first: bool = False,
    last: bool = False,
) -> Case:
    tokens, d = tokens or integer(generator, 9, 14), d or integer(generator, 3, 7)
    rows, h = normal(generator, tokens, d, scale=2.0), normal(generator, d, scale=1.5)
    bias = normal(generator, tokens, scale=3.0) + shift
    token = 0 if first else tokens - 1 if last else integer(generator, 1, tokens - 2)
    rival = without(rows @ h + bias, token).max()
    bias[token] += rival - (rows[token] @ h + bias[token]) + near(generator, ahead)
    return Case(description, {"rows": rows, "bias": bias, "h": h, "token": token})


on = edits_of(lead)
MISCONCEPTIONS = {
    "no_bias": on("the bias is missing from the logits.", logits=lambda rows, bias, h: rows @ h),
    "itself": on(
        "your rivals include the token itself: its lead can then never be above 0.", others=lambda found, token: found
    ),
    "reversed": on(
        "your lead has the wrong sign: it is the token's logit less the rival's.", compare=lambda own, best: best - own
    ),
    "size": on(
        "your lead has lost its sign: a token that is behind has a lead below 0.",
        compare=lambda own, best: (own - best).abs(),
    ),
    "never_behind": on(
        "your lead stops at 0: a token that is behind has a lead below 0.",
        compare=lambda own, best: (own - best).clamp(min=0),
    ),
    "zeroed": on(
        "you put the token's own logit to 0, which beats others where all are below zero; put it to minus infinity.",
        others=lambda found, token: torch.where(torch.arange(len(found)) == token, 0.0, found),
    ),
    "last": on(
        "you take the lead over the token with the smallest logit; the rival is the one with the largest.",
        others=lambda found, token: -torch.where(torch.arange(len(found)) == token, torch.inf, found),
        compare=lambda own, best: own + best,
    ),
}

QUESTION = Question(
    id="ch05.lead",
    points=1,
    title="By how much does it lead?",
    hints=(
        "All tokens have a logit, and the token in question is compared with the best of the others.",
        "Compute all logits, put the token's own aside (minus infinity, on a copy), and take the largest.",
        "z = rows @ h + bias; rest = z.clone(); rest[token] = -torch.inf; return z[token] - rest.max(), rest.argmax()",
    ),
    reference=lead,
    cases=cases,
    axes={"rows": "token d", "bias": "token", "h": "d"},
    fields=(Field("lead", atol=2e-4), Field("rival", atol=0, rtol=0)),
    misconceptions=MISCONCEPTIONS,
)
