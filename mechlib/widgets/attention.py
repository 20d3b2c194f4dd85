"""The attention explorer: one passage, and where every head looks from every token."""

from __future__ import annotations

from typing import Any

import anywidget
import torch
import traitlets
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.stream.hooks import pattern_hooks
from mechlib.stream.inputs import checked_tokens
from mechlib.stream.running import at_rest, run_reading
from mechlib.widgets import assets
from mechlib.widgets.lens import TokenStrings


class AttentionExplorer(anywidget.AnyWidget):
    """A picture of every head's pattern, the selected head's in large, and a passage shaded by its attention."""

    _esm = assets.script("pattern", "attention")
    _css = assets.style("pattern", "attention")

    data = traitlets.Dict().tag(sync=True)
    """``tokens``, the strings of the passage, and ``patterns``, see ``percentages``."""
    layer = traitlets.Int(0).tag(sync=True)
    """Layer of the selected head."""
    head = traitlets.Int(0).tag(sync=True)
    """The selected head within its layer."""
    position = traitlets.Int(0).tag(sync=True)
    """The selected token: the one that looks."""


def attention_explorer(
    model: TransformerBridge,
    tokens: Int[Tensor, " pos"],
    *,
    token_strings: TokenStrings,
    head: tuple[int, int] = (0, 0),
    position: int | None = None,
) -> AttentionExplorer:
    """A widget that shows where every head of a model looks on a passage.

    Args:
        tokens: the passage; up to about 64 tokens are readable.
        token_strings: a printable string for each of the token ids it is given (``mechlib.text.token_strings``).
        head: layer and head that are selected at first.
        position: the token that is selected at first; the last one when left out.

    Raises:
        ValueError: if ``tokens`` is not one passage that fits the model, ``head`` or ``position`` is not there, or
            the model has no attention patterns to read.
    """
    tokens = torch.as_tensor(tokens)
    patterns = percentages(model, tokens)
    layer, index = head
    shape = len(patterns), len(patterns[0])
    if not (0 <= layer < shape[0] and 0 <= index < shape[1]):
        raise ValueError(f"head {head} is not there: {shape[0]} layers of {shape[1]} heads, both counted from 0")
    position = len(tokens) - 1 if position is None else position
    if not 0 <= position < len(tokens):
        raise ValueError(f"position {position} is not there: the passage has positions 0 to {len(tokens) - 1}")
    data: dict[str, Any] = {"tokens": list(token_strings(tokens.tolist())), "patterns": patterns}
    return AttentionExplorer(data=data, layer=layer, head=index, position=position)


def percentages(model: TransformerBridge, tokens: Int[Tensor, " pos"]) -> list[list[list[list[int]]]]:
    """Every head's attention on one passage in whole per cent: ``[layer][head][query]``, then a share for each key.

    The row of query ``q`` has ``q + 1`` entries: the tokens up to itself.

    Raises:
        ValueError: if ``tokens`` is not one passage that fits the model, or the model has no attention patterns to
            read, or some that are NaN.
    """
    if tokens.dim() != 1 or len(tokens) < 1:
        raise ValueError(f"one passage of at least one token is needed, shape [pos]; got {tuple(tokens.shape)}")
    patterns = attention_patterns(model, tokens)
    if len(nowhere := patterns.isnan().nonzero()):
        layer, head, query = nowhere[0, :3].tolist()
        raise ValueError(f"the attention of head {head} in layer {layer} from position {query} is NaN")
    return [
        [[row[: query + 1] for query, row in enumerate(pattern)] for pattern in layer.tolist()]
        for layer in (100 * patterns).round().int()
    ]


def attention_patterns(model: TransformerBridge, tokens: Int[Tensor, " pos"]) -> Float[Tensor, "layer head query key"]:
    """The attention patterns of every head on one passage; each row of a pattern sums to 1.

    The model runs in eval mode without gradients, and is left as it was.

    Raises:
        ValueError: if ``tokens`` does not fit the model, or the model has no attention patterns to read.
    """
    names, caught = pattern_hooks(model), list[Tensor]()

    def catch(pattern: Float[Tensor, "1 head query key"], hook: object) -> None:
        caught.append(pattern[0].clone())

    tokens = checked_tokens(model, tokens)
    with at_rest(model):
        run_reading(model, tokens, [(name, catch) for name in names])
    return torch.stack(caught)
