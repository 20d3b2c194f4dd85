"""Losses of a model on text."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


def windows(stream: Int[Tensor, " pos"], length: int) -> Int[Tensor, "row pos"]:
    """A stream cut into rows of ``length`` tokens, the incomplete last one left out."""
    return stream[: len(stream) // length * length].view(-1, length)


@torch.no_grad()
def token_losses(model: nn.Module, rows: Int[Tensor, "row pos"], *, batch: int = 32) -> Float[Tensor, "row target"]:
    """The loss in nats on every token of ``rows`` but the first, in full precision; ``model`` maps tokens to logits."""
    device = next(model.parameters()).device
    losses = []
    for chunk in rows.to(device).split(batch):
        logits = model(chunk[:, :-1]).float()
        losses.append(F.cross_entropy(logits.transpose(1, 2), chunk[:, 1:], reduction="none").cpu())
    return torch.cat(losses)
