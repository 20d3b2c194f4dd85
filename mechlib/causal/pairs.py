"""The two runs of a patching experiment: the one that is patched, and the one that gives."""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from typing import Literal, SupportsIndex, get_args

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.causal.sources import Mask
from mechlib.stream.hooks import Hook
from mechlib.stream.inputs import checked_mask, checked_tokens
from mechlib.stream.running import run
from mechlib.stream.unembedding import single_or_double

Source = Literal["clean", "corrupt", "zero", "mean", "resample"]
Into = Literal["clean", "corrupt"]
OTHER: dict[str, Into] = {"clean": "corrupt", "corrupt": "clean"}


@dataclass(frozen=True)
class Pair:
    """Prompts that belong together row by row and position by position."""

    tokens: Int[Tensor, "row pos"]
    """Of the run that is patched."""
    giver: Int[Tensor, "row pos"] | None
    """Of the run that gives, where the source is a run."""
    mask: Bool[Tensor, "row pos"] | None
    source: Source
    into: Into
    answers: Int[Tensor, " row"] | None
    """The position of each row at which the metric reads; ``None`` for all."""

    def padded_behind(self) -> tuple[Pair, Int[Tensor, " row"]]:
        """The pair with all pads behind the tokens, and by how many places each row was turned to the left.

        A pad before the first token sees nothing, which many models compute as NaN and hand on to gradients.
        """
        if self.mask is None:
            return self, torch.zeros(len(self.tokens), dtype=torch.long, device=self.tokens.device)
        turns = self.mask.long().argmax(1)
        turned = replace(
            self,
            tokens=turned_left(self.tokens, turns),
            giver=None if self.giver is None else turned_left(self.giver, turns),
            mask=turned_left(self.mask, turns),
            answers=None if self.answers is None else self.answers - turns,
        )
        return turned, turns

    def logits(
        self,
        model: TransformerBridge,
        tokens: Int[Tensor, "row pos"],
        rows: Tensor | slice,
        hooks: list[tuple[str, Hook]],
    ) -> Float[Tensor, "chosen *pos d_vocab"]:
        """What the metric reads in one forward pass on some rows of ``tokens``, which may come more than once."""
        mask = None if self.mask is None else self.mask[rows]
        if self.answers is None:
            logits = run(model, tokens[rows], hooks, mask)
            logits = logits if mask is None else logits.masked_fill(~mask[..., None], torch.nan)
            return logits.to(single_or_double(logits.dtype))
        answers = self.answers[rows]

        def at_answers(residual: Tensor, hook: object) -> Tensor:
            return residual[torch.arange(len(residual), device=residual.device), answers][:, None]

        logits = run(model, tokens[rows], [*hooks, ("unembed.hook_in", at_answers)], mask)[:, 0]
        return logits.to(single_or_double(logits.dtype))


def turned_left(rows: Shaped[Tensor, "row pos"], turns: Int[Tensor, " row"]) -> Shaped[Tensor, "row pos"]:
    """Each row turned by its number of places, what leaves it on the left entering on the right."""
    n_pos = rows.shape[1]
    return rows.gather(1, (torch.arange(n_pos, device=rows.device) + turns[:, None]) % n_pos)


def checked_pair(
    model: TransformerBridge,
    clean: Int[Tensor, "row pos"],
    corrupt: Int[Tensor, "row pos"] | None,
    *,
    source: Source,
    into: Into | None,
    at: int | None,
    attention_mask: Mask,
) -> Pair:
    """The pair with its defaults filled in.

    Raises:
        TypeError: if prompts are no integers, or ``at`` is none.
        ValueError: if ``source`` or ``into`` is unknown, or they are the same run; if a run that is wanted has no
            prompts; if the prompts are no token ids of the model or of two shapes; if ``attention_mask`` is none of
            them; if ``at`` is not within every row.
    """
    if source not in get_args(Source):
        raise ValueError(f"source is one of {', '.join(get_args(Source))}, not {source!r}")
    into = into or OTHER.get(source, "clean")
    if into not in OTHER:
        raise ValueError(f"into is clean or corrupt, not {into!r}")
    if source == into:
        raise ValueError(f"source and into are both {source!r}: that changes nothing")
    given = {"clean": clean, "corrupt": corrupt}
    wanted = [name for name in (into, source) if name in given]
    if missing := [name for name in wanted if given[name] is None]:
        raise ValueError(f"source={source!r} into the {into} run needs the {missing[0]} prompts, and there are none")
    checked = {name: checked_tokens(model, tokens) for name, tokens in given.items() if tokens is not None}
    shapes = {name: tuple(tokens.shape) for name, tokens in checked.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(
            f"clean and corrupt prompts belong together row by row and position by position; their shapes are "
            f"{shapes['clean']} and {shapes['corrupt']}"
        )
    mask = checked_mask(attention_mask, checked[into])
    return Pair(checked[into], checked.get(source), mask, source, into, _answers(checked[into], mask, at))


def _answers(
    tokens: Int[Tensor, "row pos"], mask: Bool[Tensor, "row pos"] | None, at: int | None
) -> Int[Tensor, " row"] | None:
    """Position ``at`` of each row, counted among its tokens."""
    if at is None:
        return None
    given = at.item() if isinstance(at, Tensor) and at.dim() == 0 else at
    if isinstance(given, bool | Tensor) or not isinstance(given, SupportsIndex):
        raise TypeError(f"at is the position that the metric reads, an integer, or None for all; not {at!r}")
    at = operator.index(given)
    real = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
    lengths = real.sum(1)
    if not -(shortest := int(lengths.min())) <= at < shortest:
        raise ValueError(
            f"at={at} is out of range: the shortest row has {shortest} tokens, {-shortest} to {shortest - 1}"
        )
    return real.long().argmax(1) + at % lengths
