"""The circuits of a head as matrices: what it looks for, what it moves, and how it reads another head's output.

With ``W_E`` the embedding and ``W_U`` the unembedding, a head's QK circuit ``W_E W_Q W_K^T W_E^T`` says which tokens
it attends to from which, and its OV circuit ``W_E W_V W_O W_U`` what attending to a token does to the logits (Elhage
et al., "A Mathematical Framework for Transformer Circuits", 2021). Both have ``d_vocab**2`` entries and rank at most
``d_head``, so they are kept as products of two thin matrices.

``fold=True`` looks at the matrices as the stream meets them: between any two of them stands a norm. A LayerNorm
subtracts the stream's mean and multiplies by a gain; the gain goes into the matrix that reads, and the mean is removed
on both sides. An RMSNorm has a gain and removes no mean (Gemma's gain is 1 + weight). A norm after attention (Gemma 2,
OLMo 2) goes into ``W_O``, and norms of queries and keys (Qwen 3) into ``W_Q`` and ``W_K``; so do factors on the
embedding, on what a layer adds and on the logits (Gemma, Granite, Cohere). The unembedding loses the part that adds the
same to every logit, unless they are capped. What is left out is the norms' division, a positive number for every
position (and head, for queries and keys). ``fold=False`` takes the weights as they are stored, with the attention's
scale and nothing else.

In grouped-query attention head ``h`` has the key and value of group ``h // (n_heads / groups)``. Under rotary positions
queries and keys are turned by an angle for every position: the circuit is that of distance 0, of a token that attends
to its own position. Biases for distances (ALiBi) and caps on scores, queries, keys or values are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.bridge import FactoredMatrix, TransformerBridge
from mechlib.heads.matrices import head_weights
from mechlib.places import require_head

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
    """``W_E W_Q W_K^T W_E^T`` times the attention's scale, ``[d_vocab, d_vocab]``: rows are query tokens, columns keys.

    An entry is what the two tokens' embeddings add to the attention score, up to the norms' division, without biases
    and positions. The scale is ``1 / sqrt(d_head)`` in most models (:func:`mechlib.bridge.attention_scales`). The
    dense matrix exists only if ``.AB`` is asked for.

    Args:
        fold: take the matrices as the stream meets them: the gains of the norms, the means that they remove and the
            model's constant factors go into the matrices beside them, and what is left out is the norms' division.
            ``False`` takes them as they are stored.

    Raises:
        ValueError: if there is no such head; for a model whose heads have no matrices of their own or whose scale is
            not known; if ``fold`` is asked of a kind of model whose norms are not known, or are in the stream itself.
    """
    w = head_weights(model, fold=fold)
    require_head(layer, head, n_layers=model.cfg.n_layers, n_heads=model.cfg.n_heads)
    queries = w.embed @ w.query[layer, head] * w.scale[layer]
    return FactoredMatrix(queries, (w.embed @ w.key[layer, head]).mT)


@torch.no_grad()
def ov_circuit(model: TransformerBridge, layer: int, head: int, *, fold: bool = True) -> FactoredMatrix:
    """``W_E W_V W_O W_U``, ``[d_vocab, d_vocab]``: rows are tokens attended to, columns the logits they change.

    Up to the norms' division, without biases. The dense matrix exists only if ``.AB`` is asked for.

    Args:
        fold: as for :func:`qk_circuit`.

    Raises:
        ValueError: as :func:`qk_circuit`.
    """
    w = head_weights(model, fold=fold)
    require_head(layer, head, n_layers=model.cfg.n_layers, n_heads=model.cfg.n_heads)
    return FactoredMatrix(w.embed @ w.value[layer, head], w.out[layer, head] @ w.unembed)


@torch.no_grad()
def copying_scores(model: TransformerBridge, *, fold: bool = True) -> Float[Tensor, "layer head"]:
    """How far each head's OV circuit raises the logit of the token attended to: ``sum(lambda) / sum(|lambda|)``.

    ``lambda`` are the eigenvalues of ``W_E W_V W_O W_U`` (Elhage et al. 2021). From -1, where all of them are
    negative, to 1, where all are positive and the head copies; NaN where the circuit is 0. The non-zero eigenvalues
    of ``A B`` are those of ``B A``, so a ``d_head x d_head`` matrix is enough.

    Args:
        fold: as for :func:`qk_circuit`.

    Returns:
        ``[n_layers, n_heads]``.

    Raises:
        ValueError: for a model that :func:`qk_circuit` refuses.
    """
    w = head_weights(model, fold=fold)
    small = w.out @ (w.unembed @ w.embed) @ w.value
    eigenvalues = torch.linalg.eigvals(small.double())
    return (eigenvalues.real.sum(-1) / eigenvalues.abs().sum(-1)).to(small.dtype)


@torch.no_grad()
def composition_scores(model: TransformerBridge, kind: Composition, *, fold: bool = True) -> CompositionScores:
    """How strongly every head reads what every earlier head writes (Elhage et al. 2021).

    With ``A = W_V W_O`` of the writer and ``B`` of the reader, ``|A B| / (|A| |B|)`` in Frobenius norms, where ``B``
    is ``W_Q W_K^T`` for Q-composition, its transpose for K-composition and ``W_V W_O`` for V-composition. Weights
    alone are compared, no input: a high score says that a channel is there, not that it is used.

    If ``A`` and ``B`` are turned against each other at random, the mean of the squared ratio is ``1 / d`` with ``d``
    the dimension of the stream, for any singular values; the baseline is its root. Removing the stream's mean
    (``fold=True`` of a model with LayerNorm) leaves ``d = d_model - 1``.

    Raises:
        ValueError: for another ``kind``, or a model that :func:`qk_circuit` refuses.
    """
    if kind not in get_args(Composition):
        raise ValueError(f"kind is one of {', '.join(get_args(Composition))}, not {kind!r}")
    w = head_weights(model, fold=fold)
    writers = torch.linalg.qr(w.value, mode="r").R @ w.out
    left, right = {"Q": (w.query, w.key.mT), "K": (w.key, w.query.mT), "V": (w.value, w.out)}[kind]
    readers = left @ torch.linalg.qr(right.mT, mode="r").R.mT
    norms = torch.linalg.matrix_norm(writers)[:, :, None, None] * torch.linalg.matrix_norm(readers)
    ratio = torch.full_like(norms, torch.nan)
    for layer, of_layer in enumerate(writers):
        products = torch.einsum("hkd,lgdm->hlgkm", of_layer, readers[layer + 1 :])
        ratio[layer, :, layer + 1 :] = torch.linalg.matrix_norm(products) / norms[layer, :, layer + 1 :]
    return CompositionScores(kind, ratio, w.dimensions**-0.5)
