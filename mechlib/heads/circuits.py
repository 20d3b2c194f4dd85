"""The circuits of a head as matrices: what it looks for, what it moves, and how it reads another head's output.

With ``W_E`` the embedding and ``W_U`` the unembedding, a head's QK circuit ``W_E W_Q W_K^T W_E^T`` says which tokens
it attends to from which, and its OV circuit ``W_E W_V W_O W_U`` what attending to a token does to the logits (Elhage
et al., "A Mathematical Framework for Transformer Circuits", 2021). Both have ``d_vocab**2`` entries and rank at most
``d_head``, so they are kept as products of two thin matrices.

``fold=True`` looks at the matrices as the stream meets them: between any two of them stands a LayerNorm, which
subtracts the stream's mean and multiplies by a gain. The gain goes into the matrix that reads, the mean is removed on
both sides, and the unembedding loses the part that adds the same to every logit. What is left out is the norm's
division, a positive number for every position. ``fold=False`` takes the weights as they are stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.bridge import FactoredMatrix, TransformerBridge, require_bridge
from mechlib.running import require_head

Composition = Literal["Q", "K", "V"]


@dataclass(frozen=True)
class CompositionScores:
    """How much of what one head writes another head's query, key or value reads."""

    kind: Composition
    ratio: Float[Tensor, "writer_layer writer_head reader_layer reader_head"]
    """``|A B| / (|A| |B|)`` in Frobenius norms for writer ``A`` and reader ``B``, from 0 to 1,
    ``[n_layers, n_heads, n_layers, n_heads]``; NaN unless the writer's layer is below the reader's."""
    baseline: float
    """The ratio that matrices of the same singular values in random directions have, as a root mean square."""

    @property
    def excess(self) -> Float[Tensor, "writer_layer writer_head reader_layer reader_head"]:
        """``ratio - baseline``: above 0 where the reader looks where the writer writes, below 0 where it looks away."""
        return self.ratio - self.baseline


@torch.no_grad()
def qk_circuit(model: TransformerBridge, layer: int, head: int, *, fold: bool = True) -> FactoredMatrix:
    """``W_E W_Q W_K^T W_E^T / sqrt(d_head)``, ``[d_vocab, d_vocab]``: rows are query tokens, columns key tokens.

    An entry is what the two tokens' embeddings add to the attention score, up to the norms' division, without biases
    and positions. The dense matrix exists only if ``.AB`` is asked for.

    Raises:
        ValueError: if there is no such head, or ``fold`` is asked of a model without LayerNorm.
    """
    w = _weights(model, fold)
    require_head(layer, head, n_layers=model.cfg.n_layers, n_heads=model.cfg.n_heads)
    scale = model.cfg.d_head**-0.5
    return FactoredMatrix(w.embed @ w.query[layer, head] * scale, (w.embed @ w.key[layer, head]).mT)


@torch.no_grad()
def ov_circuit(model: TransformerBridge, layer: int, head: int, *, fold: bool = True) -> FactoredMatrix:
    """``W_E W_V W_O W_U``, ``[d_vocab, d_vocab]``: rows are tokens attended to, columns the logits they change.

    Up to the norms' division, without biases. The dense matrix exists only if ``.AB`` is asked for.

    Raises:
        ValueError: if there is no such head, or ``fold`` is asked of a model without LayerNorm.
    """
    w = _weights(model, fold)
    require_head(layer, head, n_layers=model.cfg.n_layers, n_heads=model.cfg.n_heads)
    return FactoredMatrix(w.embed @ w.value[layer, head], w.out[layer, head] @ w.unembed)


@torch.no_grad()
def copying_scores(model: TransformerBridge, *, fold: bool = True) -> Float[Tensor, "layer head"]:
    """How far each head's OV circuit raises the logit of the token attended to: ``sum(lambda) / sum(|lambda|)``.

    ``lambda`` are the eigenvalues of ``W_E W_V W_O W_U`` (Elhage et al. 2021). From -1, where all of them are
    negative, to 1, where all are positive and the head copies; NaN where the circuit is 0. The non-zero eigenvalues
    of ``A B`` are those of ``B A``, so a ``d_head x d_head`` matrix is enough.

    Returns:
        ``[n_layers, n_heads]``.

    Raises:
        ValueError: if ``fold`` is asked of a model without LayerNorm.
    """
    w = _weights(model, fold)
    small = w.out @ (w.unembed @ w.embed) @ w.value
    eigenvalues = torch.linalg.eigvals(small.double())
    return (eigenvalues.real.sum(-1) / eigenvalues.abs().sum(-1)).float()


@torch.no_grad()
def composition_scores(model: TransformerBridge, kind: Composition, *, fold: bool = True) -> CompositionScores:
    """How strongly every head reads what every earlier head writes (Elhage et al. 2021).

    With ``A = W_V W_O`` of the writer and ``B`` of the reader, ``|A B| / (|A| |B|)`` in Frobenius norms, where ``B``
    is ``W_Q W_K^T`` for Q-composition, its transpose for K-composition and ``W_V W_O`` for V-composition. Weights
    alone are compared, no input: a high score says that a channel is there, not that it is used.

    If ``A`` and ``B`` are turned against each other at random, the mean of the squared ratio is ``1 / d`` with ``d``
    the dimension of the stream, for any singular values; the baseline is its root. Removing the stream's mean
    (``fold=True``) leaves ``d = d_model - 1``.

    Raises:
        ValueError: for another ``kind``, or if ``fold`` is asked of a model without LayerNorm.
    """
    if kind not in get_args(Composition):
        raise ValueError(f"kind is one of {', '.join(get_args(Composition))}, not {kind!r}")
    w = _weights(model, fold)
    writers = torch.linalg.qr(w.value, mode="r").R @ w.out
    left, right = {"Q": (w.query, w.key.mT), "K": (w.key, w.query.mT), "V": (w.value, w.out)}[kind]
    readers = left @ torch.linalg.qr(right.mT, mode="r").R.mT
    products = torch.stack(
        [torch.linalg.matrix_norm(writers_of_layer[:, None, None] @ readers[None]) for writers_of_layer in writers]
    )
    norms = torch.linalg.matrix_norm(writers)[:, :, None, None] * torch.linalg.matrix_norm(readers)
    layers = torch.arange(len(writers), device=norms.device)
    earlier = layers[:, None, None, None] < layers[:, None]
    ratio = (products / norms).where(earlier, torch.nan)
    return CompositionScores(kind, ratio, (model.cfg.d_model - fold) ** -0.5)


@dataclass(frozen=True)
class _Weights:
    """The matrices of all heads, in single precision at least, in the convention "row vector times matrix"."""

    embed: Float[Tensor, "d_vocab d_model"]
    query: Float[Tensor, "layer head d_model d_head"]
    key: Float[Tensor, "layer head d_model d_head"]
    value: Float[Tensor, "layer head d_model d_head"]
    out: Float[Tensor, "layer head d_head d_model"]
    unembed: Float[Tensor, "d_model d_vocab"]


def _weights(model: TransformerBridge, fold: bool) -> _Weights:
    require_bridge(model)
    embed, query, key, value, out, unembed = (
        w.to(torch.promote_types(w.dtype, torch.float32))
        for w in (model.W_E, model.W_Q, model.W_K, model.W_V, model.W_O, model.W_U)
    )
    if not fold:
        return _Weights(embed, query, key, value, out, unembed)
    if not str(model.cfg.normalization_type).startswith("LN"):
        raise ValueError(
            f"fold=True is for models with LayerNorm; this one's norm is {model.cfg.normalization_type}: use fold=False"
        )
    gains = torch.stack([block.ln1.weight for block in model.blocks])[:, None, :, None]
    query, key, value = (_centred(gains * w, -2) for w in (query, key, value))
    unembed = _centred(_centred(model.ln_final.weight[:, None] * unembed, -2), -1)
    return _Weights(_centred(embed, -1), query, key, value, _centred(out, -1), unembed)


def _centred(matrix: Tensor, axis: int) -> Tensor:
    return matrix - matrix.mean(axis, keepdim=True)
