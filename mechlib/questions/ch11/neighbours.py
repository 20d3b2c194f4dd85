"""Question ch11.neighbours: nearest neighbours as a predictor in context."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.icl.predictors import knn
from mechlib.questions.drawing import distinct, normal

__all__ = ["QUESTION"]

X = Float[Tensor, "prompt point coordinate"]
Y = Float[Tensor, "prompt point"]


def neighbours(x: X, y: Y, k: int) -> Y:
    """The mean ``y`` of the ``k`` nearest earlier points, of all while they are fewer, and 0 at the first point."""
    return knn(x, y, k=min(k, y.shape[1] - 1))


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


def _distance(x: X) -> Float[Tensor, "prompt point other"]:
    return (x[:, :, None] - x[:, None]).square().sum(-1).sqrt()


def _earlier(y: Y, diagonal: int = -1) -> Bool[Tensor, "point other"]:
    return torch.ones(y.shape[1], y.shape[1], dtype=torch.bool).tril(diagonal)


def _nearest(score: Tensor, allowed: Tensor, k: int) -> Bool[Tensor, "prompt point other"]:
    """Which of the allowed others have the ``k`` lowest scores."""
    score = score.masked_fill(~allowed, torch.inf)
    index = score.topk(min(k, score.shape[-1]), dim=-1, largest=False).indices
    return torch.zeros_like(score, dtype=torch.bool).scatter(-1, index, True) & allowed


def _mean(y: Y, chosen: Tensor) -> Y:
    chosen = chosen.to(y)
    return (chosen @ y[..., None])[..., 0] / chosen.sum(-1).clamp(min=1)


def itself_too(x, y, k):
    return _mean(y, _nearest(_distance(x), _earlier(y, 0), k))


def itself_after_the_first(x, y, k):
    return itself_too(x, y, k) * (torch.arange(y.shape[1]) > 0)


def first_is_told(x, y, k):
    return neighbours(x, y, k) + y * (torch.arange(y.shape[1]) == 0)


def one_more(x, y, k):
    return neighbours(x, y, k + 1)


def looks_ahead(x, y, k):
    return _mean(y, _nearest(_distance(x), ~torch.eye(y.shape[1], dtype=torch.bool), k))


def always_divided_by_k(x, y, k):
    chosen = _nearest(_distance(x), _earlier(y), k).to(y)
    return (chosen @ y[..., None])[..., 0] / k


def waits_for_k(x, y, k):
    return neighbours(x, y, k) * (torch.arange(y.shape[1]) >= k)


def by_dot_product(x, y, k):
    return _mean(y, _nearest(-x @ x.mT, _earlier(y), k))


def by_cosine(x, y, k):
    unit = x / x.norm(dim=-1, keepdim=True)
    return _mean(y, _nearest(-unit @ unit.mT, _earlier(y), k))


def farthest(x, y, k):
    return _mean(y, _nearest(-_distance(x), _earlier(y), k))


def city_blocks(x, y, k):
    return _mean(y, _nearest((x[:, :, None] - x[:, None]).abs().sum(-1), _earlier(y), k))


def weighted(x, y, k):
    chosen = _nearest(_distance(x), _earlier(y), k)
    weight = torch.where(chosen, 1 / _distance(x).clamp(min=1e-12), 0.0)
    return (weight @ y[..., None])[..., 0] / weight.sum(-1).clamp(min=1e-12)


def latest(x, y, k):
    age = torch.arange(y.shape[1])
    return _mean(y, _nearest((age[:, None] - age).expand(len(y), -1, -1).to(y), _earlier(y), k))


def last_example_left_out(x, y, k):
    return _mean(y, _nearest(_distance(x), _earlier(y, -2), k))


def only_kth(x, y, k):
    order = _distance(x).masked_fill(~_earlier(y), torch.inf).argsort(-1)
    place = (torch.arange(y.shape[1]).clamp(max=k) - 1).clamp(min=0)
    index = order.gather(-1, place.expand(len(y), -1)[..., None])[..., 0]
    return y.gather(1, index) * (torch.arange(y.shape[1]) > 0)


def other_prompts(x, y, k):
    pooled = neighbours(x.flatten(0, 1)[None], y.flatten()[None], k)
    return pooled.view_as(y)


MISCONCEPTIONS = {
    "itself_too": Misconception(
        itself_too, "a point is its own nearest neighbour here; its y is what is to be predicted. Only earlier points."
    ),
    "itself_after_the_first": Misconception(
        itself_after_the_first, "a point counts among its own neighbours; its y is what is to be predicted."
    ),
    "first_is_told": Misconception(
        first_is_told, "at the first point nothing has been seen yet: predict 0 there, not its own y."
    ),
    "one_more": Misconception(one_more, "you take k + 1 neighbours."),
    "looks_ahead": Misconception(
        looks_ahead, "you use later points too; at a point only the examples before it have been seen."
    ),
    "always_divided_by_k": Misconception(
        always_divided_by_k, "while there are fewer than k examples, divide by their number and not by k."
    ),
    "waits_for_k": Misconception(
        waits_for_k, "you predict 0 until there are k examples; take the mean of those that there are."
    ),
    "by_dot_product": Misconception(
        by_dot_product, "nearest means smallest distance; the largest dot product favours long inputs."
    ),
    "by_cosine": Misconception(by_cosine, "nearest means smallest distance, not smallest angle."),
    "farthest": Misconception(farthest, "these are the farthest examples: distances sort the other way round."),
    "city_blocks": Misconception(
        city_blocks, "you add up absolute differences; the distance is the root of the sum of squares."
    ),
    "weighted": Misconception(weighted, "you weight neighbours by their distance; take their plain mean."),
    "latest": Misconception(latest, "these are the latest examples, not the nearest."),
    "last_example_left_out": Misconception(
        last_example_left_out, "the example just before the point is missing; it has been seen."
    ),
    "only_kth": Misconception(only_kth, "this is the k-th nearest example alone; take the mean of the k nearest."),
    "other_prompts": Misconception(
        other_prompts, "your neighbours come from other prompts too, which have other functions."
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
