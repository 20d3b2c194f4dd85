"""Where heads could look, and attention patterns that look there more or less."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from mechlib.questions.drawing import normal

__all__ = ["attention", "draw_to", "duplicates", "induction_targets", "on_targets"]

Pattern = Float[Tensor, "*head batch pos pos"]
Mask = Bool[Tensor, "*batch pos pos"]
Tokens = Int[Tensor, "batch pos"]


def induction_targets(tokens: Tokens) -> Mask:
    """``[batch, query, key]``: whether the token before the key is the query's, for keys up to the query."""
    before = F.pad(tokens[:, :-1], (1, 0), value=-1)
    return (tokens[:, :, None] == before[:, None, :]).tril()


def duplicates(tokens: Tokens) -> Mask:
    """``[batch, query, key]``: whether an earlier key holds the query's token."""
    return (tokens[:, :, None] == tokens[:, None, :]).tril(-1)


def on_targets(pattern: Pattern, targets: Mask) -> Float[Tensor, "*head"]:
    """The attention on ``targets`` in the mean over the queries of all rows that have one; NaN if none has."""
    return (pattern * targets).sum(-1)[..., targets.any(-1)].mean(-1)


def attention(generator: torch.Generator, *heads: int, tokens: Tokens, shortcut: int | None = None) -> Pattern:
    """Causal patterns of heads that are drawn, more in one row than in another, to what a head may be drawn to.

    These are the induction targets, the earlier copies of the token, the previous position, the first one, and, if
    it is given, the position ``shortcut`` back.
    """
    pos = tokens.shape[1]
    ones = torch.ones(pos, pos)
    distances = [1] if shortcut is None else [1, shortcut]
    places = [ones.tril(-d) - ones.tril(-d - 1) for d in distances]
    places += [induction_targets(tokens).float(), duplicates(tokens).float(), ones.tril() * (torch.arange(pos) == 0)]
    masks = torch.stack([place.expand(len(tokens), pos, pos) for place in places])
    of_head, of_row = (normal(generator, *heads, n, len(masks)) for n in (1, len(tokens)))
    pull = 1.0 + 1.5 * of_head + 2.5 * of_row
    noise = normal(generator, *heads, len(tokens), pos, pos)
    scores = torch.einsum("...bm,mbqk->...bqk", pull, masks) + noise
    return scores.masked_fill(ones.tril() == 0, -torch.inf).softmax(-1)


def draw_to(pattern: Float[Tensor, "layer head batch pos pos"], targets: Mask) -> None:
    """Let the first head of the first layer look at nothing but ``targets``, and the last of the last hardly at them.

    In place; a query that has none, or that sees nothing else, stays as it is.
    """
    for head, share in ((pattern[0, 0], 1.0), (pattern[-1, -1], 0.004)):
        on, off = head * targets, head * ~targets
        total, rest = on.sum(-1, keepdim=True), off.sum(-1, keepdim=True)
        drawn = share * on / total + (1 - share) * off / rest
        head.copy_(torch.where((total > 0) & (rest > 0), drawn, head))
