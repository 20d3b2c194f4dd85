"""The plain module that the recipes train.

A decoder-only transformer with pre-LayerNorm, learned positions and an unembedding that is tied or has weights of its
own. Its parameters carry the names of TransformerLens's native model, so a state dict moves between the two unchanged;
``tests/zoo`` shows that the two agree to float precision. Trained plain because the bridge's hooks cost a third of the
speed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mechlib.bridge import Shape


class Attention(nn.Module):
    mask: Tensor

    def __init__(self, shape: Shape):
        super().__init__()
        self.n_heads, self.d_head = shape.n_heads, shape.d_head
        width = shape.n_heads * shape.d_head
        self.q, self.k, self.v = (nn.Linear(shape.d_model, width) for _ in range(3))
        self.o = nn.Linear(width, shape.d_model)
        mask = torch.zeros(shape.n_ctx, shape.n_ctx).masked_fill(
            torch.ones(shape.n_ctx, shape.n_ctx).triu(1).bool(), -1e4
        )
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        z = self.pattern(x) @ self._by_head(self.v(x))
        return self.o(z.transpose(1, 2).flatten(2))

    def pattern(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch head query key"]:
        pos = x.shape[1]
        q, k = self._by_head(self.q(x)), self._by_head(self.k(x))
        scores = (q / math.sqrt(self.d_head)) @ k.transpose(-1, -2) + self.mask[:pos, :pos].to(q.dtype)
        return torch._softmax(scores, -1, False)  # softmax without autocast's detour through float32

    def _by_head(self, x: Float[Tensor, "batch pos width"]) -> Float[Tensor, "batch head pos d_head"]:
        return x.unflatten(-1, (self.n_heads, self.d_head)).transpose(1, 2)


class MLP(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.fc_in = nn.Linear(shape.d_model, shape.d_mlp)
        self.fc_out = nn.Linear(shape.d_mlp, shape.d_model)

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        return self.fc_out(F.gelu(self.fc_in(x)))


class Block(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.ln1, self.attn = nn.LayerNorm(shape.d_model), Attention(shape)
        if shape.d_mlp:
            self.ln2, self.mlp = nn.LayerNorm(shape.d_model), MLP(shape)

    def forward(self, x: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x)) if hasattr(self, "mlp") else x


class Decoder(nn.Module):
    """``forward(tokens [batch, pos]) -> logits [batch, pos, d_vocab]``; initialised from ``seed`` alone."""

    def __init__(self, shape: Shape, seed: int):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            self.tok_embed = nn.Embedding(shape.d_vocab, shape.d_model)
            self.pos = nn.Embedding(shape.n_ctx, shape.d_model)
            self.layers = nn.ModuleList(Block(shape) for _ in range(shape.n_layers))
            self.ln_out = nn.LayerNorm(shape.d_model)
            self.head = nn.Linear(shape.d_model, shape.d_vocab, bias=False)
        self._initialise(torch.Generator().manual_seed(seed), shape.n_layers)
        if shape.tied:
            self.head.weight = self.tok_embed.weight

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator, n_layers: int) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() == 1:
                parameter.fill_(1.0 if "ln" in name and name.endswith("weight") else 0.0)
                continue
            std = 0.02 if name.startswith(("tok_embed", "pos", "head")) else 0.8 / math.sqrt(parameter.shape[1])
            into_stream = name.endswith(("attn.o.weight", "mlp.fc_out.weight"))
            parameter.normal_(0.0, std / math.sqrt(2 * n_layers) if into_stream else std, generator=generator)

    def forward(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_vocab"]:
        *_, x = self.stream(tokens)
        return self.head(self.ln_out(x))

    def patterns(self, tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, "layer batch head query key"]:
        """Where every head attends: rows over ``key`` sum to 1."""
        blocks = [block for block in self.layers if isinstance(block, Block)]  # as whose list a ModuleList has no type
        into = zip(blocks, self.stream(tokens), strict=False)
        return torch.stack([block.attn.pattern(block.ln1(x)) for block, x in into])

    def stream(self, tokens: Int[Tensor, "batch pos"]) -> Iterator[Float[Tensor, "batch pos d_model"]]:
        """The residual stream before each block, and after the last."""
        x = self.tok_embed(tokens) + self.pos.weight[: tokens.shape[1]]
        yield x
        for block in self.layers:
            x = block(x)
            yield x
