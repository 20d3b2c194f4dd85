"""The training explorer: a slider through checkpoints, with what is measured and seen at each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import anywidget
import numpy as np
import torch
import traitlets
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.widgets import assets
from mechlib.widgets.attention import percentages
from mechlib.widgets.lens import TokenStrings

DIGITS = 4


class TrainingExplorer(anywidget.AnyWidget):
    """Curves over training, scores of all heads and one attention pattern, at the checkpoint of a slider."""

    _esm = assets.script("pattern", "training")
    _css = assets.style("pattern", "training")

    data = traitlets.Dict().tag(sync=True)
    """Everything that is shown: ``steps``, ``tokens``, ``patterns`` by step (see ``attention.percentages``),
    ``curves`` and ``scores`` as given to ``training_explorer``."""
    checkpoint = traitlets.Int(0).tag(sync=True)
    """Place of the selected checkpoint among the steps."""
    layer = traitlets.Int(0).tag(sync=True)
    """Layer of the selected head."""
    head = traitlets.Int(0).tag(sync=True)
    """The selected head within its layer."""
    position = traitlets.Int(0).tag(sync=True)
    """The selected token: the one that looks."""


def training_explorer(
    load: Callable[[int], TransformerBridge],
    steps: Sequence[int],
    tokens: Int[Tensor, " pos"],
    *,
    token_strings: TokenStrings,
    curves: Mapping[tuple[str, str], Float[ArrayLike, " step"]],
    scores: Mapping[str, Float[ArrayLike, "step layer head"]],
    head: tuple[int, int] = (0, 0),
) -> TrainingExplorer:
    """A widget that moves through training: at each checkpoint the curves, the scores and one head's pattern.

    It opens at the first checkpoint, and plays on to the last.

    Args:
        load: the model at a step of training; called once for each of ``steps``, one model in memory at a time.
        steps: the checkpoints, ascending, at least two.
        tokens: the passage on which the patterns are shown; up to about 32 tokens.
        token_strings: a printable string for each of the token ids it is given (``mechlib.text.token_strings``).
        curves: one number for each step by (name, unit), such as ``("loss", "nats per token")``; unit may be empty.
        scores: a number between 0 and 1 for each step and head, by name.
        head: layer and head that are selected at first.

    Raises:
        ValueError: if ``steps`` does not ascend, a curve or score has another number of steps or is not finite, a
            score has other heads than the model, or ``head`` is not there; otherwise as ``attention_explorer``.
    """
    if len(steps) < 2 or list(steps) != sorted(set(steps)):
        raise ValueError(f"at least two steps in ascending order are needed, got {list(steps)}")
    tokens = torch.as_tensor(tokens)
    patterns = [percentages(load(step), tokens) for step in steps]
    shape = len(steps), len(patterns[0]), len(patterns[0][0])
    layer, index = head
    if not (0 <= layer < shape[1] and 0 <= index < shape[2]):
        raise ValueError(f"head {head} is not there: {shape[1]} layers of {shape[2]} heads, both counted from 0")
    data = {
        "steps": list(steps),
        "tokens": list(token_strings(tokens.tolist())),
        "patterns": patterns,
        "curves": [
            {"name": name, "unit": unit, "values": _checked(name, values, shape[:1])}
            for (name, unit), values in curves.items()
        ],
        "scores": [{"name": name, "values": _checked(name, values, shape)} for name, values in scores.items()],
    }
    return TrainingExplorer(data=data, layer=layer, head=index, position=len(tokens) - 1)


def _checked(name: str, values: ArrayLike, shape: tuple[int, ...]) -> list:
    array = np.asarray(values, dtype=float)
    if array.shape != shape:
        axes = ["step", "layer", "head"][: len(shape)]
        raise ValueError(f"{name!r} needs the axes {axes} with the sizes {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name!r} holds numbers that are not finite")
    return array.round(DIGITS).tolist()
