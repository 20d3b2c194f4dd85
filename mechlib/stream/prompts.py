"""What a model says from nothing, and what a prompt changes.

A decoder's first prediction is made *at* its first token, so it has no opinion before it has read one. The empty prompt
is a convention: the token that stands at the beginning of every document, alone; or, for a model without one, the
average over the first tokens that documents have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge, require_bridge
from mechlib.distances import entropy, kl
from mechlib.stream.entries import residual_entries
from mechlib.stream.running import at_rest
from mechlib.stream.unembedding import read_out

__all__ = ["PromptEffect", "compare_prompts", "empty_prompt", "prediction"]


@dataclass(frozen=True)
class PromptEffect:
    """Predictions from prompts beside the prediction from the empty prompt; all in nats.

    The mean of ``kl`` is ``information + average_to_empty``, exactly: what the prompts tell apart, and what the empty
    prompt says otherwise than they do together.
    """

    kl: Float64[Tensor, " prompt"]
    """KL(prompted || empty) of every prompt, ``[prompt]``; at least 0."""
    entropy: Float64[Tensor, " prompt"]
    """Entropy of every prompted prediction, ``[prompt]``; from 0 to ``log(d_vocab)``."""
    empty_entropy: float
    """Entropy of the prediction from the empty prompt."""
    information: float
    """Mean KL(prompted || average): the mutual information of the prompt and the model's next token, at most the log
    of the number of prompts."""
    average_to_empty: float
    """KL(average || empty), where the average is the mean of the prompted distributions; at least 0."""


def prediction(
    model: TransformerBridge,
    prompts: Int[Tensor, "prompt pos"],
    *,
    attention_mask: Bool[Tensor, "prompt pos"] | Int[Tensor, "prompt pos"] | None = None,
) -> Float64[Tensor, "prompt d_vocab"]:
    """Log-probabilities of the token after each prompt, in nats. Errors as in ``residual_entries``.

    ``attention_mask`` is for prompts of unequal length, as there: the token after each prompt's last is predicted.
    """
    columns = residual_entries(model, prompts, attention_mask=attention_mask)[-1]
    with at_rest(model):
        return read_out(model, _last_tokens(columns, attention_mask)).double().log_softmax(-1)


def _last_tokens(
    columns: Float[Tensor, "prompt pos d_model"], attention_mask: Tensor | None
) -> Float[Tensor, "prompt d_model"]:
    """Of each prompt the column of its last token that is no pad."""
    if attention_mask is None:
        return columns[:, -1]
    real = torch.atleast_2d(torch.as_tensor(attention_mask, device=columns.device))
    return torch.stack([row[own == 1][-1] for row, own in zip(columns, real, strict=True)])


def empty_prompt(
    model: TransformerBridge, *, bos: int | None = None, first: Float[Tensor, " d_vocab"] | None = None
) -> Float64[Tensor, " d_vocab"]:
    """Log-probabilities from the empty prompt, in nats.

    Args:
        bos: the token that stands before every document: the prediction is the one made after it alone. Left out, it is
            the one that ``model.to_tokens`` puts before a text: the beginning-of-text token of the model's tokenizer,
            or its end-of-text token where that stands between documents and there is no other.
        first: for a model without such a token: how often a document begins with each token, ``[d_vocab]``, summing to
            1. The prediction is then that of the *second* token, averaged over the first,
            ``sum_x first(x) p(. | x)``.

    Raises:
        ValueError: if both are given; if neither is and the model has no tokenizer, or its tokenizer no such token in
            the model's vocabulary; if ``bos`` is outside the vocabulary, or ``first`` no distribution over it.
    """
    require_bridge(model)
    if first is None:
        return prediction(model, torch.tensor([[_own_bos(model) if bos is None else bos]]))[0]
    if bos is not None:
        raise ValueError("the empty prompt takes either bos or first; both are given")
    if (
        first.shape != (model.cfg.d_vocab,)
        or (first < 0).any()
        or not math.isclose(float(first.sum()), 1, rel_tol=1e-4)
    ):
        raise ValueError(
            f"first is a distribution over {model.cfg.d_vocab} tokens; it has shape {tuple(first.shape)} and "
            f"sums to {float(first.sum()):.4g}"
        )
    seen = first.nonzero()
    weights = first[seen[:, 0]].double().log()[:, None]
    return (weights.to(model.W_U.device) + prediction(model, seen)).logsumexp(0)


def _own_bos(model: TransformerBridge) -> int:
    """The token that the model's tokenizer puts before a text; what was made up for want of one is none."""
    tokenizer, d_vocab = model.tokenizer, model.cfg.d_vocab
    if tokenizer is None or not tokenizer.vocab_size:
        missing = "has no tokenizer"
    elif not any(tokenizer.init_kwargs.get(mark) for mark in ("bos_token", "eos_token")):
        missing = "has a tokenizer without a beginning-of-text token"
    elif tokenizer.bos_token_id >= d_vocab:
        missing = f"has {tokenizer.bos_token_id} as beginning-of-text token, outside its vocabulary of {d_vocab}"
    else:
        return tokenizer.bos_token_id
    raise ValueError(
        f"{model.cfg.model_name!r} {missing}: give bos, the id of the token that stands before every document, or "
        f"first, how often a document begins with each token"
    )


def compare_prompts(prompted: Float[Tensor, "prompt d_vocab"], empty: Float[Tensor, " d_vocab"]) -> PromptEffect:
    """Set predictions from prompts against the one from the empty prompt.

    Args:
        prompted: log-probabilities in nats, one row for every prompt (:func:`prediction`).
        empty: log-probabilities in nats (:func:`empty_prompt`).

    Raises:
        ValueError: if the two have different vocabularies, or a row does not hold the logarithms of a distribution.
    """
    if prompted.dim() != 2 or empty.shape != prompted.shape[1:]:
        raise ValueError(
            f"prompted is [prompt, d_vocab] and empty [d_vocab]; they have shapes {tuple(prompted.shape)} and "
            f"{tuple(empty.shape)}"
        )
    prompted, empty = prompted.double(), empty.double()
    totals = torch.cat([prompted, empty[None]]).logsumexp(1)
    if not (totals.abs() <= 1e-3).all():
        raise ValueError(
            f"log-probabilities sum to one; the worst row sums to exp({totals[totals.abs().argmax()]:.3g})"
        )
    average = prompted.logsumexp(0) - math.log(len(prompted))
    return PromptEffect(
        kl=kl(prompted, empty),
        entropy=entropy(prompted),
        empty_entropy=float(entropy(empty)),
        information=float(kl(prompted, average).mean()),
        average_to_empty=float(kl(average, empty)),
    )
