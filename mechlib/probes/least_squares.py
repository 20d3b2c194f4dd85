"""What a linear map can read from activations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class LeastSquaresProbe:
    """An affine map from activations to one score per class, fitted to one-hot labels."""

    weight: Float[Tensor, "d_model n_classes"]
    """Coefficients."""
    bias: Float[Tensor, " n_classes"]
    """Offset of each class."""

    def __call__(self, activations: Float[Tensor, "*rest d_model"]) -> Float[Tensor, "*rest n_classes"]:
        """The score of every class."""
        return activations @ self.weight + self.bias

    def accuracy(
        self, activations: Float[Tensor, "*rest d_model"], labels: Int[Tensor, "*rest"], *, batch: int = 4096
    ) -> Float[Tensor, "*rest"]:
        """1.0 where the class with the highest score is the label, else 0.0.

        Raises:
            ValueError: if an activation is NaN or infinite.
        """
        _require_finite(activations)
        flat = activations.flatten(0, -2)
        best = torch.cat([self(rows).argmax(-1) for rows in flat.split(batch)])
        return (best.view(labels.shape) == labels).float()


def fit_least_squares(
    activations: Float[Tensor, "*rest d_model"], labels: Int[Tensor, "*rest"], *, n_classes: int, ridge: float = 1e-2
) -> LeastSquaresProbe:
    """Ridge regression of one-hot labels on standardised activations, in closed form (Hastie et al. 2009, sec. 4.2).

    Minimises ``|X W + b - Y|^2 + ridge * n |W|^2`` over standardised ``X``: deterministic, with no optimiser whose
    strength could be doubted. It is a lower bound on what a linear classifier can read. A feature that is constant, or
    a combination of others, is no exception at any ``ridge``: of equally good maps it is the one of smallest ``|W|``,
    constant features unused.

    Raises:
        ValueError: if labels and activations do not match, a label is no class, there are not two rows, ``ridge`` is
            negative, or an activation is NaN or infinite.
    """
    if labels.shape != activations.shape[:-1]:
        raise ValueError(f"labels {tuple(labels.shape)} do not match activations {tuple(activations.shape)}")
    if labels.numel() == 0 or labels.min() < 0 or labels.max() >= n_classes:
        raise ValueError(f"labels must lie in 0..{n_classes - 1} and not be empty")
    if labels.numel() < 2 or not ridge >= 0:
        raise ValueError(f"at least two rows and a ridge of at least 0 are needed, got {labels.numel()} and {ridge}")
    _require_finite(activations)
    x, y = activations.flatten(0, -2).double(), labels.flatten().long()
    mean, scale = x.mean(0), x.std(0)
    scale = scale.where(scale > 1e-12 * x.abs().amax(0), torch.inf)
    x = (x - mean) / scale
    sums = torch.zeros(n_classes, x.shape[1], dtype=x.dtype, device=x.device).index_add_(0, y, x)
    values, vectors = torch.linalg.eigh(x.T @ x)
    spanned = values > len(values) * torch.finfo(x.dtype).eps * values[-1]
    inverse = torch.where(spanned, 1 / (values + ridge * len(x)), 0.0)
    weight = vectors @ (inverse[:, None] * (vectors.T @ sums.T)) / scale[:, None]
    share = torch.bincount(y, minlength=n_classes).to(x) / len(y)
    return LeastSquaresProbe(weight.to(activations), (share - mean @ weight).to(activations))


def _require_finite(activations: Float[Tensor, "*rest d_model"]) -> None:
    if len(bad := activations.isfinite().logical_not().nonzero()):
        at = bad[0].tolist()
        raise ValueError(f"the activation at {at} is {activations[tuple(at)]:.3g}; nothing can be read from it")
