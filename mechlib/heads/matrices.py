"""The matrices of a model's heads, as they are stored or as the residual stream meets them.

Kinds of transformer differ in what stands between the stream and a head: a LayerNorm or an RMSNorm before it, none, or
one after it; norms of queries and keys; groups of heads that share a key and a value; factors on the embedding, on what
a layer adds and on the logits. All but the norms' divisions is linear, and can go into the matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.bridge import TransformerBridge, attention_scales, kind_of, require_bridge
from mechlib.bridge.norms import Norm, at_least_single, factors, norm_at, norm_in_stream

FOLDABLE = frozenset({
    "bloom", "cohere", "cohere2", "exaone4", "falcon", "gemma", "gemma2", "gemma3_text", "gpt2", "gpt_bigcode",
    "gpt_neo", "gpt_neox", "gptj", "granite", "llama", "mistral", "native", "nemotron", "olmo", "olmo2", "olmo3",
    "opt", "phi", "phi3", "qwen2", "qwen3", "smollm3", "stablelm", "starcoder2",
})  # fmt: skip
"""Kinds whose norms and factors are known to stand where this module looks for them."""


@dataclass(frozen=True)
class Weights:
    """The matrices of all heads, in single precision at least, in the convention "row vector times matrix"."""

    embed: Float[Tensor, "d_vocab d_model"]
    query: Float[Tensor, "layer head d_model d_head"]
    key: Float[Tensor, "layer head d_model d_head"]
    """The same for all heads of a group."""
    value: Float[Tensor, "layer head d_model d_head"]
    """The same for all heads of a group."""
    out: Float[Tensor, "layer head d_head d_model"]
    unembed: Float[Tensor, "d_model d_vocab"]
    scale: Float[Tensor, " layer"]
    """What the scores of a layer are multiplied by."""
    dimensions: int
    """Of the part of the stream that heads read and write: ``d_model``, or one less where the mean is removed."""


def head_weights(model: TransformerBridge, *, fold: bool) -> Weights:
    """The matrices as they are stored, or with ``fold`` as the stream meets them up to the norms' divisions.

    Raises:
        ValueError: if the heads have no such matrices, or the scale of the scores is not known; if ``fold`` is asked of
            a kind of model whose norms are not known, or stand in the stream itself.
    """
    require_bridge(model)
    if fold:
        _require_foldable(model)
    stored = _stored(model)
    return _folded(model, stored) if fold else stored


def _stored(model: TransformerBridge) -> Weights:
    cfg = model.cfg
    try:
        embed, query, key, value, out, unembed = (
            at_least_single(w) for w in (model.W_E, model.W_Q, model.W_K, model.W_V, model.W_O, model.W_U)
        )
    except (AttributeError, NotImplementedError, ValueError) as error:
        raise ValueError(f"{cfg.model_name!r} has no matrices of single heads: {error}") from error
    if query.shape[:3] != (cfg.n_layers, cfg.n_heads, cfg.d_model) or cfg.n_heads % key.shape[1]:
        raise ValueError(
            f"{cfg.model_name!r} has no matrices of single heads: {cfg.n_layers} layers of {cfg.n_heads} heads and "
            f"d_model {cfg.d_model} do not go with W_Q of shape {tuple(query.shape)}, W_K of {tuple(key.shape)}"
        )
    if hasattr(model, "project_in"):  # an OPT whose embedding is narrower than its stream
        embed = embed @ at_least_single(model.project_in.weight).mT
        unembed = at_least_single(model.project_out.weight).mT @ unembed
    key, value = (w.repeat_interleave(cfg.n_heads // w.shape[1], 1) for w in (key, value))
    scale = torch.tensor(attention_scales(model), dtype=query.dtype, device=query.device)
    return Weights(embed, query, key, value, out, unembed, scale, cfg.d_model)


def _require_foldable(model: TransformerBridge) -> None:
    kind = kind_of(model)
    if kind not in FOLDABLE:
        raise ValueError(f"fold=True is not for a {kind}, whose norms are not known here: use fold=False")
    if (option := norm_in_stream(model)) is not None:
        raise ValueError(f"fold=True is not for a {kind} with {option}, whose stream itself is normed: use fold=False")


def _folded(model: TransformerBridge, stored: Weights) -> Weights:
    blocks, attentions = model.blocks, [block.attn for block in model.blocks]
    before = [norm_at(block, "ln1") for block in blocks]
    final, embedded = norm_at(model, "ln_final"), norm_at(model, "embed_ln")
    of_embedding, of_addition, of_logits = factors(model)

    query, key, value = (_stack(_reading, before, w) for w in (stored.query, stored.key, stored.value))
    query = _stack(_writing, [norm_at(attention, "q_norm") for attention in attentions], query)
    key = _stack(_writing, [norm_at(attention, "k_norm") for attention in attentions], key)
    out = _stack(_writing, [norm_at(block, "ln1_post") for block in blocks], stored.out) * of_addition
    embed = _writing(embedded, stored.embed * of_embedding)
    unembed = _reading(final, stored.unembed) * of_logits
    if not (model.cfg.output_logits_soft_cap or 0) > 0:
        unembed = _centred(unembed, -1)

    dimensions = stored.dimensions
    if all(norm is not None and norm.centres for norm in [*before, final]):
        embed, out, dimensions = _centred(embed, -1), _centred(out, -1), dimensions - 1
    return Weights(embed, query, key, value, out, unembed, stored.scale, dimensions)


def _stack(
    apply: Callable[[Norm | None, Tensor], Tensor],
    norms: Iterable[Norm | None],
    matrices: Float[Tensor, "layer ..."],
) -> Tensor:
    return torch.stack([apply(norm, w) for norm, w in zip(norms, matrices, strict=True)])


def _reading(norm: Norm | None, matrix: Float[Tensor, "*head d_model width"]) -> Tensor:
    """``matrix`` behind a norm: its rows times the gain, the stream's mean removed first."""
    if norm is None:
        return matrix
    scaled = norm.gain[..., None] * matrix if norm.gain.dim() else matrix
    return _centred(scaled, -2) if norm.centres else scaled


def _writing(norm: Norm | None, matrix: Float[Tensor, "*head d_in width"]) -> Tensor:
    """``matrix`` before a norm of what it makes; the norm of queries or keys may have a gain for every head."""
    if norm is None:
        return matrix
    centred = _centred(matrix, -1) if norm.centres else matrix
    if norm.gain.numel() in (1, matrix.shape[-1]):
        return centred * norm.gain
    gains = norm.gain.reshape(-1, matrix.shape[-1])
    return centred * gains.repeat_interleave(len(matrix) // len(gains), 0)[:, None]


def _centred(matrix: Tensor, axis: int) -> Tensor:
    return matrix - matrix.mean(axis, keepdim=True)
