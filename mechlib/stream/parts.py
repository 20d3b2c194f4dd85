"""What each part of a model adds to the residual stream: embeddings, heads, MLPs and their biases.

The last entry of the stream is the sum of these. A norm behind attention or MLP (Gemma 2, OLMo 2) is taken with its
division kept at its value, so that what goes through it together has parts behind it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mechlib.bridge import TransformerBridge, kind_of
from mechlib.bridge.norms import at_least_single, factors, norm_at, norm_in_stream
from mechlib.stream.entries import require_direct_readout
from mechlib.stream.frozen import beyond_rounding, frozen
from mechlib.stream.hooks import NORM_BEHIND, Hook, Sublayer, head_output_hooks, hook_name, output_hooks, position_hook
from mechlib.stream.running import first_token, run_reading
from mechlib.stream.unembedding import unembed


class Part(NamedTuple):
    """A part of a model that has a share in its logits."""

    kind: str
    """What it is, such as ``"head"`` or ``"MLP bias"``."""
    layer: int | None = None
    """``None`` for what is in no layer."""
    head: int | None = None
    """``None`` for what is no head."""

    def __str__(self) -> str:
        place = ".".join(str(number) for number in (self.layer, self.head) if number is not None)
        return f"{self.kind} {place}".rstrip()


Additions = tuple[list[Part], Float[Tensor, "part row d_model"]]
"""Some parts, and what they add."""

Seen = dict[str, Float[Tensor, "row ..."]]
"""What a forward pass computes at some rows, in the precision of the model, by the names of its hooks."""


@dataclass(frozen=True)
class Points:
    """The names of the hooks that see what is added to a model's stream."""

    entries: list[str]
    positions: str | None
    """At what learned positions add, if there are any."""
    heads: list[str]
    """At what the heads of a layer hand to ``W_O``."""
    outputs: dict[Sublayer, list[list[str]]]
    """At what attention and MLP of a layer put out, before and after a norm behind them."""

    @property
    def all(self) -> set[str]:
        outputs = (name for layers in self.outputs.values() for names in layers for name in names)
        return {*self.entries, *self.heads, *outputs, *filter(None, [self.positions])}


def points_of(model: TransformerBridge) -> Points:
    """Those of a model whose stream is the sum of what its layers add.

    Raises:
        ValueError: for another model, with the option that makes it so; if a layer has no attention heads.
    """
    if (option := norm_in_stream(model)) is not None:
        raise ValueError(
            f"the stream of a {kind_of(model)} with {option} is itself normed in every layer: it is no sum of parts"
        )
    entries = [hook_name(model, entry) for entry in range(model.cfg.n_layers + 1)]
    outputs = {sublayer: output_hooks(model, sublayer) for sublayer in get_args(Sublayer)}
    return Points(entries, position_hook(model), head_output_hooks(model), outputs)


def run_catching(
    model: TransformerBridge,
    points: Points,
    tokens: Int[Tensor, "batch pos"],
    mask: Bool[Tensor, "batch pos"] | None,
    selected: Int[Tensor, " selected"],
) -> Seen:
    """A forward pass, and what the points see at each selected position that is no pad."""
    read = slice(None) if mask is None else mask[:, selected].flatten()
    first: list[Tensor] = []
    seen: dict[str, Tensor] = {}

    def catching(name: str) -> Hook:
        def catch(values: Float[Tensor, "sequence pos ..."], hook: object) -> None:
            if name == points.entries[-1]:
                first.append(values[:1, first_token(mask), None])
            every = values.detach().expand(len(tokens), *values.shape[1:])  # positions may be those of one sequence
            seen[name] = every[:, selected].flatten(0, 1)[read]

        return catch

    logits = run_reading(model, tokens, [(name, catching(name)) for name in points.all], mask)
    require_direct_readout(logits, unembed(model, first[0]))
    return seen


def additions(model: TransformerBridge, points: Points, seen: Seen) -> Iterator[Additions]:
    """What is added to the stream, from the embedding up, layer by layer; in single precision at least.

    Raises:
        ValueError: if what the parts of a layer add is not what the stream gains there.
    """
    before = at_least_single(seen[points.entries[0]])
    if points.positions is None:
        yield [Part("embedding")], before[None]
    else:
        positions = at_least_single(seen[points.positions])
        yield [Part("embedding"), Part("positions")], torch.stack([before - positions, positions])
    for layer in range(model.cfg.n_layers):
        after = at_least_single(seen[points.entries[layer + 1]])
        sublayers = [of_attention(model, points, layer, seen), *_of_mlp(model, points, layer, seen)]
        parts = [part for names, _ in sublayers for part in names]
        added = torch.cat([added for _, added in sublayers])
        if (gap := beyond_rounding(before + added.sum(0), after, model.W_U.dtype)) is not None:
            raise ValueError(
                f"heads, MLP and biases of layer {layer} of this {kind_of(model)} miss by {gap:.2g} what its stream "
                f"gains there: a hook changes that, or the layer has other parts"
            )
        yield parts, added
        before = after


def of_attention(model: TransformerBridge, points: Points, layer: int, seen: Seen) -> Additions:
    """What the heads of a layer add, in their order, and the bias of attention behind them if there is one.

    Linear in what the heads hand to ``W_O``; a norm behind attention divides by what it divided by in ``seen``.
    """
    attention = model.blocks[layer].attn
    outputs = at_least_single(seen[points.heads[layer]])
    added = torch.einsum("rhd,hdm->hrm", outputs, at_least_single(attention.W_O))
    parts = [Part("head", layer, head) for head in range(len(added))]
    if (bias := _bias(attention, "b_O")) is not None:
        parts.append(Part("attention bias", layer))
        added = torch.cat([added, bias.expand_as(added[:1])])
    return parts, _behind_norm(model, points, layer, "attn", added, seen)


def _of_mlp(model: TransformerBridge, points: Points, layer: int, seen: Seen) -> list[Additions]:
    """Nothing where the layer has no MLP."""
    if not (names := points.outputs["mlp"][layer]):
        return []
    added = at_least_single(seen[names[-1]])[None]
    if (bias := _bias(model.blocks[layer].mlp, "b_out")) is None:
        return [([Part("MLP", layer)], added)]
    of_bias = _behind_norm(model, points, layer, "mlp", bias.expand_as(added), seen)
    return [([Part("MLP", layer), Part("MLP bias", layer)], torch.cat([added - of_bias, of_bias]))]


def _bias(owner: nn.Module, name: str) -> Float[Tensor, " d_model"] | None:
    """A bias of that name, if there is one and it does something."""
    try:
        bias = getattr(owner, name)
    except (AttributeError, NotImplementedError):  # of a kind that has none
        return None
    return at_least_single(bias) if bias is not None and bias.any() else None


def _behind_norm(
    model: TransformerBridge,
    points: Points,
    layer: int,
    sublayer: Sublayer,
    added: Float[Tensor, "part row d_model"],
    seen: Seen,
) -> Float[Tensor, "part row d_model"]:
    """What reaches the stream of parts of what attention or MLP puts out."""
    factor, names = factors(model)[1], points.outputs[sublayer][layer]
    if len(names) < 2:
        return factor * added
    before, after = (at_least_single(seen[name]) for name in names)
    norm = norm_at(model.blocks[layer], NORM_BEHIND[sublayer])
    return factor * frozen(norm, before, after).linear(added)
