"""Running a model on the last tokens of prompts, with the columns before them kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from mechlib.bridge import TransformerBridge
from mechlib.bridge.norms import at_least_single
from mechlib.stream.hooks import Hook
from mechlib.stream.measures import Frozen, Measure, freeze
from mechlib.stream.parts import Part, Points, Seen, additions, points_of
from mechlib.stream.running import few_sequences
from mechlib.stream.unembedding import final_norm

Edit = Callable[[Tensor, slice], Tensor]
"""``(activation, rows) -> what to put there``: the activation ``[row, pos, ...]`` of some rows of the prompts, whose
last position is their last token."""

ROUNDING = 1e-3
"""Share of an entry's largest number by which a run beside kept columns may differ from one on all tokens."""


@dataclass(frozen=True, eq=False)
class Ends:
    """Prompts of one length, and how their last tokens are run, a few prompts at a time."""

    model: TransformerBridge
    tokens: Int[Tensor, "row pos"]
    measure: Measure
    """The logit difference at the last tokens."""
    points: Points
    kept: tuple[Any, ...]
    """For each few prompts the columns before the last token; ``None`` where all tokens are run each time."""

    def seen(self, edits: Sequence[tuple[str, Edit]] = ()) -> Seen:
        """What the points see at the last tokens, ``[row, ...]``, while ``edits`` act at theirs."""
        found: list[Seen] = []
        for rows, cache in zip(few_sequences(self.tokens), self.kept, strict=True):
            tokens = self.tokens[rows] if cache is None or not cache.get_seq_length() else self.tokens[rows, -1:]
            options = {} if cache is None else {"past_key_values": cache, "use_cache": True}
            seen: Seen = {}
            hooks = [
                *((name, _editing(edit, rows)) for name, edit in edits),
                *((name, _catching(name, seen, len(tokens))) for name in self.points.all),
                ("unembed.hook_in", lambda residual, hook: residual[:1, :1]),
            ]
            with self.model.hooks(fwd_hooks=hooks):
                self.model(tokens, **options)
            if cache is not None:
                cache.crop(-1)
            found.append(seen)
        return {name: torch.cat([seen[name] for seen in found]) for name in self.points.all}

    def last(self, seen: Seen) -> Float[Tensor, "row d_model"]:
        """The last entry of the stream."""
        return seen[self.points.entries[-1]]

    def frozen(self, seen: Seen) -> Frozen:
        """The logit difference with norm and cap as they are there."""
        return freeze(self.measure, self.last(seen))

    def difference(self, seen: Seen) -> Float[Tensor, " row"]:
        """The logit difference itself."""
        normed = at_least_single(final_norm(self.model, self.last(seen)))
        return self.measure.of_normed(normed[None])[0]

    def shares(self, seen: Seen, frozen: Frozen) -> tuple[tuple[Part, ...], Float[Tensor, "part row"]]:
        """What every part of the model adds to the frozen logit difference."""
        found = [(parts, frozen.shares(added)) for parts, added in additions(self.model, self.points, seen)]
        return tuple(part for parts, _ in found for part in parts), torch.cat([shares for _, shares in found])


def ends_of(
    model: TransformerBridge, tokens: Int[Tensor, "row pos"], right: Int[Tensor, " row"], wrong: Int[Tensor, " row"]
) -> tuple[Ends, Seen]:
    """The prompts, and what the points see at their last tokens while nothing is changed.

    A model of ``transformers`` keeps the columns before the last tokens, if a run beside them comes out the same as one
    on all tokens; any other model runs on all tokens each time.
    """
    few = list(few_sequences(tokens))
    whole = Ends(model, tokens, Measure(model, "logit", right, wrong), points_of(model), (None,) * len(few))
    if not isinstance(model.original_model, PreTrainedModel) or tokens.shape[1] < 2:
        return whole, whole.seen()
    beside = replace(whole, kept=tuple(DynamicCache() for _ in few))
    try:
        seen, again = beside.seen(), beside.seen()
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return whole, whole.seen()  # of a kind that keeps something else, or cannot cut it back
    gap = (beside.last(again) - beside.last(seen)).abs().max()
    return (beside, again) if gap <= ROUNDING * beside.last(seen).abs().max() else (whole, whole.seen())


def _editing(edit: Edit, rows: slice) -> Hook:
    return lambda values, hook: edit(values, rows)


def _catching(name: str, seen: Seen, n: int) -> Hook:
    def catch(values: Float[Tensor, "sequence pos ..."], hook: object) -> None:
        seen[name] = values[:, -1].detach().clone().expand(n, *values.shape[2:])  # positions may be those of one

    return catch
