"""The last step of a model as far as the largest logit depends on it: rows, a bias, and how long a vector may be."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

__all__ = ["Readout"]


@dataclass(frozen=True, eq=False)
class Readout:
    """Logits ``rows @ h + bias`` of a vector h no longer than ``radius``.

    A final norm is folded in by ``after_norm``, so that h is what the norm makes of a residual vector.

    Raises:
        ValueError: if the rows are no matrix of two tokens or more, the bias is not one number a token, any of them is
            not finite, or the radius is not positive.
    """

    rows: Float[np.ndarray, "token d"]
    """The unembedding, one row for each token; kept in double precision, which changes no value."""
    bias: Float[np.ndarray, " token"] = field(default_factory=lambda: np.zeros(0))
    """Added to the logits; zeros if it is empty."""
    radius: float = math.inf
    """h is shorter than this. It only matters where there is a bias: without one, half of h gives the same order."""

    def __post_init__(self) -> None:
        rows = np.ascontiguousarray(np.asarray(self.rows, dtype=np.float64))
        if rows.ndim != 2 or len(rows) < 2 or rows.shape[1] < 1:
            raise ValueError(f"rows are a matrix [token, d] of two tokens or more; their shape is {rows.shape}")
        bias = np.asarray(self.bias, dtype=np.float64) if np.size(self.bias) else np.zeros(len(rows))
        if bias.shape != (len(rows),):
            raise ValueError(f"the bias is one number for each of {len(rows)} tokens; its shape is {bias.shape}")
        for name, values in (("rows", rows), ("bias", bias)):
            if not np.isfinite(values).all():
                first = np.argwhere(~np.isfinite(values))[0].tolist()
                raise ValueError(f"{name} must be finite, and the entry {first} is {values[tuple(first)]}")
        if not self.radius > 0:
            raise ValueError(f"the radius is above 0 (math.inf for any vector), not {self.radius}")
        object.__setattr__(self, "rows", rows)
        object.__setattr__(self, "bias", bias)

    @classmethod
    def after_norm(
        cls,
        rows: ArrayLike,
        gain: ArrayLike,
        shift: ArrayLike | float = 0.0,
        bias: ArrayLike | float = 0.0,
        *,
        centred: bool,
    ) -> Readout:
        """The read-out of residual vectors that pass a final norm first.

        RMSNorm divides a vector x by the root of its mean square plus ε, so what comes of it fills the open ball of
        radius ``sqrt(d)`` and nothing else; LayerNorm (``centred``) takes the mean off first, and fills the vectors of
        that ball whose entries sum to 0. Gain and shift follow. So the logits are
        ``rows @ (gain * n + shift) + bias`` with n in the ball: rows times gain, centred for LayerNorm, and a bias
        that the shift adds to.

        Args:
            rows: the unembedding, [token, d].
            gain: the norm's weight, [d].
            shift: its bias, [d] or 0.
            bias: that of the unembedding, [token] or 0.
            centred: whether the norm takes the mean off.
        """
        w = np.asarray(rows, dtype=np.float64)
        if w.ndim != 2 or np.shape(gain) != w.shape[1:]:
            raise ValueError(
                f"the gain has one number for each column of rows {w.shape}; its shape is {np.shape(gain)}"
            )
        told = np.broadcast_to(np.asarray(bias, dtype=np.float64), len(w))
        told = told + w @ np.broadcast_to(np.asarray(shift, dtype=np.float64), w.shape[1])
        w = w * np.asarray(gain, dtype=np.float64)
        if centred:
            w = w - w.mean(1, keepdims=True)
        return cls(w, told, math.sqrt(w.shape[1]))

    def inside(self, vectors: Float[np.ndarray, "*some d"]) -> Float[np.ndarray, "*some d"]:
        """The vectors, lengthened or shortened to just within a finite radius. Without a bias no order changes."""
        if math.isinf(self.radius):
            return vectors
        length = np.linalg.norm(vectors, axis=-1, keepdims=True)
        return vectors * (0.999 * self.radius / np.maximum(length, 1e-300))

    @property
    def n(self) -> int:
        """Number of tokens."""
        return len(self.rows)

    @property
    def d(self) -> int:
        """Entries of a row."""
        return self.rows.shape[1]

    @property
    def biased(self) -> bool:
        """Whether tokens differ in their bias, so that the length of a vector matters."""
        return bool(np.ptp(self.bias) > 0)

    def require(self, token: int) -> int:
        """The token as an integer.

        Raises:
            IndexError: if there is none of this number.
        """
        if not 0 <= token < self.n:
            raise IndexError(f"the tokens are 0 to {self.n - 1}, not {token}")
        return int(token)
