"""The logit lens: what would the model predict if it stopped at this layer?

Every entry of the residual stream (the embedding, then the stream after each layer) goes through the model's own
final norm and unembedding (nostalgebraist, "interpreting GPT: the logit lens", 2020). The last entry is what the
model unembeds itself, so there the lens is the model.

The vocabulary is large and the entries are many, so distributions are made for a few rows at a time, summarised, and
dropped: memory does not grow with ``n_layers * d_vocab``. Only :func:`layer_log_probs` returns all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.stream.entries import Mask, entries_of
from mechlib.stream.inputs import checked_ids, checked_mask, checked_tokens
from mechlib.stream.running import at_rest, few_sequences, slices
from mechlib.stream.unembedding import at_least_single, require_own_readout, unembed

__all__ = ["Lens", "LensResult", "layer_log_probs", "logit_lens"]

Positions = int | slice | Sequence[int] | Int[Tensor, " selected"] | None
Lens = Callable[[Float[Tensor, "entry *rest d_model"]], Float[Tensor, "entry *rest d_model"]]

ROWS_AT_ONCE = {"cpu": 128, "cuda": 1024}
"""Rows whose distributions exist together. On a CPU, few enough for them to stay in its cache."""


@dataclass(frozen=True)
class LensResult:
    """What :func:`logit_lens` reads at every residual stream entry; all logarithms are natural."""

    positions: Int[Tensor, " pos"]
    """The token positions that were read, ``[pos]``: the pos axis of every other field."""
    entropy: Float[Tensor, "entry batch pos"]
    """Entropy of each entry's distribution in nats, ``[entry, batch, pos]``; from 0 to ``log(d_vocab)``."""
    kl_to_final: Float[Tensor, "entry batch pos"]
    """KL(final || entry) in nats, ``[entry, batch, pos]``: at least 0 up to rounding, exactly 0 at the last entry, and
    infinite where the entry rules out a token, with a logit of minus infinity, that the final distribution does not."""
    top_ids: Int[Tensor, "entry batch pos k"]
    """The ``top_k`` most probable tokens, ``[entry, batch, pos, k]``, most probable first."""
    top_log_prob: Float[Tensor, "entry batch pos k"]
    """Their log-probabilities in nats, ``[entry, batch, pos, k]``."""
    target_log_prob: Float[Tensor, "entry batch pos"] | None = None
    """Log-probability of the target in nats, ``[entry, batch, pos]``; ``None`` without targets."""
    target_rank: Int[Tensor, "entry batch pos"] | None = None
    """Number of tokens with a strictly larger logit than the target, ``[entry, batch, pos]``: 0 for the first guess,
    and tied tokens share the smallest rank. ``None`` without targets."""


def logit_lens(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    *,
    targets: Int[Tensor, "batch pos"] | int | None = None,
    top_k: int = 5,
    positions: Positions = None,
    lens: Lens | None = None,
    attention_mask: Mask = None,
) -> LensResult:
    """Read every residual stream entry as a distribution over the vocabulary.

    The model runs in eval mode without gradients; its weights, mode and hooks are left as they were.

    Args:
        tokens: token ids, ``[batch, pos]``; a single sequence ``[pos]`` counts as a batch of one.
        targets: the token whose log-probability and rank are wanted, one per position and of the shape of ``tokens``
            (mostly the next token); or one id for all positions.
        top_k: number of most probable tokens to keep, from 0 to ``d_vocab``.
        positions: the positions to read: all (``None``), one, several, or a slice; negative ones count from the end.
            The pos axis stays, in the order given, and ``targets`` is selected with it.
        lens: applied to the entries ``[entry, batch, pos, d_model]`` before they are read, such as a ``TunedLens``.
            It gets a few sequences at a time, NaN at pads. KL is to the last entry as the lens leaves it.
        attention_mask: for rows of unequal length, ``[batch, pos]``: 1 or true at tokens, 0 or false at the pads before
            or behind them. No token sees a pad and positions in the model are counted from each row's first token, so
            that every row is read as it is alone, on whichever side it is padded. At pads floats are NaN and ids and
            ranks -1.

    Raises:
        TypeError: if ``tokens`` or ``targets`` holds no integers, of whatever size, in a tensor or an array of NumPy,
            or ``positions`` holds no integers.
        ValueError: if ``tokens`` is empty, longer than the context, of another number of axes or outside the
            vocabulary; if ``attention_mask`` is of another shape than ``tokens``, holds something else than 0 and 1, or
            has a row without tokens or with pads between them; if ``targets`` is of another shape than ``tokens`` or
            outside the vocabulary; if ``positions`` is empty, out of range or at pads alone; if ``top_k`` is out of
            range; if ``lens`` changes the shape; if the model's logits are not the final norm and unembedding of the
            last entry, or hooks are on these two, which here take a few vectors from anywhere at a time; if an entry's
            logits are NaN or have no finite largest one.
    """
    result = readings(
        model, tokens, targets=targets, top_k=top_k, positions=positions, lens=lens, attention_mask=attention_mask
    )
    nowhere = result.entropy.isnan()
    if (mask := checked_mask(attention_mask, checked_tokens(model, tokens))) is not None:
        nowhere &= mask[:, result.positions]
    if len(without := nowhere.nonzero()):
        entry, row, position = without[0].tolist()
        raise ValueError(
            f"entry {entry} gives no distribution for row {row} at position {int(result.positions[position])}: its "
            f"logits are NaN or have no finite largest one, there and at {len(without) - 1} other places"
        )
    return result


def readings(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    *,
    targets: Int[Tensor, "batch pos"] | int | None = None,
    top_k: int = 5,
    positions: Positions = None,
    lens: Lens | None = None,
    attention_mask: Mask = None,
) -> LensResult:
    """What :func:`logit_lens` reads; where an entry gives no distribution its numbers are NaN and its ids arbitrary."""
    tokens = checked_tokens(model, tokens)
    mask = checked_mask(attention_mask, tokens)
    targets = _checked_targets(model, targets, tokens)
    selected = _checked_positions(positions, tokens.shape[1]).to(tokens.device)
    d_vocab = model.cfg.d_vocab
    if not 0 <= top_k <= d_vocab:
        raise ValueError(f"top_k is from 0 to {d_vocab} (d_vocab), not {top_k}")
    if mask is not None and not mask[:, selected].any():
        raise ValueError(f"positions={positions!r} selects pads alone")
    require_own_readout(model)

    parts = []
    with at_rest(model):
        for sequences in few_sequences(tokens):
            read = slice(None) if mask is None else mask[sequences][:, selected].flatten()
            entries = _translated(lens, entries_of(model, tokens, mask, sequences))
            entries = entries[:, :, selected].flatten(1, 2)[:, read]
            wanted = None if targets is None else targets[sequences][:, selected].flatten()[read]
            parts += [
                _summary(model, entries[:, rows], None if wanted is None else wanted[rows], top_k)
                for rows in _few_rows(entries)
            ]
    lead = (len(tokens), len(selected))
    fields = {name: torch.cat([part[name] for part in parts], 1) for name in parts[0]}
    if mask is not None:
        fields = {name: _among_pads(values, mask[:, selected].flatten()) for name, values in fields.items()}
    return LensResult(positions=selected, **{name: values.unflatten(1, lead) for name, values in fields.items()})


def _among_pads(
    values: Float[Tensor, "entry token *rest"] | Int[Tensor, "entry token *rest"], read: Bool[Tensor, " row"]
) -> Float[Tensor, "entry row *rest"] | Int[Tensor, "entry row *rest"]:
    """The values of the rows that were read, in their places, between rows of NaN, or -1 for ids and ranks."""
    nothing = torch.nan if values.is_floating_point() else -1
    every = values.new_full((len(values), len(read), *values.shape[2:]), nothing)
    every[:, read] = values
    return every


def layer_log_probs(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    *,
    lens: Lens | None = None,
    attention_mask: Mask = None,
) -> Float[Tensor, "entry batch pos d_vocab"]:
    """The full log-probabilities of every entry, in nats; NaN at pads. The last entry is the model's own output.

    Takes ``4 * (n_layers + 1) * batch * pos * d_vocab`` bytes in single precision; :func:`logit_lens` does without.
    Arguments and errors are those of :func:`logit_lens`.
    """
    tokens = checked_tokens(model, tokens)
    mask = checked_mask(attention_mask, tokens)
    require_own_readout(model)
    shape = (model.cfg.n_layers + 1, *tokens.shape, model.cfg.d_vocab)
    result = torch.empty(shape, dtype=at_least_single(model.W_U.dtype), device=tokens.device)
    with at_rest(model):
        for sequences in few_sequences(tokens):
            entries = _translated(lens, entries_of(model, tokens, mask, sequences)).flatten(1, 2)
            into = result[:, sequences].view(*entries.shape[:2], -1)
            for rows in _few_rows(entries):
                for entry in range(len(entries)):
                    into[entry, rows] = unembed(model, entries[entry, rows]).log_softmax(-1)
    return result


def _summary(
    model: TransformerBridge,
    entries: Float[Tensor, "entry row d_model"],
    targets: Int[Tensor, " row"] | None,
    top_k: int,
) -> dict[str, Float[Tensor, "entry row ..."]]:
    """The fields of :class:`LensResult` for a few rows.

    With logits ``z`` shifted so that the largest is 0, and ``Z = sum exp z``: an entry's entropy is
    ``log Z - sum p z`` and the final distribution's cross-entropy relative to it ``log Z - sum p_final z``. Their
    difference at the last entry is exactly 0. A logit of minus infinity makes both NaN, as ``0 * inf``; they are then
    summed again with ``0 log 0 = 0``.
    """
    last_first, final = [], None
    for entry in reversed(entries.unbind()):
        logits = unembed(model, entry)
        largest = logits.amax(-1, keepdim=True)
        shifted = logits - largest
        probs = shifted.exp()
        total = probs.sum(-1, keepdim=True)
        probs.div_(total)
        final = probs if final is None else final
        log_total = total.log()
        top_logits, top_ids = logits.topk(top_k)
        fields = {
            "entropy": log_total[:, 0] - torch.linalg.vecdot(probs, shifted),
            "kl_to_final": log_total[:, 0] - torch.linalg.vecdot(final, shifted),
            "top_ids": top_ids,
            "top_log_prob": top_logits - largest - log_total,
        }
        if targets is not None:
            wanted = logits.gather(-1, targets[:, None])
            fields["target_log_prob"] = (wanted - largest - log_total)[:, 0]
            fields["target_rank"] = (logits - wanted).gt_(0).sum(-1).long()
        last_first.append(fields)
    stacked = {name: torch.stack([fields[name] for fields in reversed(last_first)]) for name in last_first[0]}
    if stacked["entropy"].isnan().any():
        stacked["entropy"], stacked["kl_to_final"] = _with_ruled_out(model, entries)
    stacked["kl_to_final"] -= stacked["entropy"][-1]
    return stacked


def _with_ruled_out(
    model: TransformerBridge, entries: Float[Tensor, "entry row d_model"]
) -> tuple[Float[Tensor, "entry row"], Float[Tensor, "entry row"]]:
    """Entropy and cross-entropy as in :func:`_summary`, where some tokens have logits of minus infinity.

    A product counts 0 where the probability is exactly 0, not where it is only too small for a floating-point number.
    """
    final = unembed(model, entries[-1]).log_softmax(-1)
    found = []
    for entry in entries:
        log_probs = unembed(model, entry).log_softmax(-1)
        for weights in (log_probs, final):
            products = torch.where(log_probs == -torch.inf, log_probs, weights.exp() * log_probs)
            found.append(-products.masked_fill(weights == -torch.inf, 0.0).sum(-1))
    return torch.stack(found[::2]), torch.stack(found[1::2])


def _translated(lens: Lens | None, entries: Tensor) -> Tensor:
    if lens is None:
        return entries
    translated = lens(entries)
    if translated.shape != entries.shape:
        raise ValueError(f"the lens turned entries of shape {tuple(entries.shape)} into {tuple(translated.shape)}")
    return translated


def _few_rows(entries: Float[Tensor, "entry row d_model"]) -> Iterator[slice]:
    return slices(entries.shape[1], ROWS_AT_ONCE.get(entries.device.type, ROWS_AT_ONCE["cuda"]))


def _checked_targets(
    model: TransformerBridge, targets: Tensor | int | None, tokens: Int[Tensor, "batch pos"]
) -> Int[Tensor, "batch pos"] | None:
    if targets is None:
        return None
    if isinstance(targets, int | np.integer):
        targets = torch.full_like(tokens, targets)
    targets = checked_ids("targets", targets, model.cfg.d_vocab)
    if torch.atleast_2d(targets).shape != tokens.shape:
        raise ValueError(
            f"targets have the shape {tuple(tokens.shape)} of tokens, one id per position, not {tuple(targets.shape)}"
        )
    return torch.atleast_2d(targets).to(tokens.device)


def _checked_positions(positions: Positions, n_pos: int) -> Int[Tensor, " selected"]:
    """The selected positions as a tensor, each from 0 to ``n_pos - 1``."""
    every = range(n_pos)
    if positions is None or isinstance(positions, slice):
        selected = list(every if positions is None else every[positions])
    else:
        several = positions.tolist() if isinstance(positions, Tensor | np.ndarray) else positions
        several = several if isinstance(several, Iterable) else [several]
        selected = [_checked_position(position, n_pos, positions) for position in several]
    if not selected:
        raise ValueError(f"positions={positions!r} selects none of the {n_pos} positions")
    return torch.tensor(selected)


def _checked_position(position: object, n_pos: int, given: Positions) -> int:
    if isinstance(position, bool) or not isinstance(position, SupportsIndex):
        raise TypeError(f"positions are integers or a slice; positions={given!r} holds {position!r}")
    index = position.__index__()
    if not -n_pos <= index < n_pos:
        raise ValueError(
            f"positions={given!r}: {index} is out of range; there are {n_pos} positions, {-n_pos} to {n_pos - 1}"
        )
    return index % n_pos
