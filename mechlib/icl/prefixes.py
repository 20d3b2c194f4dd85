"""What stands before each point of a prompt: sums and singular values in which the point itself has no part.

Nothing is summed with the point and taken off again: what rounding has swallowed beside a large value does not come
back. Singular values are found from the inputs, never from ``X'X``, whose rounding hides the small ones and fills its
null space. Both in the precision given; the predictors give double.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

ROUNDINGS = 4
"""How many roundings of every entry of the inputs may hide a singular value, in ``spectra``."""


def sums_before(values: Float[Tensor, "batch n_points *rest"]) -> Float[Tensor, "batch n_points *rest"]:
    """At each point, the sum over the points before it; 0 at the first."""
    return torch.cat([torch.zeros_like(values[:, :1]), values[:, :-1].cumsum(1)], dim=1)


class Spectrum(NamedTuple):
    """``X = left diag(values) right`` for the inputs before one point; there are ``r = min(k, d)`` singular values."""

    left: Float[Tensor, "batch k r"]
    values: Float[Tensor, "batch r"]
    """Falling; 0 for those that nothing but rounding holds up."""
    right: Float[Tensor, "batch r d"]

    def coordinates(
        self, query: Float[Tensor, "batch d"], y: Float[Tensor, "batch k"]
    ) -> tuple[Float[Tensor, "batch r"], Float[Tensor, "batch r"]]:
        """The query along the right singular vectors, and ``y`` along the left ones."""
        return (self.right @ query[..., None])[..., 0], (self.left.mT @ y[..., None])[..., 0]

    def gains(self, gain: Callable[[Tensor], Tensor]) -> Float[Tensor, "batch r"]:
        """``gain`` of the singular values, and 0 for those that are 0 (for which it sees the largest)."""
        some, largest = self.values > 0, self.values[:, :1]
        return torch.where(some, gain(self.values.where(some, largest.where(largest > 0, 1.0))), 0.0)


def spectra(x: Float[Tensor, "batch n_points d"], *, rounding: float = 0.0) -> Iterator[Spectrum]:
    """The singular values of the inputs before each point but the first.

    A singular value counts as 0 below ``max(k, d) eps`` times the largest, the error of its computation; and where
    ``rounding``, the relative precision of the entries of ``x``, could have made it. The second bound looks at the
    entries that the singular vectors meet, so inputs of very different sizes do not hide each other.
    """
    for k in range(1, x.shape[1]):
        seen = x[:, :k]
        left, values, right = torch.linalg.svd(seen, full_matrices=False)
        with torch.no_grad():
            error = max(seen.shape[1:]) * torch.finfo(x.dtype).eps * values[:, :1]
            hidden = ROUNDINGS * rounding * (left.abs().mT @ seen.abs() * right.abs()).sum(-1)
        yield Spectrum(left, values.where(values > torch.maximum(error, hidden), 0.0), right)


def by_singular_values(
    x: Float[Tensor, "batch n_points d"],
    y: Float[Tensor, "batch n_points"],
    gain: Callable[[Float[Tensor, "batch r"]], Float[Tensor, "batch r"]],
    *,
    rounding: float = 0.0,
) -> Float[Tensor, "batch n_points"]:
    """Predictions with the weights ``sum_j gain(s_j) v_j (u_j . y)`` of the examples before each point, 0 at the first.

    In double precision, returned in that of ``y``. All weights lie in the span of the examples.
    """
    inputs, outputs = x.double(), y.double()
    found = [torch.zeros_like(outputs[:, 0])]
    for k, spectrum in enumerate(spectra(inputs, rounding=rounding), start=1):
        query, along = spectrum.coordinates(inputs[:, k], outputs[:, :k])
        found.append((query * spectrum.gains(gain) * along).sum(-1))
    return torch.stack(found, dim=1).to(y.dtype)
