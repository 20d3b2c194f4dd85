"""How much of every head's attention falls on each pattern, from one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.patterns import KINDS, Kind, pattern_mask
from mechlib.stream.hooks import Hook, pattern_hooks
from mechlib.stream.inputs import checked_mask, checked_tokens
from mechlib.stream.running import at_rest, few_sequences, run
from mechlib.stream.unembedding import single_or_double

TOKENS_AT_ONCE = 256
"""Tokens of one forward pass, at least one sequence: patterns grow with the square of its length."""


@dataclass(frozen=True)
class HeadScores:
    """Shares of attention, from 0 to 1, for the sequences given to :func:`head_scores`.

    A share depends on how many positions have a target: on a sequence repeated once, half the positions have no
    induction target, and a perfect induction head scores about one half. :meth:`attained` takes that out.
    """

    previous_token: Float[Tensor, "layer head"]
    """Share of each head's attention that goes to the position just before, ``[n_layers, n_heads]``."""
    duplicate_token: Float[Tensor, "layer head"]
    """Share that goes to earlier occurrences of the present token, ``[n_layers, n_heads]``."""
    induction: Float[Tensor, "layer head"]
    """Share that goes to what followed earlier occurrences of the present token, ``[n_layers, n_heads]``."""
    reachable: Mapping[Kind, float]
    """Share of the positions that have a target of each kind: the largest score that a head can have."""

    def attained(self, kind: Kind) -> Float[Tensor, "layer head"]:
        """The attention on targets at the positions that have one, mean over these, ``[n_layers, n_heads]``.

        Equals the score divided by ``reachable``; from 0 to 1, and NaN where no position has a target.

        Raises:
            ValueError: for another ``kind``.
        """
        if kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
        return getattr(self, kind) / self.reachable[kind]


def head_scores(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    *,
    attention_mask: Bool[Tensor, "batch pos"] | Int[Tensor, "batch pos"] | None = None,
) -> HeadScores:
    """The share of every head's attention that falls on each of the three patterns of ``pattern_mask``.

    Mean over all positions and rows: what ``detect_head`` of TransformerLens gives with its measure ``"mul"``, row by
    row. Every pattern is summed up as soon as its layer has made it, and dropped; the pass ends with the last one.

    On tokens that do not repeat, a score is still the share of attention on such targets as there are: chance
    repeats count, and without any the induction and duplicate-token scores are 0. It then says where a head looks in
    this text and not what it would do with a repeat; ``reachable`` tells how many positions it rests on.

    The model runs in eval mode without gradients; its weights, mode and hooks are left as they were.

    Args:
        tokens: token ids, ``[batch, pos]``, up to the full context; a single sequence ``[pos]`` is a batch of one.
        attention_mask: for rows of unequal length, as for ``mechlib.stream.logit_lens``: 0 or false at the pads before
            or behind a row's tokens. Pads are no targets and count in no mean, so the scores are the means over the
            tokens of all rows, each run alone.

    Raises:
        TypeError: if ``tokens`` is no integer tensor.
        ValueError: if ``tokens`` is empty, longer than the context or outside the vocabulary; if ``attention_mask`` is
            none of these tokens; if the model computes no attention patterns.
    """
    tokens = checked_tokens(model, tokens)
    mask = checked_mask(attention_mask, tokens)
    names = pattern_hooks(model)
    on_targets = torch.zeros(len(KINDS), len(names), model.cfg.n_heads, device=tokens.device, dtype=torch.float64)
    with_target = torch.zeros(len(KINDS), device=tokens.device)
    with at_rest(model):
        for sequences in few_sequences(tokens, TOKENS_AT_ONCE):
            real = None if mask is None else mask[sequences]
            patterns = [pattern_mask(tokens[sequences], kind, attention_mask=real) for kind in KINDS]
            with_target += torch.stack([pattern.any(-1).sum() for pattern in patterns])
            adding_up = _adding_up(torch.stack(patterns), real)
            hooks = [(name, adding_up(on_targets[:, layer])) for layer, name in enumerate(names)]
            with suppress(_LastPatternSeen):
                run(model, tokens[sequences], [*hooks, (names[-1], _stop)], real)
    n_tokens = tokens.numel() if mask is None else int(mask.sum())
    shares = dict(zip(KINDS, (on_targets / n_tokens).float(), strict=True))
    reachable = (with_target / n_tokens).tolist()
    return HeadScores(**shares, reachable=dict(zip(KINDS, reachable, strict=True)))


def _adding_up(
    targets: Bool[Tensor, "kind batch query key"], real: Bool[Tensor, "batch query"] | None
) -> Callable[[Float[Tensor, "kind head"]], Hook]:
    """For a place to add to, a hook that adds each head's attention at the targets of every kind.

    One product of matrices: to look up the targets by their numbers a host would have to wait for them. Pads, whose
    attention may be NaN, count as 0.
    """
    chosen = targets.flatten(1)

    def into(totals: Float[Tensor, "kind head"]) -> Hook:
        def add(pattern: Float[Tensor, "batch head query key"], hook: object) -> None:
            seen = pattern if real is None else pattern.masked_fill(~real[:, None, :, None], 0.0)
            attention = seen.to(single_or_double(seen.dtype)).transpose(0, 1).flatten(1)
            totals.add_(chosen.to(attention.dtype) @ attention.mT)

        return add

    return into


class _LastPatternSeen(Exception):
    """Ends a forward pass of which nothing more is wanted."""


def _stop(pattern: Tensor, hook: object) -> None:
    raise _LastPatternSeen
