"""What is read of the chains as they go: at each draw by a function of the user's, at each step by the estimator.

A *reader* says something of all chains after a step; a :class:`Series` asks it at every so many steps and writes down
what it says. Losses, acceptance and moments are series, and so is what ``on_draw`` returns (:class:`Watch`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int
from torch import Tensor

from mechlib.llc.posterior import Posterior
from mechlib.llc.samplers import Info, State

__all__ = ["Draw", "Observed", "OnDraw", "Reader", "Series", "Watch", "together"]

Reader = Callable[[int, State, Info], Mapping[Any, Tensor]]
"""``read(row, state, info)``: tensors ``[chain, ...]`` by name, to be written down as that row."""


@dataclass(frozen=True)
class Draw:
    """One chain at one draw, as ``on_draw`` sees it. To be read while the call lasts: the chain goes on in its memory.

    Whatever is to be kept is returned, or cloned.
    """

    chain: int
    """The number of the chain, from 0."""
    index: int
    """The number of the draw, from 0; burn-in does not count."""
    weights: Mapping[str, Tensor]
    """The free parameters by name, each in its shape: views of the chain's memory, not to be written to; of a parameter
    of which a mask frees a part, a copy of the whole."""
    model: Callable[..., Any]
    """The model at these weights, in eval mode, called as the model is."""
    loss: Float64[Tensor, ""]
    """L(w) - L(w*) as the chain has it, on its batch: without ``eval_data``, ``nbeta`` times it is in ``trace``."""
    samples: Int[Tensor, " sample"] | None
    """The numbers of the samples in the batch; None where it is all of the data."""


Observed = Tensor | dict[Any, Tensor] | None
"""What ``on_draw`` returned, ``[chain, draw, ...]``: a tensor, tensors by name, or None for nothing."""

OnDraw = Callable[[Draw], Any]
"""A function that returns a tensor, a number, a dict of them, or nothing: always of the same names, shapes, types."""


class Series:
    """What a reader says at every so many steps, ``[row, chain, ...]`` by name.

    Args:
        first, every, last: it is asked at the steps ``range(first, last, every)``.
        values: where that is written, for what is known beforehand; else memory is taken when it is first said.
    """

    def __init__(
        self, read: Reader, first: int, every: int, last: int, values: Mapping[Any, Tensor] | None = None
    ) -> None:
        self._read, self._first, self._every, self._last = read, first, every, last
        self._values = dict(values or {})

    def note(self, step: int, state: State, info: Info) -> None:
        """Ask and write down, if it is time."""
        if step < self._first or (step - self._first) % self._every:
            return
        row = (step - self._first) // self._every
        for name, value in self._read(row, state, info).items():
            if name not in self._values:
                self._values[name] = value.new_empty((self._rows(self._last), *value.shape))
            self._values[name][row] = value

    def after(self, steps: int) -> dict[Any, Tensor]:
        """What had been said after so many steps."""
        return {name: values[: self._rows(steps)] for name, values in self._values.items()}

    def _rows(self, steps: int) -> int:
        return max(0, math.ceil((steps - self._first) / self._every))


class Watch:
    """The reader that calls ``on_draw`` for one chain after another.

    Raises:
        TypeError: if it returns what is no tensor, number or dict of them.
        ValueError: if it returns other names, shapes or types than before, or writes to the weights.
    """

    def __init__(self, on_draw: OnDraw, posterior: Posterior):
        self._on_draw, self._posterior = on_draw, posterior
        self._form: dict[Any, tuple] | None = None

    def __call__(self, row: int, state: State, info: Info) -> dict[Any, Tensor]:
        before, losses = state.w.clone(), state.loss.clone()
        said = [self._one(row, chain, w, loss) for chain, (w, loss) in enumerate(zip(state.w, losses, strict=True))]
        self._refuse_edits(row, before, state.w)
        return {name: torch.stack([values[name] for values in said]) for name in said[0]}

    def _one(self, index: int, chain: int, w: Tensor, loss: Tensor) -> dict[Any, Tensor]:
        flat, where = self._posterior.surface.flat, f"at draw {index} of chain {chain}"
        weights = flat.named(w)
        draw = Draw(chain, index, weights, flat.with_weights(weights), loss, self._posterior.batches.numbers)
        try:
            values = _by_name(self._on_draw(draw), where)
            form = {name: (tuple(value.shape), value.dtype) for name, value in values.items()}
            if self._form is not None and form != self._form:
                raise ValueError(f"on_draw returned {_said(form)} {where}, and {_said(self._form)} before")
        except Exception as error:
            error.add_note(f"on_draw, {where}")
            raise
        self._form = form
        return values

    def _refuse_edits(self, index: int, before: Tensor, after: Tensor) -> None:
        bits = torch.int32 if before.dtype == torch.float32 else torch.int64  # NaN is what it was, too
        if torch.equal(before.view(bits), after.view(bits)):
            return
        chain, place = (before.view(bits) != after.view(bits)).nonzero()[0].tolist()
        flat = self._posterior.surface.flat
        name = flat.names[int(np.searchsorted(np.cumsum(flat.sizes), place, side="right"))]
        raise ValueError(
            f"on_draw wrote to {name!r} of chain {chain} at draw {index}, where the chain was to go on from: "
            "work on a copy, draw.weights[name].clone()"
        )


def together(values: Mapping[Any, Tensor]) -> Observed:
    """What ``on_draw`` returned, as it returned it, from a series ``[draw, chain, ...]``."""
    found = {name: value.transpose(0, 1) for name, value in values.items()}
    return found.get(_ALONE, found or None)


_ALONE = object()
"""The name of a tensor that was returned without one."""


def _by_name(returned: Any, where: str) -> dict[Any, Tensor]:
    if returned is None:
        return {}
    named = returned if isinstance(returned, Mapping) else {_ALONE: returned}
    return {name: _tensor(value, where) for name, value in named.items()}


def _tensor(value: Any, where: str) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach()
    if not isinstance(value, (bool, int, float, np.ndarray, np.generic)):
        raise TypeError(f"on_draw returns a tensor, a number or a dict of them, not {type(value).__name__} {where}")
    return torch.as_tensor(np.asarray(value))


def _said(form: Mapping[Any, tuple]) -> str:
    parts = (f"{'' if name is _ALONE else f'{name!r}: '}{dtype} {shape}" for name, (shape, dtype) in form.items())
    return ", ".join(parts) or "nothing"
