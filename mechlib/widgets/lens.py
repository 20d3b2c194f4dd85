"""The lens explorer: one passage, and what every layer would say next."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import anywidget
import torch
import traitlets
from jaxtyping import Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.stream import Lens, LensResult, logit_lens
from mechlib.widgets import assets

TOP_K = 5
DIGITS = 3

TokenStrings = Callable[[Sequence[int]], Sequence[str]]


class LensExplorer(anywidget.AnyWidget):
    """A passage to move along, a map of one measure over depth and position, and the guesses after one token."""

    _esm = assets.script("lens")
    _css = assets.style("lens")

    data = traitlets.Dict().tag(sync=True)
    """Everything that is shown: see ``explorer_data``."""
    position = traitlets.Int(0).tag(sync=True)
    """The selected token."""
    entry = traitlets.Int(0).tag(sync=True)
    """The selected residual-stream entry, the embedding being 0."""
    colour = traitlets.Enum(["probability", "rank", "entropy", "kl"], "probability").tag(sync=True)
    """What the map is coloured by."""


def lens_explorer(
    model: TransformerBridge, tokens: Int[Tensor, " pos"], *, token_strings: TokenStrings, lens: Lens | None = None
) -> LensExplorer:
    """A widget that shows what each residual-stream entry guesses after every token of a passage but the last.

    It opens after the token where the entries' first guesses differ most, among those where the last one is right.

    Args:
        tokens: the passage, at least two tokens; every token but the first is the true next token of the one before.
        token_strings: a printable string for each of the token ids it is given (``mechlib.text.token_strings``).
        lens: see ``mechlib.stream.logit_lens``.

    Raises:
        ValueError: if ``tokens`` is not one passage of at least two tokens; otherwise as ``logit_lens``.
    """
    tokens = torch.as_tensor(tokens)
    if tokens.dim() != 1 or len(tokens) < 2:
        raise ValueError(f"one passage of at least two tokens is needed, shape [pos]; got shape {tuple(tokens.shape)}")
    result = logit_lens(model, tokens[:-1], targets=tokens[1:], top_k=TOP_K, lens=lens)
    last = len(result.labels) - 1
    data = explorer_data(result, tokens, token_strings)
    return LensExplorer(data=data, position=telling_position(result, tokens[1:]), entry=last)


def telling_position(result: LensResult, targets: Int[Tensor, " pos"]) -> int:
    """The position with the most different first guesses; of several, where the target's probability grows most.

    Positions count where the last entry's first guess is the target; all do where none is.

    Raises:
        ValueError: if ``top_ids`` or ``target_log_prob`` was not asked for.
    """
    first = result.numbers("top_ids")[:, 0, :, 0]
    probability = result.numbers("target_log_prob")[:, 0].exp()
    different = torch.tensor([len(guesses.unique()) for guesses in first.T])
    right = first[-1] == targets.to(first)
    telling = different + (probability[-1] - probability[0] + 1) / 2  # less than one guess
    return int(torch.where(right | ~right.any(), telling, -1.0).argmax())


def explorer_data(result: LensResult, tokens: Int[Tensor, " pos"], token_strings: TokenStrings) -> dict[str, Any]:
    """What ``LensExplorer`` shows, as plain lists; numbers have three significant digits.

    ``vocabulary`` holds the strings of the guessed tokens, and ``guesses`` their places in it. What is infinite is
    ``None``, since JSON has no such number.

    Raises:
        ValueError: if a field of ``result`` was not asked for.
    """
    top_ids = result.numbers("top_ids")[:, 0]
    ids, places = top_ids.unique(return_inverse=True)
    return {
        "entries": list(result.labels),
        "tokens": list(token_strings(tokens.tolist())),
        "vocabulary": list(token_strings(ids.tolist())),
        "guesses": places.tolist(),
        "probabilities": _rounded(result.numbers("top_log_prob")[:, 0].exp()),
        "right": (top_ids == tokens[1:, None].to(top_ids)).tolist(),
        "kl": _rounded(result.numbers("kl_to_final")[:, 0].clamp(min=0)),
        "entropy": _rounded(result.numbers("entropy")[:, 0]),
        "rank": result.numbers("target_rank")[:, 0].tolist(),
        "probability": _rounded(result.numbers("target_log_prob")[:, 0].exp()),
    }


def _rounded(values: Tensor) -> list:
    if values.dim() > 1:
        return [_rounded(row) for row in values]
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in values.tolist()]
