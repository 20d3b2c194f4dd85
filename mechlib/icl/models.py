"""Small transformers that learn regression in context, many at once.

A population is one module: every parameter has a leading axis for the models, so that small models, too small to keep a
machine busy alone, train together at the cost of one. A single model is a population of one, and predicts without that
axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mechlib.icl.prompts import require_prompts

Stream = Float[Tensor, "model batch token d_model"]


@dataclass(frozen=True)
class Architecture:
    """The sizes of a transformer on prompts, and which of its parts it has."""

    d: int
    """Dimension of the inputs."""
    n_points: int
    """Most examples of a prompt, the query included."""
    d_model: int = 32
    n_layers: int = 2
    n_heads: int = 2
    d_mlp: int | None = None
    """Width of the MLPs: ``4 * d_model`` for ``None``, no MLP for 0."""
    tokens: Literal["paired", "interleaved"] = "paired"
    """``paired``: token ``k`` is ``(x_k, x_{k-1}, y_{k-1})``. ``interleaved``: tokens ``x_0, y_0, x_1, ...``."""
    attention: Literal["softmax", "linear"] = "softmax"
    """``linear``: scores without softmax, divided by the number of tokens seen."""
    norm: bool = True
    """Whether LayerNorm stands before every attention, MLP and the read-out."""

    def __post_init__(self) -> None:
        sizes = {name: getattr(self, name) for name in ("d", "n_points", "d_model", "n_layers", "n_heads")}
        if min(sizes.values()) < 1 or (self.d_mlp is not None and self.d_mlp < 0):
            raise ValueError(f"sizes are at least 1 and d_mlp at least 0, got {sizes | {'d_mlp': self.d_mlp}}")
        if self.d_model % self.n_heads:
            raise ValueError(f"d_model={self.d_model} does not divide into n_heads={self.n_heads}")
        for name, known in (("tokens", ("paired", "interleaved")), ("attention", ("softmax", "linear"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is one of {known}, got {getattr(self, name)!r}")

    @property
    def n_tokens(self) -> int:
        return self.n_points if self.tokens == "paired" else 2 * self.n_points

    @property
    def d_token(self) -> int:
        return 2 * self.d + 1 if self.tokens == "paired" else self.d + 1


class ICLTransformer(nn.Module):
    """A causal pre-norm transformer with learned positions that predicts every ``y_k`` from what stands before it.

    Args:
        architecture: sizes and parts, common to the population.
        seed: decides every initial weight; the models of a population start differently.
        n_models: how many models.
    """

    def __init__(self, architecture: Architecture, *, seed: int = 0, n_models: int = 1):
        super().__init__()
        if n_models < 1:
            raise ValueError(f"a population has at least one model, got n_models={n_models}")
        self.architecture, self.n_models = architecture, n_models
        generator = torch.Generator().manual_seed(seed)
        width = architecture.d_model
        self.embed = _Affine(n_models, architecture.d_token, width, generator)
        self.positions = nn.Parameter(
            0.02 * torch.randn(n_models, 1, architecture.n_tokens, width, generator=generator)
        )
        self.blocks = nn.ModuleList(_Block(n_models, architecture, generator) for _ in range(architecture.n_layers))
        self.norm = _Norm(n_models, width) if architecture.norm else nn.Identity()
        self.read = _Affine(n_models, width, 1, generator, scale=0.02)

    def forward(
        self, x: Float[Tensor, "*model batch n_points d"], y: Float[Tensor, "*model batch n_points"]
    ) -> Float[Tensor, "*model batch n_points"]:
        """Predictions for every point.

        A population takes prompts common to all, without a ``model`` axis, or prompts for each model with it; either
        way it predicts with that axis. One model has it neither in what it takes nor in what it gives.

        Raises:
            ValueError: for what is no batch of prompts, or has more points or another dimension than the model.
        """
        return self._shown(self._read_out(self._entries(x, y)[-1]))

    def residual_entries(
        self,
        x: Float[Tensor, "*model batch n_points d"],
        y: Float[Tensor, "*model batch n_points"],
        *,
        at: Literal["x", "y"] = "x",
    ) -> Float[Tensor, "entry *model batch n_points d_model"]:
        """The residual stream after the embedding, then after every layer.

        Args:
            at: ``x``, where each prediction is read, and point ``k`` has seen ``k`` examples; or ``y``, the token after
                it, which has seen ``k + 1``. Paired tokens hold both, and have no place ``y``.

        Raises:
            ValueError: as ``forward``, and for ``at="y"`` with paired tokens.
        """
        if at not in ("x", "y") or (at == "y" and self.architecture.tokens == "paired"):
            raise ValueError(
                f"at is 'x' or, with interleaved tokens, 'y'; got {at!r}, {self.architecture.tokens} tokens"
            )
        entries = self._entries(x, y)
        return torch.stack(
            [self._shown(self._at_queries(entry) if at == "x" else entry[:, :, 1::2]) for entry in entries]
        )

    def regression_lens(
        self, x: Float[Tensor, "*model batch n_points d"], y: Float[Tensor, "*model batch n_points"]
    ) -> Float[Tensor, "entry *model batch n_points"]:
        """What every entry of the residual stream predicts when it is read as the last one is: a logit lens."""
        return torch.stack([self._shown(self._read_out(entry)) for entry in self._entries(x, y)])

    def select(self, model: int) -> ICLTransformer:
        """One model of the population, with weights of its own.

        Raises:
            ValueError: if there is no model of that number.
        """
        if not 0 <= model < self.n_models:
            raise ValueError(f"the population has models 0 to {self.n_models - 1}, not {model}")
        alone = ICLTransformer(self.architecture)
        alone.load_state_dict({name: value[model : model + 1] for name, value in self.state_dict().items()})
        return alone.to(self.positions.device)

    def _entries(self, x: Tensor, y: Tensor) -> list[Stream]:
        x, y = self._for_each_model(x, y)
        tokens = _paired(x, y) if self.architecture.tokens == "paired" else _interleaved(x, y)
        entries = [self.embed(tokens) + self.positions[:, :, : tokens.shape[2]]]
        for block in self.blocks:
            entries.append(block(entries[-1]))
        return entries

    def _for_each_model(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        sizes = self.architecture
        if x.dim() == 3:
            require_prompts(x, y)
            x, y = x.expand(self.n_models, *x.shape), y.expand(self.n_models, *y.shape)
        elif x.dim() != 4 or y.shape != x.shape[:3] or len(x) != self.n_models:
            raise ValueError(
                "prompts are x [batch, n_points, d] and y [batch, n_points], or both with a first axis "
                f"for {self.n_models} models; got {tuple(x.shape)} and {tuple(y.shape)}"
            )
        if x.shape[2] > sizes.n_points or x.shape[3] != sizes.d:
            raise ValueError(
                f"the model takes up to {sizes.n_points} points in {sizes.d} dimensions, got {tuple(x.shape[-2:])}"
            )
        return x, y

    def _at_queries(self, stream: Stream) -> Stream:
        return stream if self.architecture.tokens == "paired" else stream[:, :, ::2]

    def _read_out(self, stream: Stream) -> Float[Tensor, "model batch n_points"]:
        return self.read(self.norm(self._at_queries(stream)))[..., 0]

    def _shown(self, values: Tensor) -> Tensor:
        return values[0] if self.n_models == 1 else values


class _Affine(nn.Module):
    def __init__(self, n_models: int, d_in: int, d_out: int, generator: torch.Generator, *, scale: float | None = None):
        super().__init__()
        std = 1 / math.sqrt(d_in) if scale is None else scale
        self.weight = nn.Parameter(std * torch.randn(n_models, d_in, d_out, generator=generator))
        self.bias = nn.Parameter(torch.zeros(n_models, 1, d_out))

    def forward(self, values: Float[Tensor, "model *rest d_in"]) -> Float[Tensor, "model *rest d_out"]:
        rows = values.reshape(len(values), -1, values.shape[-1])
        return torch.baddbmm(self.bias, rows, self.weight).view(*values.shape[:-1], -1)


class _Norm(nn.Module):
    def __init__(self, n_models: int, width: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(n_models, 1, 1, width))
        self.bias = nn.Parameter(torch.zeros(n_models, 1, 1, width))

    def forward(self, stream: Stream) -> Stream:
        return torch.addcmul(self.bias, F.layer_norm(stream, stream.shape[-1:]), self.gain)


class _Block(nn.Module):
    def __init__(self, n_models: int, sizes: Architecture, generator: torch.Generator):
        super().__init__()
        width, d_mlp = sizes.d_model, 4 * sizes.d_model if sizes.d_mlp is None else sizes.d_mlp
        depth = math.sqrt(2 * sizes.n_layers)
        self.n_heads, self.linear = sizes.n_heads, sizes.attention == "linear"
        self.norm1 = _Norm(n_models, width) if sizes.norm else nn.Identity()
        self.qkv = _Affine(n_models, width, 3 * width, generator)
        self.out = _Affine(n_models, width, width, generator, scale=1 / math.sqrt(width) / depth)
        self.mlp = None
        if d_mlp:
            self.norm2 = _Norm(n_models, width) if sizes.norm else nn.Identity()
            into = _Affine(n_models, width, d_mlp, generator)
            back = _Affine(n_models, d_mlp, width, generator, scale=1 / math.sqrt(d_mlp) / depth)
            self.mlp = nn.Sequential(into, nn.GELU(approximate="tanh"), back)

    def forward(self, stream: Stream) -> Stream:
        stream = stream + self.out(self._attend(self.qkv(self.norm1(stream))))
        return stream if self.mlp is None else stream + self.mlp(self.norm2(stream))

    def _attend(self, qkv: Float[Tensor, "model batch token qkv"]) -> Stream:
        models, batch, tokens, width = qkv.shape
        heads = qkv.view(models * batch, tokens, 3, self.n_heads, width // 3 // self.n_heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        if self.linear:
            seen = torch.arange(1, tokens + 1, device=qkv.device, dtype=qkv.dtype)[:, None]
            mixed = ((q @ k.mT / math.sqrt(q.shape[-1])).tril() / seen) @ v
        else:
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return mixed.transpose(1, 2).reshape(models, batch, tokens, width // 3)


def _paired(x: Tensor, y: Tensor) -> Float[Tensor, "model batch n_points d_token"]:
    before = torch.cat([x[:, :, :-1], y[:, :, :-1, None]], dim=-1)
    return torch.cat([x, F.pad(before, (0, 0, 1, 0))], dim=-1)


def _interleaved(x: Tensor, y: Tensor) -> Float[Tensor, "model batch token d_token"]:
    points = torch.stack([F.pad(x, (0, 1)), F.pad(y[..., None], (x.shape[-1], 0))], dim=3)
    return points.flatten(2, 3)
