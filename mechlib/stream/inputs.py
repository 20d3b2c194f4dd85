"""What is put into a model: token ids of any integer type, and the mask of rows of unequal length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import SupportsIndex

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge, require_bridge

Positions = int | slice | Sequence[int] | Int[Tensor, " selected"] | None


def checked_tokens(model: TransformerBridge, tokens: Int[Tensor | np.ndarray, "*axes"]) -> Int[Tensor, "batch pos"]:
    """``tokens`` as ``[batch, pos]`` of long integers on the model's device; ``[pos]`` is a batch of one.

    Raises:
        TypeError: if they are no integers in a tensor or an array.
        ValueError: if they are empty, of another number of axes, longer than the context or outside the vocabulary.
    """
    require_bridge(model)
    ids = checked_ids("tokens", tokens, model.cfg.d_vocab)
    shape = tuple(ids.shape)
    if len(shape) not in (1, 2):
        raise ValueError(f"tokens have the axes [batch, pos], or [pos] alone; their shape is {shape}")
    if shape[-1] > model.cfg.n_ctx:
        raise ValueError(f"tokens of shape {shape} are longer than the model's context of {model.cfg.n_ctx}")
    return torch.atleast_2d(ids).to(model.W_U.device)


def checked_mask(
    attention_mask: Bool[Tensor | np.ndarray, "*axes"] | Int[Tensor | np.ndarray, "*axes"] | None,
    tokens: Int[Tensor, "batch pos"],
) -> Bool[Tensor, "batch pos"] | None:
    """True where ``tokens``, as :func:`checked_tokens` gives them, are no pads; ``None`` if none of them is one.

    Raises:
        ValueError: if the mask is of another shape than the tokens, holds something else than 0 and 1 or true and
            false, if a row is nothing but pads, or has pads between its tokens.
    """
    if attention_mask is None:
        return None
    given = torch.as_tensor(attention_mask)
    if torch.atleast_2d(given).shape != tokens.shape:
        raise ValueError(
            f"attention_mask says of every token whether it is one: its shape is that of the tokens, "
            f"{tuple(tokens.shape)}, not {tuple(given.shape)}"
        )
    if not ((given == 0) | (given == 1)).all():
        raise ValueError("attention_mask is 1 or true at tokens and 0 or false at pads, and nothing else")
    mask = _ordinary(torch.atleast_2d(given).to(tokens.device, torch.bool))
    if mask.all():
        return None
    beginnings = (mask & ~torch.nn.functional.pad(mask[:, :-1], (1, 0))).sum(1)
    if len(wrong := (beginnings != 1).nonzero()):
        row = int(wrong[0])
        problem = "has no token" if beginnings[row] == 0 else "has pads between its tokens"
        raise ValueError(
            f"row {row} of attention_mask {problem}: pads stand before the tokens of a row, or behind them"
        )
    return mask


def checked_ids(name: str, ids: Int[Tensor | np.ndarray, "*axes"], d_vocab: int) -> Int[Tensor, "*axes"]:
    """``ids``, integers of any size in a tensor or an array of NumPy, as long integers from 0 to ``d_vocab - 1``.

    Raises:
        TypeError: if they are something else.
        ValueError: if they are empty or outside the vocabulary.
    """
    if isinstance(ids, np.ndarray) and ids.dtype.kind in "iu":
        ids = torch.from_numpy(ids.astype(np.int64))
    if not isinstance(ids, Tensor | np.ndarray):
        raise TypeError(f"{name} are a tensor of token ids, not {type(ids).__name__}: {ids!r}")
    if isinstance(ids, np.ndarray) or ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise TypeError(f"{name} are integers; these, of shape {tuple(ids.shape)}, are {ids.dtype}")
    if ids.numel() == 0:
        raise ValueError(f"{name} of shape {tuple(ids.shape)} are empty")
    ids = _ordinary(ids.long())  # d_vocab may be more than a narrow type can hold
    outside = ((ids < 0) | (ids >= d_vocab)).nonzero()
    if len(outside):
        where = outside[0].tolist()
        raise ValueError(f"{name} hold {int(ids[tuple(where)])} at {where}; token ids are from 0 to {d_vocab - 1}")
    return ids


def _ordinary(given: Tensor) -> Tensor:
    """A tensor that a backward pass can keep: one made in ``torch.inference_mode`` is copied."""
    return given.clone() if given.is_inference() else given


def checked_positions(positions: Positions, n_pos: int) -> Int[Tensor, " selected"]:
    """The selected positions as a tensor, each from 0 to ``n_pos - 1``."""
    every = range(n_pos)
    if positions is None or isinstance(positions, slice):
        selected = list(every if positions is None else every[positions])
    else:
        several = positions.tolist() if isinstance(positions, Tensor | np.ndarray) else positions
        several = several if isinstance(several, Iterable) else [several]
        selected = [_checked_position(position, n_pos, positions) for position in several]
    if not selected:
        raise ValueError(f"positions={positions!r} selects none of the {n_pos} positions")
    return torch.tensor(selected)


def _checked_position(position: object, n_pos: int, given: Positions) -> int:
    if isinstance(position, bool) or not isinstance(position, SupportsIndex):
        raise TypeError(f"positions are integers or a slice; positions={given!r} holds {position!r}")
    index = position.__index__()
    if not -n_pos <= index < n_pos:
        raise ValueError(
            f"positions={given!r}: {index} is out of range; there are {n_pos} positions, {-n_pos} to {n_pos - 1}"
        )
    return index % n_pos
