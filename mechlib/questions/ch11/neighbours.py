"""Question ch11.neighbours: nearest neighbours as a predictor in context."""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechlib.checks.edits import edits_of
from mechlib.checks.question import Case, Field, Misconception, Question, Step
from mechlib.questions.drawing import distinct, normal

__all__ = ["QUESTION"]

X = Float[Tensor, "prompt point coordinate"]
Y = Float[Tensor, "prompt point"]
Chosen = Bool[Tensor, "prompt point other"]


def distance(x: X) -> Float[Tensor, "prompt point other"]:
    return (x[:, :, None] - x[:, None]).norm(dim=-1)


def before(n: int, diagonal: int = -1) -> Bool[Tensor, "point other"]:
    return torch.ones(n, n, dtype=torch.bool).tril(diagonal)


def nearest(far: Float[Tensor, "prompt point other"], allowed: Bool[Tensor, "point other"], k: int) -> Chosen:
    """Which of those allowed are among the ``k`` that are least far."""
    far = far.masked_fill(~allowed, torch.inf)
    index = far.topk(min(k, far.shape[-1]), largest=False).indices
    return torch.zeros_like(far, dtype=torch.bool).scatter(-1, index, True) & allowed


def mean_of(y: Y, chosen: Chosen, k: int) -> Y:
    return (chosen.to(y) @ y[..., None])[..., 0] / chosen.sum(-1).clamp(min=1)


def neighbours(x: X, y: Y, k: int, *, far: Step = distance, allowed: Step = before, mean: Step = mean_of) -> Y:
    """The mean ``y`` of the ``k`` nearest earlier points, of all while they are fewer, and 0 at the first point."""
    return mean(y, nearest(far(x), allowed(y.shape[1]), k), k)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """One neighbour, several, all, inputs far from the origin, a single prompt, and a single coordinate."""
    few, some = distinct(generator, 2, 2, 4)
    return (
        _case("several neighbours", generator, k=few),
        _case("a single neighbour", generator, k=1),
        _case("inputs far from the origin", generator, k=some, mean=8.0),
        _case("as many neighbours as there are examples", generator, k=None),
        _case("a single prompt", generator, k=few + 1, mean=-2.0, n_prompts=1),
        _case("a single coordinate", generator, k=some + 1, d=1),
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    k: int | None,
    mean: float = 0.0,
    n_prompts: int | None = None,
    d: int | None = None,
) -> Case:
    drawn = distinct(generator, 3, 2, 9)
    n_prompts, n_points, d = n_prompts or drawn[0], drawn[1] + 8, d or drawn[2]
    return Case(
        description,
        {
            "x": normal(generator, n_prompts, n_points, d, mean=mean),
            "y": normal(generator, n_prompts, n_points, mean=1.0),
            "k": n_points - 1 if k is None else k,
        },
    )


def at_first(y: Y) -> Bool[Tensor, " point"]:
    return torch.arange(y.shape[1]) == 0


def cosine(x: X) -> Tensor:
    unit = x / x.norm(dim=-1, keepdim=True)
    return unit @ unit.mT


def weighted(x: X, y: Y, k: int) -> Y:
    weight = nearest(distance(x), before(y.shape[1]), k) / distance(x).clamp(min=1e-12)
    return (weight @ y[..., None])[..., 0] / weight.sum(-1).clamp(min=1e-12)


def only_kth(x: X, y: Y, k: int) -> Y:
    order = distance(x).masked_fill(~before(y.shape[1]), torch.inf).argsort(-1)
    place = (torch.arange(y.shape[1]).clamp(max=k) - 1).clamp(min=0)
    index = order.gather(-1, place.expand(len(y), -1)[..., None])[..., 0]
    return y.gather(1, index) * ~at_first(y)


on = edits_of(neighbours)

MISCONCEPTIONS = {
    "itself_too": on(
        "a point is its own nearest neighbour here; its y is what is to be predicted. Only earlier points.",
        allowed=partial(before, diagonal=0),
    ),
    "itself_after_the_first": Misconception(
        lambda x, y, k: neighbours(x, y, k, allowed=partial(before, diagonal=0)) * ~at_first(y),
        "a point counts among its own neighbours; its y is what is to be predicted.",
    ),
    "first_is_told": Misconception(
        lambda x, y, k: neighbours(x, y, k) + y * at_first(y),
        "at the first point nothing has been seen yet: predict 0 there, not its own y.",
    ),
    "one_more": on("you take k + 1 neighbours.", k=lambda k: k + 1),
    "looks_ahead": on(
        "you use later points too; at a point only the examples before it have been seen.",
        allowed=lambda n: ~torch.eye(n, dtype=torch.bool),
    ),
    "always_divided_by_k": on(
        "while there are fewer than k examples, divide by their number and not by k.",
        mean=lambda y, chosen, k: (chosen.to(y) @ y[..., None])[..., 0] / k,
    ),
    "waits_for_k": Misconception(
        lambda x, y, k: neighbours(x, y, k) * (torch.arange(y.shape[1]) >= k),
        "you predict 0 until there are k examples; take the mean of those that there are.",
    ),
    "by_dot_product": on(
        "nearest means smallest distance; the largest dot product favours long inputs.", far=lambda x: -x @ x.mT
    ),
    "by_cosine": on("nearest means smallest distance, not smallest angle.", far=lambda x: -cosine(x)),
    "farthest": on("these are the farthest examples: distances sort the other way round.", far=lambda x: -distance(x)),
    "city_blocks": on(
        "you add up absolute differences; the distance is the root of the sum of squares.",
        far=lambda x: (x[:, :, None] - x[:, None]).abs().sum(-1),
    ),
    "weighted": Misconception(weighted, "you weight neighbours by their distance; take their plain mean."),
    "latest": on(
        "these are the latest examples, not the nearest.",
        far=lambda x: -torch.arange(x.shape[1]).expand(len(x), x.shape[1], -1).to(x),
    ),
    "last_example_left_out": on(
        "the example just before the point is missing; it has been seen.", allowed=partial(before, diagonal=-2)
    ),
    "only_kth": Misconception(only_kth, "this is the k-th nearest example alone; take the mean of the k nearest."),
    "other_prompts": Misconception(
        lambda x, y, k: neighbours(x.flatten(0, 1)[None], y.flatten()[None], k).view_as(y),
        "your neighbours come from other prompts too, which have other functions.",
    ),
}

QUESTION = Question(
    id="ch11.neighbours",
    points=1,
    title="Nearest neighbours in context",
    hints=(
        "Which points may a prediction use? Put the others at an infinite distance.",
        "Distances [prompt, point, other], masked from the diagonal on; the k smallest; how many of them are finite?",
        "n = y.shape[1]; d = (x[:, :, None] - x[:, None]).square().sum(-1).sqrt(); d[:, torch.ones(n, n).triu() > 0] = "
        "torch.inf; near, index = d.topk(min(k, n), largest=False); seen = near < torch.inf; values = y[:, "
        "None].expand(-1, n, -1).gather(2, index); (values * seen).sum(-1) / seen.sum(-1).clamp(min=1).",
    ),
    reference=neighbours,
    cases=cases,
    axes={"x": "prompt point coordinate", "y": "prompt point"},
    fields=(Field("prediction", "prompt point", atol=1e-5),),
    misconceptions=MISCONCEPTIONS,
)
