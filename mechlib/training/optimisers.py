"""Optimisers that keep the models of a population apart.

A matrix that stands alone has PyTorch's own ``torch.optim.Muon`` and ``clip_grad_norm_``; these take no population.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

import torch
from jaxtyping import Float
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the odd quintic polynomial whose iterates bring every singular value near 1 (Jordan et al. 2024, "Muon")."""


def orthogonalised(
    matrices: Float[Tensor, "*batch rows columns"], steps: int = 5
) -> Float[Tensor, "*batch rows columns"]:
    """About the nearest matrices with orthonormal rows or columns, whichever are fewer.

    Five Newton-Schulz steps bring singular values that are not tiny beside the Frobenius norm into .68 to 1.13;
    singular vectors stay.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    wide = matrices.mT if tall else matrices
    wide = wide / wide.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = wide @ wide.mT
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    return wide.mT if tall else wide


class Muon(torch.optim.Optimizer):
    """Momentum whose updates are orthogonalised, for every model of a population by itself.

    The update of a ``rows x columns`` matrix is scaled by ``.2 sqrt(max(rows, columns))``, so that learning rates of
    Adam carry over (Liu et al. 2025, "Muon is scalable for LLM training", Eq. 4).

    Args:
        groups: parameters ``[model, rows, columns]``; ``parts`` of a group is the number of matrices that stand side
            by side in each.
    """

    def __init__(self, groups: list[dict], lr: float, momentum: float = 0.95):
        super().__init__(groups, {"lr": lr, "momentum": momentum, "parts": 1})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient.

        Args:
            closure: computes the gradients and returns the loss, which is returned; called once, before the update.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        mean = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
        mean.lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(mean, group["momentum"]).unflatten(-1, (group["parts"], -1)).movedim(-2, 0)
        change = orthogonalised(ahead).movedim(0, -2).flatten(-2)
        parameter.sub_(change, alpha=0.2 * math.sqrt(max(ahead.shape[-2:])) * group["lr"])


def optimisers(model: nn.Module, kind: str, lr: float, betas: tuple[float, float]) -> Iterator[torch.optim.Optimizer]:
    """Adam for everything; or, for ``kind`` ``"muon"``, Muon for the matrices of the blocks and Adam for the rest."""
    rest: list[Tensor] = []
    matrices: dict[int, list[Tensor]] = {1: [], 3: []}
    for name, parameter in model.named_parameters():
        if kind == "muon" and name.startswith("blocks.") and name.endswith("weight"):
            matrices[3 if name.endswith("qkv.weight") else 1].append(parameter)
        else:
            rest.append(parameter)
    if groups := [{"params": found, "parts": parts} for parts, found in matrices.items() if found]:
        yield Muon(groups, lr)
    yield torch.optim.Adam(rest, lr=lr, betas=betas, fused=True)


def clip_each(parameters: Sequence[Tensor], largest: float) -> None:
    """Scale the gradient of every model of a population by itself to a norm of ``largest`` at most.

    Args:
        parameters: with the model axis first; one without a gradient is left out.
        largest: infinite for no bound.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if largest == math.inf or not gradients:
        return
    norm = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0).sqrt()
    factor = (largest / norm).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.dim() - 1)))
