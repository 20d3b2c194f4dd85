"""Ridge regression of one set of vectors on another, in closed form."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def regress(
    x: Float[Tensor, "row n_in"], y: Float[Tensor, "row n_out"], ridge: float
) -> tuple[Float[Tensor, "n_in n_out"], Float[Tensor, " n_out"]]:
    """``W`` and ``b`` that minimise ``|x W + b - y|^2 + ridge * v |W|^2``, ``v`` the mean square of a centred feature
    summed over rows (Hastie et al. 2009, sec. 3.4.1).

    ``b`` is not penalised. In double precision on the way; of equally good maps, as with features that depend on each
    other at ``ridge`` 0, it is the one of smallest ``|W|``.

    Raises:
        ValueError: if the rows do not match or there are not two, ``ridge`` is negative, or a value is NaN or infinite.
    """
    if len(x) != len(y) or len(x) < 2:
        raise ValueError(f"two rows of each or more are needed, as many of both, got {len(x)} and {len(y)}")
    if not ridge >= 0:
        raise ValueError(f"ridge is at least 0, not {ridge}")
    for values in (x, y):
        if len(bad := values.isfinite().logical_not().nonzero()):
            at = bad[0].tolist()
            raise ValueError(f"the value at {at} is {values[tuple(at)]:.3g}; nothing is fitted to it")
    inputs, outputs = x.double(), y.double()
    mean, offset = inputs.mean(0), outputs.mean(0)
    inputs = inputs - mean
    values, vectors = torch.linalg.eigh(inputs.T @ inputs)
    spanned = values > len(values) * torch.finfo(values.dtype).eps * values[-1]
    inverse = torch.where(spanned, 1 / (values + ridge * values.mean()), 0.0)
    weight = vectors @ (inverse[:, None] * (vectors.T @ (inputs.T @ (outputs - offset))))
    return weight.to(x), (offset - mean @ weight).to(x)
