"""What an intervention is judged by: one number for every row, read off the logits at a position.

A metric is a function of logits ``[row, d_vocab]`` that gives a number for each row, ``[row]``. The number of a row
depends on the logits of that row alone. Any such function will do; those made here know their unit.

>>> logits = torch.tensor([[2.0, 0.5, 0.0], [0.0, 1.0, 3.0]])
>>> logit_difference([0, 2], 1)(logits).tolist()
[1.5, 2.0]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.distances import kl
from mechlib.stream.inputs import checked_ids

Metric = Callable[[Float[Tensor, "row *pos d_vocab"]], Float[Tensor, " row"]]
Tokens = int | Sequence[int] | Int[Tensor | np.ndarray, " row"]
"""One id for each row, or one for all."""


@dataclass(frozen=True)
class Named:
    """A metric that knows what it measures."""

    label: str
    """With its unit."""
    of: Metric

    def __call__(self, logits: Float[Tensor, "row d_vocab"]) -> Float[Tensor, " row"]:
        if logits.dim() != 2:
            raise ValueError(
                f"the {self.label} is read at one position, off logits [row, d_vocab]; these have the shape "
                f"{tuple(logits.shape)}: give at= a position"
            )
        return self.of(logits)


def logit_difference(right: Tokens, wrong: Tokens) -> Named:
    """The logit of ``right`` less that of ``wrong``, in nats: the log of their odds.

    Raises:
        TypeError: when it reads, if these are no integers.
        ValueError: when it reads, if they are outside the vocabulary, or neither one nor one for every row.
    """

    def of(logits: Float[Tensor, "row d_vocab"]) -> Float[Tensor, " row"]:
        return _at(logits, "right", right) - _at(logits, "wrong", wrong)

    return Named("logit difference (nats)", of)


def target_log_prob(target: Tokens) -> Named:
    """The log-probability of ``target`` in nats; at most 0. Errors as in :func:`logit_difference`."""

    def of(logits: Float[Tensor, "row d_vocab"]) -> Float[Tensor, " row"]:
        return _at(logits.log_softmax(-1), "target", target)

    return Named("log-probability of the target (nats)", of)


def kl_from(reference: Float[Tensor, "row d_vocab"]) -> Named:
    """``KL(reference || read)`` in nats, where ``reference`` are logits of the same rows, such as those of a clean run.

    At least 0, and 0 with a gradient of 0 where the two are equal: from there attribution sees nothing.

    Raises:
        ValueError: when it reads logits of another shape.
    """
    log_probs = reference.detach().log_softmax(-1)

    def of(logits: Float[Tensor, "row d_vocab"]) -> Float[Tensor, " row"]:
        if logits.shape != log_probs.shape:
            raise ValueError(f"logits to compare have the shape {tuple(log_probs.shape)}, not {tuple(logits.shape)}")
        return kl(log_probs.to(logits), logits.log_softmax(-1))

    return Named("KL (nats)", of)


def _at(values: Float[Tensor, "row d_vocab"], name: str, tokens: Tokens) -> Float[Tensor, " row"]:
    given = tokens if isinstance(tokens, Tensor | np.ndarray) else torch.as_tensor(tokens)
    ids = checked_ids(name, given, values.shape[-1]).to(values.device)
    if ids.dim() > 1 or ids.numel() not in (1, len(values)):
        raise ValueError(
            f"{name} is one token id, or one for each of the {len(values)} rows; its shape is {tuple(ids.shape)}"
        )
    return values.gather(-1, ids.expand(len(values))[:, None])[:, 0]


def evaluated(metric: Metric, logits: Float[Tensor, "row *pos d_vocab"]) -> Float[Tensor, " row"]:
    """The metric of every row.

    Raises:
        TypeError: if it is no tensor of floating-point numbers.
        ValueError: if it is not one number for each row.
    """
    values = metric(logits)
    if not isinstance(values, Tensor) or not values.is_floating_point():
        given = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise TypeError(f"a metric gives a tensor of floating-point numbers, [row]; {label(metric)} gives {given}")
    if values.shape != logits.shape[:1]:
        raise ValueError(
            f"a metric gives one number for each row, the shape {tuple(logits.shape[:1])} for logits of "
            f"{tuple(logits.shape)}; {label(metric)} gives {tuple(values.shape)}"
        )
    return values


def label(metric: Metric) -> str:
    """What the metric measures, or the name of its function."""
    return metric.label if isinstance(metric, Named) else getattr(metric, "__name__", type(metric).__name__)
