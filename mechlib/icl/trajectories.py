"""The paths of several training runs in the space of their outputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class JointPCA:
    """Principal components that all the given paths share."""

    components: Float[Tensor, "component output"]
    """Orthonormal directions in the space of outputs, by falling variance."""
    mean: Float[Tensor, " output"]
    """The centre of all the points given."""
    share: Float[Tensor, " component"]
    """Each component's share of the variance, 0 to 1."""
    scores: Float[Tensor, "checkpoint component"]
    """The coordinates of the points given, in their order."""

    def project(self, outputs: Float[Tensor, " checkpoint *output"]) -> Float[Tensor, "checkpoint component"]:
        """The coordinates of other outputs on the same prompts, such as those of an algorithm.

        Raises:
            ValueError: if they have another number of outputs.
        """
        flat = outputs.flatten(1)
        if flat.shape[1] != len(self.mean):
            raise ValueError(f"outputs on the same prompts are needed: {len(self.mean)} numbers, got {flat.shape[1]}")
        return (flat.to(self.mean) - self.mean) @ self.components.T


def joint_pca(outputs: Float[Tensor, " checkpoint *output"], *, n_components: int = 2) -> JointPCA:
    """Principal components of outputs over the checkpoints of one or several runs (Carroll et al. 2025, Sec. 4.2).

    Args:
        outputs: predictions on the same prompts, one row of them for each checkpoint; the runs one after another.
        n_components: how many directions to keep.

    Raises:
        ValueError: if there are fewer than two checkpoints, more components than the points allow, or NaN among them.
    """
    flat = outputs.flatten(1).double()
    most = min(len(flat) - 1, flat.shape[1])
    if not 1 <= n_components <= most:
        raise ValueError(
            f"{len(flat)} checkpoints of {flat.shape[1]} outputs have 1 to {most} components, not {n_components}"
        )
    if not torch.isfinite(flat).all():
        raise ValueError("outputs hold values that are NaN or infinite")
    mean = flat.mean(0)
    left, spread, right = torch.linalg.svd(flat - mean, full_matrices=False)
    variance = spread.square()
    kept = slice(n_components)
    return JointPCA(
        components=right[kept],
        mean=mean,
        share=(variance / variance.sum().clamp(min=torch.finfo(flat.dtype).tiny))[kept],
        scores=(left * spread)[:, kept],
    )
