"""Running a model without changing it: a few sequences at a time, with hooks, and how it is left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from mechlib.bridge import TransformerBridge
from mechlib.stream.hooks import Hook, hook_name

TOKENS_AT_ONCE = 512
"""Tokens of one forward pass: whole sequences, at least one."""
ROWS_AT_ONCE = {"cpu": 128, "cuda": 1024}
"""Rows whose distributions exist together. On a CPU, few enough for them to stay in its cache."""


@contextmanager
def at_rest(model: TransformerBridge) -> Iterator[None]:
    """Eval mode without gradients; afterwards every module has its own mode again."""
    every = {*model.modules(), *model.original_model.modules()}  # which the bridge does not count among its own
    training = [module for module in every if module.training]
    _set_training(training, False)  # eval() would set thousands that are not
    try:
        with torch.no_grad():
            yield
    finally:
        _set_training(training, True)


def _set_training(modules: list[nn.Module], mode: bool) -> None:
    for module in modules:
        module.training = mode


def run(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    hooks: Iterable[tuple[str, Hook]],
    mask: Bool[Tensor, "batch pos"] | None,
) -> Float[Tensor, "batch pos d_vocab"]:
    """One forward pass with hooks, in which no token sees a pad and positions are counted from each row's first token.

    The stream at pads is 0 after every layer. A pad before the first token sees nothing, which many models compute as
    NaN, and a later layer would hand that on to tokens as 0 times NaN. Logits at pads mean nothing.
    """
    if mask is None:
        return model.run_with_hooks(tokens, fwd_hooks=list(hooks))

    def clear(residual: Tensor, hook: object) -> Tensor:
        return residual.masked_fill(~mask[..., None], 0.0)

    cleared = [(hook_name(model, entry), clear) for entry in range(1, model.cfg.n_layers + 1)]
    return model.run_with_hooks(tokens, fwd_hooks=[*cleared, *hooks, *cleared], attention_mask=mask.long())


def run_reading(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    hooks: Iterable[tuple[str, Hook]],
    mask: Bool[Tensor, "batch pos"] | None = None,
) -> Float[Tensor, "1 1 d_vocab"]:
    """One forward pass for what the hooks see on the way.

    Only the first token of the first row is unembedded (:func:`first_token`); its logits are returned.
    """
    position = first_token(mask)

    def one_position(residual: Tensor, hook: object) -> Tensor:
        return residual[:1, position : position + 1]

    return run(model, tokens, [*hooks, ("unembed.hook_in", one_position)], mask)


def first_token(mask: Bool[Tensor, "batch pos"] | None) -> int:
    """The position of the first row's first token that is no pad."""
    return 0 if mask is None else int(mask[0].long().argmax())


def few_sequences(tokens: Int[Tensor, "batch pos"], at_once: int | None = None) -> Iterator[slice]:
    """Slices of the batch that a forward pass takes: ``at_once`` tokens (``TOKENS_AT_ONCE``), at least one sequence."""
    return slices(len(tokens), max(1, (at_once or TOKENS_AT_ONCE) // tokens.shape[1]))


def few_rows(rows: Shaped[Tensor, "row ..."]) -> Iterator[slice]:
    """Slices of the rows whose logits are made together (``ROWS_AT_ONCE``)."""
    return slices(len(rows), ROWS_AT_ONCE.get(rows.device.type, ROWS_AT_ONCE["cuda"]))


def slices(n: int, step: int) -> Iterator[slice]:
    """``range(n)`` in pieces of ``step``; the last may be shorter."""
    return (slice(start, start + step) for start in range(0, n, step))


def among_pads(
    values: Shaped[Tensor, "entry token *rest"], read: Bool[Tensor, " row"]
) -> Shaped[Tensor, "entry row *rest"]:
    """The values of the rows that were read, in their places, between rows of NaN, -1 for ids and ranks, or false."""
    nothing = torch.nan if values.is_floating_point() else 0 if values.dtype == torch.bool else -1
    every = values.new_full((len(values), len(read), *values.shape[2:]), nothing)
    every[:, read] = values
    return every
