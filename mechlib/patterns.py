"""The three patterns that attention is measured against, and the sequences on which they show.

At the second 7 an induction head looks at what followed the first:

>>> pattern_mask(torch.tensor([7, 5, 7]), "induction").int()
tensor([[[0, 0, 0],
         [0, 0, 0],
         [0, 1, 0]]], dtype=torch.int32)
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Int
from torch import Tensor

Kind = Literal["previous_token", "duplicate_token", "induction"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def repeated_tokens(
    batch: int,
    period: int,
    d_vocab: int,
    *,
    bos: int | None = None,
    n_ctx: int | None = None,
    generator: torch.Generator,
) -> Int[Tensor, "batch pos"]:
    """Random tokens, then the same once more: what only a model that reads its context predicts.

    Each row is ``[bos] + block + block``; the ``period`` tokens of ``block`` are drawn uniformly and independently
    from the vocabulary without ``bos``, so a token may occur in a block more than once.

    Args:
        bos: a token to put in front, or ``None`` for rows without one.
        n_ctx: the context that the rows are to fit, if that is to be checked here.
        generator: on the CPU; the same state gives the same rows.

    Returns:
        ``[batch, 2 * period]``, or ``[batch, 1 + 2 * period]`` with ``bos``.

    Raises:
        ValueError: if ``batch`` or ``period`` is below 1; if there are fewer than two tokens to draw from, where
            every row would be a repeat of period 1; if ``bos`` is outside the vocabulary; if the rows are longer
            than ``n_ctx``.
    """
    if batch < 1 or period < 1:
        raise ValueError(f"batch and period are at least 1, not batch={batch}, period={period}")
    if bos is not None and not 0 <= bos < d_vocab:
        raise ValueError(f"bos={bos} is no token: ids are from 0 to {d_vocab - 1}")
    n_drawn = d_vocab - (bos is not None)
    if n_drawn < 2:
        raise ValueError(f"d_vocab={d_vocab} with bos={bos} leaves {n_drawn} token to draw; at least 2 are needed")
    longest = None if n_ctx is None else longest_period(n_ctx, bos)
    if longest is not None and period > longest:
        raise ValueError(f"period {period} is too long: a context of {n_ctx} takes periods up to {longest}")
    block = torch.randint(n_drawn, (batch, period), generator=generator)
    if bos is None:
        return block.repeat(1, 2)
    block += block >= bos
    return torch.cat([torch.full((batch, 1), bos), block, block], dim=1)


def longest_period(n_ctx: int, bos: int | None) -> int:
    """The longest block that fits a context twice, beside ``bos`` if there is one."""
    return (n_ctx - (bos is not None)) // 2


def pattern_mask(
    tokens: Int[Tensor, "batch pos"], kind: Kind, *, attention_mask: Bool[Tensor, "batch pos"] | None = None
) -> Bool[Tensor, "batch query key"]:
    """Where a head of this kind looks from each position, for any sequence: true at every target.

    - ``previous_token``: the position just before.
    - ``duplicate_token``: every earlier position with the same token.
    - ``induction``: every position up to the present one whose predecessor is an earlier occurrence of the present
      token: there stands what followed that token before.

    A position may have no target, or several. These are the patterns of TransformerLens's ``detect_head``.

    Args:
        tokens: ``[batch, pos]``, or one row ``[pos]``.
        attention_mask: of the same shape; false or 0 at pads, from and to which no head looks.

    Raises:
        ValueError: for another ``kind``.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
    tokens = torch.atleast_2d(torch.as_tensor(tokens).long())
    batch, pos = tokens.shape
    if kind == "previous_token":
        targets = torch.ones(pos, pos, dtype=torch.bool, device=tokens.device).tril(-1).triu(-1).expand(batch, -1, -1)
    else:
        targets = (tokens[:, :, None] == tokens[:, None, :]).tril(-1)
    if attention_mask is not None:
        real = torch.atleast_2d(torch.as_tensor(attention_mask)).to(tokens.device, torch.bool)
        targets = targets & real[:, :, None] & real[:, None, :]
    return torch.nn.functional.pad(targets[:, :, :-1], (1, 0)) if kind == "induction" else targets
