"""Question ch08.paths: the coefficient and its multiplicity where several paths back each other up."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import distinct

__all__ = ["QUESTION"]

Equations = Int[Tensor, " path"]
Works = Bool[Tensor, " path"]


def of_working(equations: Equations, works: Works) -> Equations:
    return equations[works]


def simplest(of_paths: Tensor) -> Tensor:
    return of_paths.min()


def attaining(of_paths: Tensor, value: Tensor) -> Tensor:
    return (of_paths == value).sum()


def paths(
    equations: Equations,
    works: Works,
    *,
    which: Step = of_working,
    half: float = 0.5,
    pick: Step = simplest,
    count: Step = attaining,
) -> tuple[Tensor, Tensor]:
    """λ and m of a product of squared lengths at a point where the factors of the working paths are 0."""
    each = half * which(equations, works)
    value = pick(each)
    return value, count(each, value)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """One path, all paths, ties of two and three, four that differ, an idle path simpler than all that work."""
    low = distinct(generator, 3, 1, 4)
    high = distinct(generator, 6, 6, 19)
    return (
        _case("a single path that works", [high[0], low[0], high[1]], [True, False, False]),
        _case("the last path works", [low[1], high[2], high[3]], [False, False, True]),
        _case("two that work, one of them simpler", [high[0], high[1], low[2], high[2]], [False, True, True, False]),
        _case("two that work and are alike", [high[4], low[0], high[4], high[4]], [True, False, True, False]),
        _case("all work, three are the simplest", [low[1], high[0], low[1], high[3], low[1]], [True] * 5),
        _case(
            "the simplest path idles", [low[0], high[5], high[2], high[2], low[0]], [False, True, False, True, False]
        ),
        _case(
            "four that work and differ, one idles",
            [high[2], high[0], high[4], low[2], high[1]],
            [True, True, True, False, True],
        ),
        _case("one long path", [2001 + 2 * high[3]], [True]),
        _case("one equation each", [1, 1, 1, 1, 1, 1], [True, True, False, True, True, False]),
    )


def _case(description: str, equations: list[int], works: list[bool]) -> Case:
    return Case(description, {"equations": torch.tensor(equations), "works": torch.tensor(works)})


def largest(of_paths: Tensor) -> Tensor:
    return of_paths.max()


on = edits_of(paths)
MISCONCEPTIONS = {
    "idle": on(
        "you let idle paths count. Where a path does not work its factor is not 0 at the point: near it the loss is "
        "that of the others, times a constant.",
        which=lambda equations, works: equations,
    ),
    "sum": on(
        "you add up the paths, as if all had to be right; it is enough that one is.",
        pick=lambda each: each.sum(),
        count=lambda each, value: torch.tensor(1),
    ),
    "hardest": on(
        "you take the path with the most equations; the loss vanishes most easily by the simplest.", pick=largest
    ),
    "whole": on("your coefficient is twice as large: a square of one weight has 1/2.", half=1.0),
    "working": on(
        "your multiplicity counts all paths that work; only those with as few equations as the simplest count.",
        count=lambda each, value: torch.tensor(len(each)),
    ),
    "once": on(
        "your multiplicity is always 1; paths that are equally simple each add to it.",
        count=lambda each, value: torch.tensor(1),
    ),
    "repaired_lower": Misconception(
        lambda equations, works: (paths(equations, works)[0] / works.sum(), paths(equations, works)[1]),
        "you divide by the number of paths that work. More ways to be right make the multiplicity larger, and leave "
        "the coefficient where the simplest has it.",
    ),
}

QUESTION = Question(
    id="ch08.paths",
    points=2,
    title="Paths that back each other up",
    hints=(
        "At the point, the factors of idle paths are constants above 0. What is left of the loss?",
        "A product of squared lengths of separate weights: each factor alone has half its equations as coefficient. "
        "Which one decides how fast the volume shrinks, and what do equals of it change?",
        "half = equations[works] / 2; the coefficient is half.min(), the multiplicity (half == half.min()).sum().",
    ),
    reference=paths,
    cases=cases,
    axes={"equations": "path", "works": "path"},
    fields=(Field("coefficient", atol=1e-6), Field("multiplicity", atol=0, rtol=0)),
    misconceptions=MISCONCEPTIONS,
)
