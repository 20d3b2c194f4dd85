"""The residual stream as a set of columns: one for every position, each read only by itself and by later ones.

A column is the stack of a position's residual stream vectors, from the embedding to the last layer. In a causal
decoder the columns of a prefix do not depend on what follows, so a longer run repeats them. This module measures how
exactly, in two ways that must be told apart: with the same number of positions and another future, where every sum is
formed in the same order, and with fewer positions, where a matrix product may be summed in another order and round
differently.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeGuard

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge, require_bridge
from mechlib.stream.entries import residual_entries
from mechlib.stream.inputs import checked_tokens

__all__ = ["PrefixInvariance", "prefix_invariance", "without_mask"]


@dataclass(frozen=True)
class PrefixInvariance:
    """How far the columns of prefixes are from those of the longer run."""

    lengths: Int[Tensor, " prefix"]
    """Number of positions of every prefix."""
    shorter: Float64[Tensor, "prefix entry batch"]
    """Largest absolute difference of the prefix's columns between the run on the prefix alone and the longer run,
    ``[prefix, entry, batch]``. In exact arithmetic 0; in floating point at the level of rounding."""
    other_future: Float64[Tensor, "prefix entry batch"]
    """The same between two runs of the full length that share the prefix, the rest being other tokens,
    ``[prefix, entry, batch]``. 0 to the last bit for a causal model."""
    scale: Float64[Tensor, "entry batch"]
    """Largest absolute value in the columns of the longer run, ``[entry, batch]``: what rounding is relative to."""
    epsilon: float
    """Relative spacing of the model's floating-point numbers."""

    @property
    def rounding(self) -> Float64[Tensor, "prefix entry batch"]:
        """``shorter`` in units of ``epsilon * scale``: of the order of 1 where nothing but rounding differs."""
        return self.shorter / (self.epsilon * self.scale)


def prefix_invariance(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    *,
    lengths: Sequence[int] | None = None,
    seed: int = 0,
) -> PrefixInvariance:
    """Compare the columns of every prefix with the same columns of the run on all ``tokens``.

    The model runs in the precision of its weights. Hooks that are on it act in every run, so that an edit can serve as
    a positive control.

    Args:
        tokens: token ids, ``[batch, pos]``, all of them text; a single sequence ``[pos]`` counts as a batch of one.
        lengths: of the prefixes, each from 1 to ``pos - 1``; all of them when left out.
        seed: of the uniform tokens that make the other future.

    Raises:
        ValueError: if there are fewer than two positions, no lengths, or a length that is out of range; otherwise the
            errors are those of ``residual_entries``.
    """
    tokens = checked_tokens(model, tokens)
    lengths = _checked_lengths(lengths, tokens.shape[1])
    longer = residual_entries(model, tokens)
    future = torch.randint(model.cfg.d_vocab, tokens.shape, generator=torch.Generator().manual_seed(seed))
    future = future.to(tokens)

    shorter, other_future = [], []
    for length in lengths:
        other = torch.cat([tokens[:, :length], future[:, length:]], 1)
        shorter.append(_gap(residual_entries(model, tokens[:, :length]), longer))
        other_future.append(_gap(residual_entries(model, other)[:, :, :length], longer))
    return PrefixInvariance(
        lengths=torch.tensor(lengths),
        shorter=torch.stack(shorter),
        other_future=torch.stack(other_future),
        scale=longer.double().abs().amax((2, 3)),
        epsilon=torch.finfo(longer.dtype).eps,
    )


def _gap(
    columns: Float[Tensor, "entry batch prefix d_model"], longer: Float[Tensor, "entry batch pos d_model"]
) -> Float64[Tensor, "entry batch"]:
    return (columns.double() - longer[:, :, : columns.shape[2]].double()).abs().amax((2, 3))


def _checked_lengths(lengths: Sequence[int] | None, n_pos: int) -> list[int]:
    if n_pos < 2:
        raise ValueError(f"a prefix needs something that follows it; the tokens have {n_pos} position")
    chosen = list(range(1, n_pos) if lengths is None else map(int, lengths))
    if not chosen:
        raise ValueError("lengths are empty")
    for length in chosen:
        if not 1 <= length < n_pos:
            raise ValueError(f"a prefix of {n_pos} tokens has 1 to {n_pos - 1} of them, not {length}")
    return chosen


class _Masked(Protocol):
    """An attention whose mask can be switched off."""

    causal: bool


def _has_mask(module: object) -> TypeGuard[_Masked]:
    return isinstance(vars(module).get("causal"), bool)


@contextmanager
def without_mask(model: TransformerBridge) -> Iterator[None]:
    """Inside the block every head also attends to later positions: the control in which columns see the future.

    The weights stay, and the mask is back afterwards, also after an exception. A model that was trained with the mask
    predicts badly without it; that is beside the point here.

    Raises:
        ValueError: if the model is not one of the book's own format, whose mask can be switched.
    """
    require_bridge(model)
    attentions = [module for module in model.modules() if _has_mask(module)]
    if not attentions:
        raise ValueError(
            f"{model.cfg.model_name!r} has no attention whose mask can be switched off; the models of zoo.names() do"
        )
    before = [attention.causal for attention in attentions]
    try:
        for attention in attentions:
            attention.causal = False
        yield
    finally:
        for attention, causal in zip(attentions, before, strict=True):
            attention.causal = causal
