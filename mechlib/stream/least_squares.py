"""The affine maps from every entry of the residual stream to the last one that are best in least squares."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float64, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.stream.entries import entries_of
from mechlib.stream.running import at_rest, few_sequences

CONSTANT = 1e-12
"""Share of the mean square below which a variance in double precision is rounding: such entries are all alike."""

Maps = tuple[Float64[Tensor, "layer d_model d_model"], Float64[Tensor, "layer d_model"]]


def least_squares_maps(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    mask: Bool[Tensor, "batch pos"] | None,
    *,
    ridge: float,
) -> Maps:
    """``A`` and ``b`` of each entry but the last, such that ``x + A x + b`` is near the last entry ``y``.

    They minimise ``E |x + A x + b - y|^2 / |y|^2 + ridge * v |A|^2`` with ``v`` the mean variance of a component of
    ``x``, in closed form (Hastie et al. 2009, sec. 3.4.1). The final norm divides by about ``|y|``, so all positions
    count alike. The moments are summed in double precision over some sequences at a time: ``2 n_layers d_model^2``
    numbers, however many tokens there are. Of entries that are all alike only ``b`` is found, and ``A`` is zero.

    Raises:
        ValueError: if the stream is not finite.
    """
    shape = (model.cfg.n_layers, model.cfg.d_model, model.cfg.d_model)
    squares, products = (torch.zeros(shape, dtype=torch.float64, device=tokens.device) for _ in range(2))
    means, missing = (torch.zeros(shape[:2], dtype=torch.float64, device=tokens.device) for _ in range(2))
    total = torch.zeros((), dtype=torch.float64, device=tokens.device)
    with at_rest(model):
        for sequences in few_sequences(tokens):
            entries = entries_of(model, tokens, mask, sequences).flatten(1, 2).double()
            if mask is not None:
                entries = entries[:, mask[sequences].flatten()]
            weights = 1 / entries[-1].square().mean(-1)
            x, total = entries[:-1], total + weights.sum()
            left = entries[-1] - x
            weighted = x * weights[:, None]
            squares += weighted.mT @ x
            products += left.mT @ weighted
            means += weighted.sum(1)
            missing += (left * weights[:, None]).sum(1)
    if not (squares.isfinite().all() and products.isfinite().all()):
        raise ValueError("the residual stream is not finite on these tokens: no map is best in least squares")
    means, missing = means / total, missing / total
    size = squares.diagonal(dim1=1, dim2=2).mean(-1) / total
    squares = squares / total - means[:, :, None] * means[:, None]
    products = products / total - missing[:, :, None] * means[:, None]
    variance = squares.diagonal(dim1=1, dim2=2).mean(-1)
    products[variance <= CONSTANT * size] = 0.0
    strength = ridge * variance
    penalised = squares + strength[:, None, None] * torch.eye(shape[-1], dtype=torch.float64, device=tokens.device)
    maps = torch.linalg.lstsq(penalised, products.mT).solution.mT
    return maps, missing - (maps @ means[..., None])[..., 0]
