"""A norm whose division is kept at its value: affine in what goes into it, so that parts of that have shares in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.bridge.norms import Norm

ROUNDING_UNITS = 100
"""Units in the last place of a vector's largest number by which two ways to the same vector may differ."""
LARGEST_ROUNDING = 0.1
"""Share of the largest number above which a gap is no rounding, whatever the precision."""


@dataclass(frozen=True)
class FrozenNorm:
    """``gain * C x / s + bias`` with ``s`` as it was for each of some rows; without a norm, the identity."""

    norm: Norm | None
    inverse: Float[Tensor, "row 1"]
    """``1 / s``."""

    def linear(self, parts: Float[Tensor, "part row d_model"]) -> Float[Tensor, "part row d_model"]:
        """What becomes of parts of the rows; the bias is left out."""
        return parts if self.norm is None else self.norm.undivided(parts) * self.inverse

    def turned(self, directions: Float[Tensor, "row d_model"]) -> Float[Tensor, "row d_model"]:
        """The transpose: ``turned(y) . x`` is ``y . linear(x)``."""
        return directions if self.norm is None else self.norm.turned(directions) * self.inverse

    @property
    def bias(self) -> Float[Tensor, " d_model"] | None:
        return None if self.norm is None else self.norm.bias


def frozen(norm: Norm | None, rows: Float[Tensor, "row d_model"], normed: Float[Tensor, "row d_model"]) -> FrozenNorm:
    """The norm with the divisions that made ``normed`` of ``rows``, found from the two.

    Raises:
        ValueError: if no division did.
    """
    if norm is None:
        return FrozenNorm(None, torch.ones_like(rows[:, :1]))
    undivided, output = norm.undivided(rows).double(), normed.double()
    if norm.bias is not None:
        output = output - norm.bias.double()
    inverse = torch.linalg.vecdot(output, undivided) / torch.linalg.vecdot(undivided, undivided)
    inverse = inverse.nan_to_num(0.0)[:, None]  # of a row of zeros
    gap = beyond_rounding(inverse * undivided, output, normed.dtype)
    if gap is not None and not math.isnan(gap):  # of what is no number the sum is none either, and is refused
        raise ValueError(f"a norm of the model does something else than divide by a number: it is {gap:.2g} off that")
    return FrozenNorm(norm, inverse.to(rows.dtype))


def beyond_rounding(
    ours: Float[Tensor, "row d_model"], theirs: Float[Tensor, "row d_model"], precision: torch.dtype
) -> float | None:
    """The largest gap between vectors computed in two ways if rounding cannot explain it, else ``None``.

    Single precision is allowed for in double models too, whose norms are often computed in it.
    """
    unit = max(torch.finfo(precision).eps, torch.finfo(torch.float32).eps)
    gaps = (ours - theirs).abs().amax(-1)
    allowed = min(ROUNDING_UNITS * unit, LARGEST_ROUNDING) * theirs.abs().amax(-1)
    return None if (gaps <= allowed).all() else gaps.max().item()
