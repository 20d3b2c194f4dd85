"""Two cues that say the same label, and a one-layer transformer that may read either.

All inputs are enumerated and the labels' distribution is known, so the loss is a divergence with minimum 0, and two
networks at the minimum compute the same thing: what is left to differ is how.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from itertools import permutations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

__all__ = ["Cues", "Network", "divergence", "lead"]


class Cues:
    """Every order of a first cue, a second cue and a distractor, and behind them a query token.

    Both cues name the label. The label that is seen is the named one, or with probability ``noise`` any one at random.
    """

    def __init__(self, labels: int = 4, distractors: int = 2, noise: float = 0.1):
        """
        Raises:
            ValueError: if there are no two labels, no distractor, or the noise is not between 0 and 1.
        """
        if labels < 2 or distractors < 1 or not 0 < noise < 1:
            raise ValueError(
                "the task needs two labels, a distractor and a noise between 0 and 1, "
                f"got labels = {labels}, distractors = {distractors}, noise = {noise:g}"
            )
        self.n_labels, self.n_tokens = labels, 2 * labels + distractors + 1
        rows = [
            (label, *order, self.n_tokens - 1)
            for label in range(labels)
            for other in range(distractors)
            for order in permutations((label, labels + label, 2 * labels + other))
        ]
        self.tokens: Int[Tensor, "input 4"] = torch.tensor(rows)[:, 1:]
        self.label: Int[Tensor, " input"] = torch.tensor(rows)[:, 0]
        spread = torch.full((len(rows), labels), noise / labels, dtype=torch.float64)
        named = nn.functional.one_hot(self.label, labels).double()
        self.target: Float[Tensor, "input label"] = spread + (1 - noise) * named

    def __len__(self) -> int:
        """The number of inputs."""
        return len(self.label)

    @cached_property
    def donors(self) -> Int[Tensor, "input donor"]:
        """For every input those of other labels, each as often."""
        differs = self.label[:, None] != self.label
        return torch.arange(len(self)).expand_as(differs)[differs].view(len(self), -1)


def divergence(logits: Float[Tensor, "*batch label"], target: Float[Tensor, "*batch label"]) -> Float[Tensor, "*batch"]:
    """The Kullback-Leibler divergence of the model's labels from the target, in nats."""
    return (target * (target.log() - logits.log_softmax(-1))).sum(-1)


def lead(logits: Float[Tensor, "*batch input label"], label: Int[Tensor, " input"]) -> Float[Tensor, "*batch input"]:
    """The logit of each input's label over the mean of the others'."""
    n_labels = logits.shape[-1]
    named = logits.gather(-1, label[:, None].expand(*logits.shape[:-1], 1))[..., 0]
    return (named - logits.mean(-1)) * n_labels / (n_labels - 1)


class Network(nn.Module):
    """Three heads read at the query token, one layer of neurons after them, a norm, and the labels' logits.

    What the heads write and what the later parts make of it are two methods, so that the one can be changed on the way
    to the other. Weights are in double precision: 1,404 of them as the book has it.
    """

    def __init__(
        self, cues: Cues, *, seed: int = 0, d: int = 12, heads: int = 3, d_head: int = 4, neurons: int = 24, norm=True
    ):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def drawn(*shape: int, scale: float) -> nn.Parameter:
            return nn.Parameter(scale * torch.randn(*shape, generator=generator, dtype=torch.float64))

        self.norm = norm
        self.E = drawn(cues.n_tokens, d, scale=0.5)
        self.P = drawn(cues.tokens.shape[1], d, scale=0.2)
        self.Q, self.K, self.V = (drawn(heads, d, d_head, scale=d**-0.5) for _ in range(3))
        self.O = drawn(heads, d_head, d, scale=(d_head * heads) ** -0.5)
        self.W_in, self.b_in = drawn(d, neurons, scale=d**-0.5), drawn(neurons, scale=0.0)
        self.W_out = drawn(neurons, d, scale=0.5 * neurons**-0.5)
        self.U = drawn(d, cues.n_labels, scale=d**-0.5)

    @property
    def n_heads(self) -> int:
        return len(self.Q)

    def heads(
        self, tokens: Int[Tensor, "input position"]
    ) -> tuple[Float[Tensor, "input d"], Float[Tensor, "input head d"]]:
        """The embedding of the last token, and what each head adds to it."""
        x = self.E[tokens] + self.P
        query = torch.einsum("id,hdk->ihk", x[:, -1], self.Q)
        scores = torch.einsum("ihk,ipd,hdk->ihp", query, x, self.K) / math.sqrt(self.Q.shape[-1])
        written = torch.einsum("ihp,ipd,hdk,hke->ihe", scores.softmax(-1), x, self.V, self.O)
        return x[:, -1], written

    def finish(
        self, x: Float[Tensor, "*batch d"], written: Float[Tensor, "*batch head d"], scale: Tensor | None = None
    ) -> tuple[Float[Tensor, "*batch label"], Float[Tensor, "*batch 1"]]:
        """The logits, and the size by which the norm has divided; another ``scale`` puts that in its place."""
        x = x + written.sum(-2)
        x = x + nn.functional.gelu(x @ self.W_in + self.b_in) @ self.W_out
        if scale is None:
            scale = (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() if self.norm else torch.ones_like(x[..., :1])
        return x / scale @ self.U, scale

    def forward(self, tokens: Int[Tensor, "input position"]) -> Float[Tensor, "input label"]:
        return self.finish(*self.heads(tokens))[0]

    def vector(self) -> Float[Tensor, " weight"]:
        """All weights in one row, in the order of ``named_parameters``."""
        return nn.utils.parameters_to_vector(self.parameters()).detach()

    def named(self, vector: Float[Tensor, "*batch weight"]) -> Mapping[str, Tensor]:
        """The weights of such a row by their names, as ``torch.func.functional_call`` takes them."""
        parameters = dict(self.named_parameters())
        parts = vector.split([p.numel() for p in parameters.values()], -1)
        return {
            name: part.reshape(*vector.shape[:-1], *p.shape)
            for (name, p), part in zip(parameters.items(), parts, strict=True)
        }
