"""What rounding does to an estimate, measured: the same losses in double precision.

An estimate is nbeta times a small difference of losses. However it is summed, each loss was rounded before, and so was
everything that it was computed from: by about 6e-8 of the largest number on the way in single precision. At w* that
error is the same in every draw, so no error bar shows it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from mechlib.llc.samplers import Scale
from mechlib.llc.surface import Batch, Surface

__all__ = ["Doubled", "Precision", "gradient_in_double", "in_double", "precision"]


@dataclass(frozen=True)
class Precision:
    """What rounding does where the chains are."""

    dtype: torch.dtype
    """That of the free weights."""
    rounding: float = 0.0
    """By how much it moves the mean loss above w*."""
    swallowed: float = 0.0
    """How much it adds to the noise of a step, as a share."""


POINTS = 8
"""The most points at which rounding is measured."""

LOW = (torch.float16, torch.bfloat16, torch.float32)


class Doubled(TorchDispatchMode):
    """Inside, every operation takes, makes and gives double precision where it is written for less.

    So a model and a loss of any kind are computed in double precision as they stand, with the tensors that they hold.
    What is written into a tensor from outside is rounded as ever.
    """

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> object:
        formal = func._schema.arguments
        written = {a.name for a in formal if a.alias_info is not None and a.alias_info.is_write}
        positional = zip((a.name for a in formal), args, strict=False)
        args = tuple(value if name in written else tree_map(_double, value) for name, value in positional)
        rest = (kwargs or {}).items()
        out = func(*args, **{name: value if name in written else tree_map(_double, value) for name, value in rest})
        return out if written else tree_map(_double, out)


def _double(value: object) -> object:
    if isinstance(value, Tensor):
        return value.double() if value.dtype in LOW else value
    return torch.float64 if value in LOW else value


def in_double(surface: Surface, row: Float[Tensor, " param"], batch: Batch) -> Float64[Tensor, " sample"] | None:
    """The loss of each sample at one point as double precision has it; None where the loss cannot be had so."""
    try:
        with torch.no_grad(), Doubled():
            return surface.per_sample(row.double(), batch)
    except Exception:  # whatever cannot be computed in another precision
        return None


def gradient_in_double(
    surface: Surface, row: Float[Tensor, " param"], batch: Batch
) -> Float64[Tensor, " param"] | None:
    """The gradient of the mean loss at one point in double precision; None where it cannot be had so."""
    try:
        with torch.enable_grad(), Doubled():
            w = row.detach().double().requires_grad_()
            return torch.autograd.grad(surface.per_sample(w, batch).mean(), w, materialize_grads=True)[0]
    except Exception:  # whatever cannot be computed in another precision
        return None


def precision(
    surface: Surface,
    points: Float[Tensor, "chain param"],
    lr: Scale,
    batch: Batch,
    samples: int,
) -> Precision:
    """What rounding does at some of the points that are finite, with steps of ``lr``.

    Args:
        surface: of the strategy ``"serial"``.
        batch: all the data, or some.
        samples: of all the data.
    """
    finite = points[torch.isfinite(points).all(1)][:POINTS]
    if not len(finite):
        return Precision(points.dtype)
    return Precision(points.dtype, _rounding(surface, finite, batch, samples), _swallowed(finite, lr))


def _rounding(surface: Surface, points: Float[Tensor, "point param"], batch: Batch, samples: int) -> float:
    """By how much rounding moves the mean over points and all the data of ``L(w) - L(w*)``.

    The losses at the points and at w* are compared with those in double precision. Double precision itself, and a loss
    that cannot be had in it, are reckoned to round every loss by half a unit in its last place.
    """
    rows = [surface.flat.w_star, *points]
    with torch.no_grad():
        losses = torch.stack([surface.per_sample(row, batch) for row in rows])
    right = [exact for row in rows if (exact := in_double(surface, row, batch)) is not None]
    known = len(right) == len(rows)
    unit = torch.finfo(torch.float64 if known else surface.flat.dtype).eps / 2
    square = float((unit * losses[0]).square().mean()) / samples
    if known:
        errors = losses - torch.stack(right)
        square += _squared_mean(errors[1:].mean(0) - errors[0], samples)
    return math.sqrt(square)


def _squared_mean(errors: Float64[Tensor, " sample"], samples: int) -> float:
    """The square of the mean error of so many samples, from that of some of them.

    What the errors seen have in common, beyond chance, is taken for common to all, the rest for independent.
    """
    mean, seen = float(errors.mean()) ** 2, len(errors)
    if seen == samples:
        return mean
    variance = float(errors.var())
    return max(mean - 4 * variance * (1 / seen - 1 / samples), 0) + variance / samples


def _swallowed(w: Float[Tensor, "point param"], lr: Scale) -> float:
    """The share of the noise of a step that is rounding of the weights, in the mean over weights.

    A step adds noise of variance ``lr``; writing down where it leads, in some three roundings, adds a quarter of the
    square of the distance between neighbouring numbers.
    """
    size = w.abs()
    spacing = (torch.nextafter(size, torch.full_like(size, torch.inf)) - size).double()
    return float((spacing.square() / (4 * lr)).clamp_max(1).mean())
