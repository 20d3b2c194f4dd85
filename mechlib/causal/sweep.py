"""Many variants of one run, a few at a time in the batch of a forward pass, and the metric of each."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from mechlib.bridge import TransformerBridge
from mechlib.causal.metrics import Metric, evaluated
from mechlib.causal.pairs import Pair
from mechlib.stream.hooks import Hook
from mechlib.stream.running import at_rest

TOKENS_AT_ONCE = 512
"""Tokens of one forward pass: whole rows, at least one."""

HooksOf = Callable[[Int[Tensor, " chosen"], Int[Tensor, " chosen"]], list[tuple[str, Hook]]]
"""The hooks of a pass whose batch holds the given variants of the given rows."""


def metrics_of_variants(
    model: TransformerBridge, pair: Pair, n_variants: int, hooks_of: HooksOf, metric: Metric, *, progress: bool
) -> Float[Tensor, "variant row"]:
    """The metric of every row in every variant of the run that is patched; each variant is hooks."""
    n_rows, n_pos = pair.tokens.shape
    at_once = max(1, TOKENS_AT_ONCE // n_pos)
    found: list[Tensor] = []
    waiting: list[Tensor] = []
    starts = range(0, n_variants * n_rows, at_once)
    with at_rest(model):
        for start in tqdm(starts, desc="patching", disable=not progress, leave=False):
            place = torch.arange(start, min(start + at_once, n_variants * n_rows), device=pair.tokens.device)
            variant, row = place // n_rows, place % n_rows
            waiting.append(pair.logits(model, pair.tokens, row, hooks_of(variant, row)))
            logits = torch.cat(waiting)
            whole = len(logits) // n_rows * n_rows
            found += [evaluated(metric, of_variant) for of_variant in logits[:whole].split(n_rows)] if whole else []
            waiting = [logits[whole:]]
    return torch.stack(found)


def metric_of_run(model: TransformerBridge, pair: Pair, metric: Metric) -> Float[Tensor, " row"]:
    """The metric of every row as the run is that is to be patched."""
    return metrics_of_variants(model, pair, 1, lambda variant, row: [], metric, progress=False)[0]
