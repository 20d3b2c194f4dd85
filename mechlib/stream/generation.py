"""Writing on, by computing every column again for every token, or by keeping what later columns read of earlier ones.

A column meets the others in attention alone, and there it reads only their keys and values. Kept, they are the *KV
cache*, and a new token costs one column; thrown away, it costs all of them again. Both are written out here, so that
they can be compared to the last digit and their work counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge, attention_scales, require_bridge
from mechlib.stream.entries import residual_entries
from mechlib.stream.hooks import hooked_points
from mechlib.stream.inputs import checked_tokens
from mechlib.stream.running import at_rest
from mechlib.stream.unembedding import read_out

__all__ = ["Cache", "Continuation", "continue_text", "extend", "multiply_adds"]


@dataclass(frozen=True)
class Cache:
    """All that later columns ever read of the columns so far."""

    keys: Float[Tensor, "layer batch group pos d_head"]
    """Keys of every layer, ``[layer, batch, group, pos, d_head]``: one group for every head, or for the heads that
    share their keys. Rotated keys are kept as they were rotated at their positions."""
    values: Float[Tensor, "layer batch group pos d_head"]
    """Values of every layer, ``[layer, batch, group, pos, d_head]``."""

    @property
    def n_pos(self) -> int:
        """Number of columns that are kept."""
        return self.keys.shape[3]

    def at(self, columns: Sequence[int] | slice) -> Cache:
        """Some of the columns that are kept, by their places in the cache."""
        return Cache(self.keys[:, :, :, columns], self.values[:, :, :, columns])


@dataclass(frozen=True)
class Continuation:
    """A text that a model wrote on, and what it took."""

    tokens: Int[Tensor, "batch pos"]
    """The prompt and the new tokens, ``[batch, pos]``."""
    logits: Float[Tensor, "batch step d_vocab"]
    """The logits from which every new token was chosen, ``[batch, step, d_vocab]``."""
    columns: int
    """Number of columns computed for one sequence."""
    multiply_adds: int
    """Multiplications, each with its addition, in the matrix products for one sequence (:func:`multiply_adds`)."""


def extend(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch new"],
    cache: Cache | None = None,
    *,
    start: int | None = None,
) -> tuple[Float[Tensor, "entry batch new d_model"], Cache]:
    """The columns of ``tokens``, computed beside those in ``cache``, and the cache with their keys and values added.

    With the cache of ``tokens[:, :n]``, the columns of ``tokens[:, n:]`` are those of the model's own run on all
    ``tokens`` up to rounding (``residual_entries``). Without gradients and in eval mode. They are computed
    from the weights, where hooks would not act: a model that carries some, as inside ``causal.ablate``, is refused.

    Args:
        tokens: token ids, ``[batch, new]``; a single sequence ``[new]`` counts as a batch of one.
        cache: of the tokens before; ``None`` where there are none.
        start: position of the first new column; by default as many as are kept. It is larger where columns have been
            dropped from the cache and the others are to keep their positions.

    Raises:
        TypeError: if ``tokens`` is no integer tensor.
        ValueError: if ``tokens`` is empty or outside the vocabulary, if old and new columns together exceed the
            context, if ``start`` is less than the columns that are kept, if the cache is of another batch size, if
            hooks are on the model, or if it is not of the form computed here: learned or rotary positions, norms
            before attention and MLP, a key for each head or for groups of as many heads, each column seeing itself
            and all earlier ones. The first two columns are compared with the model's own.
    """
    tokens = checked_tokens(model, tokens)
    _require_no_hooks(model)
    n_old = 0 if cache is None else cache.n_pos
    start = n_old if start is None else start
    if start < n_old:
        raise ValueError(f"behind {n_old} columns the next stands at position {n_old} or later, not at {start}")
    if start + tokens.shape[1] > model.cfg.n_ctx:
        raise ValueError(f"{start} columns and {tokens.shape[1]} more exceed the context of {model.cfg.n_ctx}")
    if cache is not None and cache.keys.shape[1] != len(tokens):
        raise ValueError(f"the cache is of {cache.keys.shape[1]} sequences, the tokens are of {len(tokens)}")
    with at_rest(model):
        if cache is None:
            _require_our_form(model, tokens[:1])
        return _extend(model, tokens, cache, start)


def _extend(model: TransformerBridge, tokens: Tensor, cache: Cache | None, start: int) -> tuple[Tensor, Cache]:
    stream = model.W_E[tokens]
    turned = _turned(model, stream, start)
    if turned is None:
        stream = stream + model.W_pos[start : start + tokens.shape[1]]
    columns, keys, values = [stream], [], []
    scales = attention_scales(model)
    for layer, block in enumerate(model.blocks):
        attention, normed = block.attn, block.ln1(stream)
        query = _heads(normed, attention.W_Q, attention.b_Q)
        key = _heads(normed, attention.W_K, attention.b_K)
        value = _heads(normed, attention.W_V, attention.b_V)
        if turned is not None:
            query, key = turned(query), turned(key)
        if cache is not None:
            key, value = torch.cat([cache.keys[layer], key], 2), torch.cat([cache.values[layer], value], 2)
        mixed = _attend(query, key, value, scales[layer]).transpose(1, 2).flatten(2)
        stream = stream + F.linear(mixed, attention.W_O.flatten(0, 1).T, attention.b_O)
        if hasattr(block, "mlp"):
            stream = stream + block.mlp(block.ln2(stream))
        columns.append(stream)
        keys.append(key)
        values.append(value)
    return torch.stack(columns), Cache(torch.stack(keys), torch.stack(values))


def _heads(
    normed: Float[Tensor, "batch pos d_model"],
    weight: Float[Tensor, "head d_model d_head"],
    bias: Float[Tensor, "head d_head"] | None,
) -> Float[Tensor, "batch head pos d_head"]:
    rows = weight.mT.flatten(0, 1)
    made = F.linear(normed, rows, None if bias is None else bias.flatten())
    return made.unflatten(2, (len(weight), -1)).transpose(1, 2)


def _turned(model: TransformerBridge, stream: Tensor, start: int) -> Callable[[Tensor], Tensor] | None:
    """What rotary positions do to queries and keys of columns from ``start`` on; ``None`` for learned positions.

    Coordinates ``i`` and ``i + d_head / 2`` of a head are the two of a plane, turned by an angle that grows with the
    position, so that a score depends on how far apart two columns are.
    """
    if not hasattr(model, "rotary_emb"):
        return None
    positions = torch.arange(start, start + stream.shape[1], device=stream.device)
    cosine, sine = (angles[:, None] for angles in model.rotary_emb(stream, positions[None]))

    def turn(x: Tensor) -> Tensor:
        first, second = x.chunk(2, -1)
        return x * cosine + torch.cat([-second, first], -1) * sine

    return turn


def _attend(
    query: Float[Tensor, "batch head new d_head"],
    key: Float[Tensor, "batch group pos d_head"],
    value: Float[Tensor, "batch group pos d_head"],
    scale: float,
) -> Float[Tensor, "batch head new d_head"]:
    """Causal attention of the last columns to all: the query at position t sees the keys up to t."""
    n_new, n_pos = query.shape[2], key.shape[2]
    if (heads := query.shape[1] // key.shape[1]) > 1:  # neighbouring heads share a group's keys and values
        key, value = key.repeat_interleave(heads, 1), value.repeat_interleave(heads, 1)
    scores = query @ key.mT * scale
    later = torch.ones(n_new, n_pos, dtype=torch.bool, device=query.device).triu(n_pos - n_new + 1)
    return scores.masked_fill(later, -torch.inf).softmax(-1) @ value


def continue_text(
    model: TransformerBridge,
    prompt: Int[Tensor, "batch pos"],
    n_new: int,
    *,
    cached: bool = True,
    generator: torch.Generator | None = None,
) -> Continuation:
    """``n_new`` tokens after ``prompt``, with a KV cache or by running the model on everything again for each token.

    Both give the same logits up to rounding, so the same tokens except where rounding decides between two of them.

    Args:
        prompt: token ids, ``[batch, pos]``, without pads, which would be read as text; a single sequence ``[pos]``
            counts as a batch of one.
        cached: with a cache, the prompt's columns are computed once and every new token adds one column
            (:func:`extend`). Without, every new token takes the model's own run on the whole text so far, in which
            hooks act; those on the final norm and the unembedding are refused, as by ``read_out``.
        generator: draws each token from the model's distribution; the same state gives the same tokens for the same
            logits. The most probable token is taken when left out.

    Raises:
        TypeError: if ``prompt`` is no integer tensor.
        ValueError: if ``n_new`` is less than 1, or prompt and new tokens exceed the context: then the window would have
            to move, which changes the position and so the content of every column; if logits are NaN, or infinite
            otherwise than for a token that is ruled out. Otherwise as in :func:`extend`, whose refusal of hooks is that
            of ``cached=True`` alone, and ``residual_entries``.
    """
    tokens = checked_tokens(model, prompt)
    n_prompt = tokens.shape[1]
    if n_new < 1:
        raise ValueError(f"n_new is at least 1, not {n_new}")
    if n_prompt + n_new > model.cfg.n_ctx:
        raise ValueError(f"a prompt of {n_prompt} and {n_new} new tokens exceed the context of {model.cfg.n_ctx}")

    cache, logits, n_columns, work = None, [], 0, 0
    for step in range(n_new):
        if cached:
            columns, cache = extend(model, tokens if step == 0 else tokens[:, -1:], cache)
        else:
            columns = residual_entries(model, tokens)
        n_columns += columns.shape[2]
        work += multiply_adds(model, columns.shape[2], tokens.shape[1])
        with at_rest(model):
            logits.append(_checked(read_out(model, columns[-1, :, -1]), step, tokens.shape[1] - 1))
        tokens = torch.cat([tokens, _choose(logits[-1], generator)], 1)
    return Continuation(tokens, torch.stack(logits, 1), n_columns, work)


def _checked(logits: Float[Tensor, "batch d_vocab"], step: int, position: int) -> Float[Tensor, "batch d_vocab"]:
    """The logits, of which every row must have a largest one that is a number."""
    if not (chosen_from := logits.amax(-1).isfinite()).all():
        row = int(chosen_from.logical_not().nonzero()[0])
        raise ValueError(
            f"no token can be chosen at step {step}: the logits of row {row} at position {position} have the largest "
            f"value {logits[row].amax():.3g}"
        )
    return logits


def _choose(logits: Float[Tensor, "batch d_vocab"], generator: torch.Generator | None) -> Int[Tensor, "batch 1"]:
    if generator is None:
        return logits.argmax(-1, keepdim=True)
    return torch.multinomial(logits.double().softmax(-1).cpu(), 1, generator=generator).to(logits.device)


def multiply_adds(model: TransformerBridge, new: int, total: int) -> int:
    """Multiply-adds of the matrix products for ``new`` columns beside ``total - new`` old ones, one logit vector read.

    With ``w = n_heads * d_head`` and an MLP of width ``m`` (0 without), each layer takes ``4 new d_model w`` for the
    weights of attention, ``2 new total w`` for scores and mixing, where masked scores are computed like the others, and
    ``2 new d_model m`` for the MLP; the unembedding takes ``d_model d_vocab``. Where heads share keys and values in
    groups, half of the first is less by the factor ``groups / n_heads``; a gated MLP takes ``3 new d_model m``.

    Raises:
        ValueError: unless ``1 <= new <= total``.
    """
    if not 1 <= new <= total:
        raise ValueError(f"of {total} columns 1 to {total} can be new, not {new}")
    require_bridge(model)
    cfg = model.cfg
    width, d_mlp = cfg.n_heads * cfg.d_head, _mlp_width(model)
    shared = (cfg.n_key_value_heads or cfg.n_heads) * cfg.d_head
    weights = 2 * cfg.d_model * (width + shared) + (3 if cfg.gated_mlp else 2) * cfg.d_model * d_mlp
    per_layer = new * weights + 2 * new * total * width
    reading = model.W_U.numel()
    if hasattr(model, "project_in"):  # an OPT whose embedding is narrower than its stream
        reading += model.project_out.weight.numel() + new * model.project_in.weight.numel()
    return cfg.n_layers * per_layer + reading


def _mlp_width(model: TransformerBridge) -> int:
    return (model.cfg.d_mlp or 0) if hasattr(model.blocks[0], "mlp") else 0


def _require_no_hooks(model: TransformerBridge) -> None:
    if points := hooked_points(model):
        raise ValueError(
            f"there are hooks on the model, which do not act on columns that are computed from the weights, beside a "
            f"cache: {', '.join(points)}. Remove them, or let the model run itself: continue_text(..., cached=False)"
        )


def _require_our_form(model: TransformerBridge, tokens: Int[Tensor, "1 pos"]) -> None:
    """Refuse models whose first two columns come out otherwise; rounding is far below the tolerance."""
    tokens = tokens.repeat(1, 2)[:, : min(2, model.cfg.n_ctx)] if tokens.shape[1] == 1 else tokens[:, :2]
    refusal = f"{model.cfg.model_name!r} is not of the form whose columns are computed here"
    config = getattr(model.original_model, "config", None)
    if "local" in getattr(config, "attention_layers", ()) or getattr(config, "sliding_window", None):
        raise ValueError(f"{refusal}: in layers of local attention a column sees the last few alone")
    try:
        ours, _ = _extend(model, tokens, None, 0)
    except (AttributeError, RuntimeError) as error:
        raise ValueError(f"{refusal} ({type(error).__name__}: {error})") from error
    own = residual_entries(model, tokens)
    gap, scale = (ours - own).abs().max(), own.abs().max()
    if gap > 0.05 * scale + 1e-3:
        raise ValueError(f"{refusal}: its first columns, of size {scale:.3g}, come out {gap:.3g} apart")
