"""Trainable layers of linear self-attention, the ones that can be gradient descent."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mechlib.icl.construction import LinearAttentionWeights, query_tokens


class LinearSelfAttention(nn.Module):
    """Layers of linear self-attention that predict the last point of a prompt (von Oswald et al. 2023).

    Nothing but ``W_Q, W_K, W_V, W_O`` of each layer: no softmax, norm, MLP, positions or biases. Tokens and read-out
    are those of ``mechlib.icl.construction``.

    Args:
        d: dimension of the inputs.
        n_layers: how many layers a prompt passes.
        looped: whether all layers share their weights.
        n_models: how many models train together, each from weights of its own; one model predicts without that axis.
        seed: decides the initial weights: normal with variance ``0.002 / (n_layers (d + 1))``, cut at two standard
            deviations.

    Raises:
        ValueError: if a number is below 1.
    """

    W_Q: Tensor
    W_K: Tensor
    W_V: Tensor
    W_O: Tensor

    def __init__(self, d: int, *, n_layers: int = 1, looped: bool = False, n_models: int = 1, seed: int = 0):
        super().__init__()
        if min(d, n_layers, n_models) < 1:
            raise ValueError(f"all of these are at least 1: d={d}, n_layers={n_layers}, n_models={n_models}")
        self.d, self.n_layers, self.looped, self.n_models = d, n_layers, looped, n_models
        generator = torch.Generator().manual_seed(seed)
        std = math.sqrt(0.002 / (n_layers * (d + 1)))
        shape = (n_models, 1 if looped else n_layers, d + 1, d + 1)
        for name in ("W_Q", "W_K", "W_V", "W_O"):
            initial = nn.init.trunc_normal_(torch.empty(shape), std=std, a=-2 * std, b=2 * std, generator=generator)
            setattr(self, name, nn.Parameter(initial))

    def layers(self) -> list[LinearAttentionWeights]:
        """The layers in the order in which a prompt passes them; weights ``[model, 1, d + 1, d + 1]``."""
        return [
            LinearAttentionWeights(
                *(W[:, None, 0 if self.looped else i] for W in (self.W_Q, self.W_K, self.W_V, self.W_O))
            )
            for i in range(self.n_layers)
        ]

    def forward(
        self, x: Float[Tensor, "batch n_points d"], y: Float[Tensor, "batch n_points"]
    ) -> Float[Tensor, "*model batch"]:
        """The prediction for the last point; its ``y`` is not looked at.

        Raises:
            ValueError: for what is no batch of prompts of this dimension, or prompts without an example.
        """
        if x.shape[-1] != self.d:
            raise ValueError(f"the model takes inputs of {self.d} dimensions, got {tuple(x.shape)}")
        tokens = query_tokens(x, y).expand(self.n_models, -1, -1, -1)
        for layer in self.layers():
            tokens = layer(tokens)
        predictions = -tokens[..., -1, -1]
        return predictions[0] if self.n_models == 1 else predictions
