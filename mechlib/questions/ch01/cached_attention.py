"""Question ch01.cached_attention: new columns attend to kept ones and to each other."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import integer, normal

__all__ = ["QUESTION"]

New = Float[Tensor, "head new d_head"]
Old = Float[Tensor, "head old d_head"]


def cached_attention(query: New, key: New, value: New, old_keys: Old, old_values: Old) -> New:
    """What every head mixes for each new column out of the columns up to that one, kept or new."""
    keys, values = torch.cat([old_keys, key], 1), torch.cat([old_values, value], 1)
    return masked(query @ keys.mT / math.sqrt(query.shape[-1]), old_keys.shape[1]).softmax(-1) @ values


def masked(scores: Float[Tensor, "head new pos"], offset: int) -> Float[Tensor, "head new pos"]:
    """Minus infinity wherever the key comes more than ``offset`` places after the number of the query."""
    return scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(offset + 1), -torch.inf)


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """Several new columns, a single one, a prompt without anything before it, more kept ones than a short window holds,
    a single head, one dimension, scores far apart, and scores far below zero.

    Among the last, the first new column scores the last one, which it may not see, hundreds above what it may see;
    and the second has scores far below zero only.
    """
    far = _case("scores that lie far apart", generator, sharpness=60.0)
    far.inputs["key"][:, -1] += 0.05 * far.inputs["query"][:, 0]
    far.inputs["query"][:, 1] -= 120.0
    for name in ("key", "old_keys"):
        far.inputs[name].add_(2.0)
    below = _far_below(_case("scores that are all far below zero", generator, d_head=16))
    return (
        _case("several new columns beside kept ones", generator),
        _case("many kept columns", generator, old=integer(generator, 130, 140)),
        _case("a single new column", generator, new=1),
        _case("a prompt: nothing is kept yet", generator, old=0),
        _case("a single head", generator, head=1),
        _case("heads of one dimension", generator, d_head=1),
        far,
        below,
    )


def _far_below(case: Case) -> Case:
    """The case with scores of some -1000, exact in single precision."""
    query, key, old_keys = (case.inputs[name].clone() for name in ("query", "key", "old_keys"))
    query.zero_()
    query[..., 0] = -2400.0 - 100 * torch.arange(query.shape[1])
    for keys in (key, old_keys):
        keys[..., 0] = 2 + (keys[..., 0] * 2).round() / 1024
    return Case(case.description, {**case.inputs, "query": query, "key": key, "old_keys": old_keys})


def _case(
    description: str,
    generator: torch.Generator,
    *,
    new: int | None = None,
    old: int | None = None,
    head: int | None = None,
    d_head: int | None = None,
    sharpness: float = 1.0,
) -> Case:
    several, wide = integer(generator, 2, 3), integer(generator, 10, 12)
    head, d_head = head or several, d_head or wide
    several_new, several_old = integer(generator, 4, 5), integer(generator, 6, 9)
    new = several_new if new is None else new
    old = several_old if old is None else old
    inputs = {
        "query": normal(generator, head, new, d_head, scale=sharpness),
        "key": normal(generator, head, new, d_head, mean=0.3),
        "value": normal(generator, head, new, d_head, scale=2.0),
        "old_keys": normal(generator, head, old, d_head, mean=0.3),
        "old_values": normal(generator, head, old, d_head, scale=2.0, mean=0.5),
    }
    return Case(description, inputs)


def _scores(query, key, old_keys):
    return query @ torch.cat([old_keys, key], 1).mT / math.sqrt(query.shape[-1])


def _joined(old_values, value):
    return torch.cat([old_values, value], 1)


def no_scale(query, key, value, old_keys, old_values):
    return cached_attention(query * math.sqrt(query.shape[-1]), key, value, old_keys, old_values)


def scale_without_root(query, key, value, old_keys, old_values):
    return cached_attention(query / math.sqrt(query.shape[-1]), key, value, old_keys, old_values)


def scale_by_columns(query, key, value, old_keys, old_values):
    n_pos = old_keys.shape[1] + key.shape[1]
    return cached_attention(query * math.sqrt(query.shape[-1] / n_pos), key, value, old_keys, old_values)


def mask_not_moved(query, key, value, old_keys, old_values):
    return masked(_scores(query, key, old_keys), 0).softmax(-1) @ _joined(old_values, value)


def no_mask(query, key, value, old_keys, old_values):
    return _scores(query, key, old_keys).softmax(-1) @ _joined(old_values, value)


def not_itself(query, key, value, old_keys, old_values):
    return masked(_scores(query, key, old_keys), old_keys.shape[1] - 1).softmax(-1) @ _joined(old_values, value)


def one_too_far(query, key, value, old_keys, old_values):
    return masked(_scores(query, key, old_keys), old_keys.shape[1] + 1).softmax(-1) @ _joined(old_values, value)


def without_old(query, key, value, old_keys, old_values):
    return cached_attention(query, key, value, old_keys[:, :0], old_values[:, :0])


def new_before_old(query, key, value, old_keys, old_values):
    scores = query @ torch.cat([key, old_keys], 1).mT / math.sqrt(query.shape[-1])
    return masked(scores, old_keys.shape[1]).softmax(-1) @ torch.cat([value, old_values], 1)


def values_out_of_order(query, key, value, old_keys, old_values):
    pattern = masked(_scores(query, key, old_keys), old_keys.shape[1]).softmax(-1)
    return pattern @ torch.cat([value, old_values], 1)


def keys_for_values(query, key, value, old_keys, old_values):
    return cached_attention(query, value, key, old_values, old_keys)


def softmax_over_queries(query, key, value, old_keys, old_values):
    return masked(_scores(query, key, old_keys), old_keys.shape[1]).softmax(-2) @ _joined(old_values, value)


def softmax_over_heads(query, key, value, old_keys, old_values):
    return masked(_scores(query, key, old_keys), old_keys.shape[1]).softmax(0) @ _joined(old_values, value)


def masked_by_zero(query, key, value, old_keys, old_values):
    scores = _scores(query, key, old_keys).tril(old_keys.shape[1])
    return scores.softmax(-1) @ _joined(old_values, value)


def masked_by_a_hundred(query, key, value, old_keys, old_values):
    scores = _scores(query, key, old_keys)
    hidden = torch.ones_like(scores).triu(old_keys.shape[1] + 1)
    return (scores - 100 * hidden).softmax(-1) @ _joined(old_values, value)


def masked_to_minus_a_hundred(query, key, value, old_keys, old_values):
    scores = masked(_scores(query, key, old_keys), old_keys.shape[1])
    return scores.nan_to_num(neginf=-100.0).softmax(-1) @ _joined(old_values, value)


def less_the_largest_of_all(query, key, value, old_keys, old_values):
    scores = _scores(query, key, old_keys)
    weights = (scores - scores.amax(-1, keepdim=True)).exp().tril(old_keys.shape[1])
    return weights / weights.sum(-1, keepdim=True) @ _joined(old_values, value)


def masked_after_softmax(query, key, value, old_keys, old_values):
    pattern = _scores(query, key, old_keys).softmax(-1).tril(old_keys.shape[1])
    return pattern @ _joined(old_values, value)


def not_normalised(query, key, value, old_keys, old_values):
    scores = masked(_scores(query, key, old_keys), old_keys.shape[1])
    return (scores - scores.amax(-1, keepdim=True)).exp() @ _joined(old_values, value)


def plain_exponentials(query, key, value, old_keys, old_values):
    weights = masked(_scores(query, key, old_keys), old_keys.shape[1]).exp()
    return weights / weights.sum(-1, keepdim=True) @ _joined(old_values, value)


MISCONCEPTIONS = {
    "no_scale": Misconception(no_scale, "the scores are not divided by the root of d_head."),
    "scale_without_root": Misconception(
        scale_without_root, "you divide by d_head; the scores are divided by its root."
    ),
    "scale_by_columns": Misconception(
        scale_by_columns, "you divide by the root of the number of columns; it is the root of d_head."
    ),
    "mask_not_moved": Misconception(
        mask_not_moved,
        "the mask starts at column 0, but the first new column stands after all kept ones: query t may see the kept "
        "columns and the new ones up to t. Move the diagonal by their number.",
    ),
    "no_mask": Misconception(no_mask, "there is no mask: a new column sees the new ones after it."),
    "not_itself": Misconception(not_itself, "the mask hides a column from itself; it may see itself."),
    "one_too_far": Misconception(
        one_too_far, "the mask begins one place too late: each new column sees the one after it as well."
    ),
    "without_old": Misconception(without_old, "the kept columns are not attended to at all."),
    "new_before_old": Misconception(
        new_before_old, "you put the new columns before the kept ones, and the mask hides the wrong ones then."
    ),
    "values_out_of_order": Misconception(
        values_out_of_order, "keys and values are joined in different orders: each weight meets another column's value."
    ),
    "keys_for_values": Misconception(
        keys_for_values, "keys and values are exchanged: queries are compared with keys, and values are mixed."
    ),
    "keys_mixed": Misconception(
        lambda query, key, value, old_keys, old_values: cached_attention(query, key, key, old_keys, old_keys),
        "you mix the keys; the weights belong to the values.",
    ),
    "softmax_over_queries": Misconception(
        softmax_over_queries, "your softmax runs over the queries; the weights of one query sum to one over the keys."
    ),
    "softmax_over_heads": Misconception(
        softmax_over_heads, "your softmax runs over the heads; the weights of one query sum to one over the keys."
    ),
    "masked_by_zero": Misconception(
        masked_by_zero, "a masked score is set to 0, which is a score like another. Set it to minus infinity."
    ),
    "masked_by_a_hundred": Misconception(
        masked_by_a_hundred,
        "right for scores near each other, but 100 less is not hidden where scores lie further apart. Use minus "
        "infinity.",
    ),
    "masked_to_minus_a_hundred": Misconception(
        masked_to_minus_a_hundred,
        "right for scores near each other, but a number such as -100 can be larger than a score that may be seen. Use "
        "minus infinity.",
    ),
    "less_the_largest_of_all": Misconception(
        less_the_largest_of_all,
        "right for scores near each other, but the largest score that you subtract may be a hidden one, and all "
        "visible weights then round to zero. Hide first, then take the largest.",
    ),
    "masked_after_softmax": Misconception(
        masked_after_softmax,
        "you mask after the softmax, so the weights no longer sum to one. Mask the scores before it.",
    ),
    "not_normalised": Misconception(not_normalised, "the weights of a query do not sum to one."),
    "plain_exponentials": Misconception(
        plain_exponentials,
        "right in exact arithmetic, but exp overflows for large scores. Subtract the largest score first, or use "
        "softmax, which does.",
    ),
}

QUESTION = Question(
    id="ch01.cached_attention",
    points=2,
    title="Attend with a cache",
    hints=(
        "Which columns may the first of the new ones see, and which the last?",
        "Join kept and new keys, and values in the same order; scale the scores, hide what comes later from each "
        "query, take the softmax over the keys, and mix the values.",
        "With n kept columns, the query of new column t sees the first n + t + 1 of the joined keys: fill "
        "ones.triu(n + 1) of query @ keys.mT / sqrt(d_head) with minus infinity.",
    ),
    reference=cached_attention,
    cases=cases,
    axes={
        "query": "head new d_head",
        "key": "head new d_head",
        "value": "head new d_head",
        "old_keys": "head old d_head",
        "old_values": "head old d_head",
    },
    fields=(Field("mixed", "head new d_head"),),
    misconceptions=MISCONCEPTIONS,
)
