"""Which heads follow a pattern: on fresh sequences, with an interval, beside a model that learned nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge, require_bridge, shuffled
from mechlib.heads.scores import head_scores
from mechlib.patterns import KINDS, Kind, longest_period, repeated_tokens
from mechlib.places import Head, require_head
from mechlib.stats import Estimate, estimate


@dataclass(frozen=True)
class FoundHeads:
    """What :func:`find_heads` measured on repeated random tokens, one period and batch for every seed."""

    kind: Kind
    threshold: float
    heads: tuple[Head, ...]
    """The heads whose whole interval is at or above ``threshold``, highest mean first."""
    periods: Int[Tensor, " seed"]
    """The period of each seed's sequences, ``[seed]``."""
    scores: Float[Tensor, "seed layer head"]
    """Mean attention on the pattern where it has a target (``HeadScores.attained``), from 0 to 1."""
    control: Float[Tensor, "seed layer head"]
    """The same on the same sequences for the model with shuffled weights, shuffled anew for every seed."""
    low: Float[Tensor, "layer head"]
    """Lower end of the bootstrap interval of each head's mean over seeds."""
    high: Float[Tensor, "layer head"]
    """Upper end."""
    level: float
    """Coverage of the interval."""

    @property
    def mean(self) -> Float[Tensor, "layer head"]:
        """The mean over seeds, ``[n_layers, n_heads]``."""
        return self.scores.mean(0)

    def estimate(self, layer: int, head: int) -> Estimate:
        """The mean of one head with its interval.

        Raises:
            ValueError: if there is no such head.
        """
        n_seeds, n_layers, n_heads = self.scores.shape
        require_head(layer, head, n_layers=n_layers, n_heads=n_heads)
        mean, low, high = (of[layer, head].item() for of in (self.mean, self.low, self.high))
        return Estimate(mean, low, high, n_seeds, self.level)


def find_heads(
    model: TransformerBridge,
    kind: Kind,
    *,
    threshold: float = 0.5,
    seeds: int | Sequence[int] = 8,
    batch: int = 4,
    periods: tuple[int, int] | None = None,
    bos: int | None = None,
    level: float = 0.95,
) -> FoundHeads:
    """The heads that put at least ``threshold`` of their attention on a pattern, wherever it has a target.

    Every seed draws a period and then a batch of :func:`repeated_tokens`. Periods vary because with a constant one a
    head that looks a fixed distance back would score as well as one that compares tokens. A head counts as found if
    the whole interval over seeds is at or above ``threshold``. The model is left as it was.

    Args:
        threshold: from 0 to 1.
        seeds: the seeds, or their number (then 0, 1, ...); at least two.
        batch: rows for every seed.
        periods: shortest and longest period, both included. ``None`` is up to 64 or what the context allows, and
            from a quarter of that.
        bos: a token to put in front of every row.
        level: coverage of the interval, a percentile bootstrap over seeds.

    Raises:
        ValueError: if ``kind`` is unknown, ``threshold`` is not from 0 to 1, there are fewer than two seeds, a period
            is below 1 or longer than the context allows, or the model has no attention patterns, or some that are NaN.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold is a share of attention, from 0 to 1, not {threshold}")
    seeds = range(seeds) if isinstance(seeds, int) else seeds
    if len(seeds) < 2:
        raise ValueError(f"an interval over sequences needs at least two seeds, got {list(seeds)}")
    lowest, highest = _checked_periods(model, periods, bos)
    drawn, scores, control = [], [], []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        drawn.append(int(torch.randint(lowest, highest + 1, (), generator=generator)))
        tokens = repeated_tokens(batch, drawn[-1], model.cfg.d_vocab, bos=bos, generator=generator)
        scores.append(head_scores(model, tokens).attained(kind))
        control.append(head_scores(shuffled(model, seed=seed), tokens).attained(kind))
    if len(nowhere := torch.stack(scores).isnan().nonzero()):
        number, layer, head = nowhere[0].tolist()
        raise ValueError(
            f"the attention of head {head} in layer {layer} is NaN on the sequences of seed {seeds[number]}"
        )
    return _found(kind, threshold, torch.tensor(drawn), torch.stack(scores), torch.stack(control), level)


def _found(kind: Kind, threshold: float, periods: Tensor, scores: Tensor, control: Tensor, level: float) -> FoundHeads:
    intervals = [[estimate(of_head, level=level) for of_head in layer] for layer in scores.movedim(0, -1)]
    low, high = (torch.tensor([[getattr(i, end) for i in layer] for layer in intervals]) for end in ("low", "high"))
    mean = scores.mean(0)
    above = [tuple(head) for head in (low >= threshold).nonzero().tolist()]
    heads = tuple(sorted(above, key=lambda head: -mean[head].item()))
    return FoundHeads(kind, threshold, heads, periods, scores, control, low, high, level)


def _checked_periods(model: TransformerBridge, periods: tuple[int, int] | None, bos: int | None) -> tuple[int, int]:
    require_bridge(model)
    longest = longest_period(model.cfg.n_ctx, bos)
    highest = min(64, longest)
    lowest, highest = (max(1, highest // 4), highest) if periods is None else periods
    if not 1 <= lowest <= highest <= longest:
        raise ValueError(
            f"periods={(lowest, highest)} are not within 1 to {longest}, shortest first: the context holds "
            f"{model.cfg.n_ctx} tokens"
        )
    return lowest, highest
