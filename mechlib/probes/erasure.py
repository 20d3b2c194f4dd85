"""What of activations is linear in a code, to be taken out of them."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from mechlib.probes.regression import regress


@dataclass(frozen=True)
class LinearPart:
    """The part of activations that is linear in the codes of what they are about."""

    weight: Float[Tensor, "d_code d_model"]
    """Coefficients, from codes to activations."""
    mean: Float[Tensor, " d_code"]
    """Mean code of the rows it was fitted to."""

    def __call__(self, codes: Float[Tensor, "*rest d_code"]) -> Float[Tensor, "*rest d_model"]:
        """What the codes add to the mean activation. On the rows of the fit its mean is 0."""
        return (codes - self.mean) @ self.weight


def fit_linear_part(activations: Float[Tensor, "*rest d_model"], codes: Float[Tensor, "*rest d_code"]) -> LinearPart:
    """Least squares of activations on codes, such as the embeddings of the tokens that stand there.

    ``activations - part(codes)`` has no covariance with the codes on the rows of the fit. So no affine map of it
    predicts them better than their mean does: a ridge probe reads nothing (oracle erasure; Belrose et al. 2023, LEACE,
    sec. 4). Of all changes that do this with the codes known, it is the smallest in mean square.

    Raises:
        ValueError: if activations and codes do not match, or there are not two rows, or a value is NaN or infinite.
    """
    if activations.shape[:-1] != codes.shape[:-1]:
        raise ValueError(f"codes {tuple(codes.shape)} do not match activations {tuple(activations.shape)}")
    flat = codes.flatten(0, -2)
    weight, _ = regress(flat, activations.flatten(0, -2), 0.0)
    return LinearPart(weight, flat.mean(0))
