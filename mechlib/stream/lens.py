"""The logit lens: what would the model predict if it stopped at this layer?

Every entry of the residual stream (the embedding, then the stream after each layer) goes through the model's own
final norm and unembedding (nostalgebraist, "interpreting GPT: the logit lens", 2020). The last entry is what the
model unembeds itself, so there the lens is the model.

The vocabulary is large and the entries are many, so distributions are made for a few rows at a time, summarised, and
dropped: memory does not grow with ``n_layers * d_vocab``. Only :func:`layer_log_probs` returns all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.places import entry_names
from mechlib.stream.entries import Mask, entries_of
from mechlib.stream.inputs import Positions, checked_ids, checked_mask, checked_positions, checked_tokens
from mechlib.stream.running import among_pads, at_rest, few_rows, few_sequences
from mechlib.stream.summary import FIELDS, OF_TARGETS, summary
from mechlib.stream.unembedding import require_own_readout, single_or_double, unembed

__all__ = ["Lens", "LensResult", "layer_log_probs", "logit_lens"]

Targets = Int[Tensor, "*target batch pos"] | int | None
Lens = Callable[[Float[Tensor, "entry *rest d_model"]], Float[Tensor, "entry *rest d_model"]]


@dataclass(frozen=True)
class LensResult:
    """What :func:`logit_lens` reads at every residual stream entry; all logarithms are natural.

    A field that was not asked for is ``None``. Those of the target have the axis ``[target]`` in front where several
    targets were given for every position.
    """

    labels: tuple[str, ...]
    """The names of the entries, ``[entry]``: the entry axis of every other field."""
    positions: Int[Tensor, " pos"]
    """The token positions that were read, ``[pos]``: the pos axis of every other field."""
    entropy: Float[Tensor, "entry batch pos"] | None = None
    """Entropy of each entry's distribution in nats, ``[entry, batch, pos]``; from 0 to ``log(d_vocab)``."""
    kl_to_final: Float[Tensor, "entry batch pos"] | None = None
    """KL(final || entry) in nats, ``[entry, batch, pos]``: at least 0 up to rounding, exactly 0 at the last entry, and
    infinite where the entry rules out a token, with a logit of minus infinity, that the final distribution does not."""
    top_ids: Int[Tensor, "entry batch pos k"] | None = None
    """The ``top_k`` most probable tokens, ``[entry, batch, pos, k]``, most probable first."""
    top_log_prob: Float[Tensor, "entry batch pos k"] | None = None
    """Their log-probabilities in nats, ``[entry, batch, pos, k]``."""
    target_log_prob: Float[Tensor, "*target entry batch pos"] | None = None
    """Log-probability of the target in nats, ``[entry, batch, pos]`` or ``[target, entry, batch, pos]``."""
    target_rank: Int[Tensor, "*target entry batch pos"] | None = None
    """Number of tokens with a strictly larger logit than the target, ``[entry, batch, pos]`` or
    ``[target, entry, batch, pos]``: 0 for the first guess, and tied tokens share the smallest rank."""

    def numbers(self, field: str) -> Shaped[Tensor, "*shape"]:
        """A field of numbers by its name.

        Raises:
            ValueError: if it is none of the result's, or was not asked for.
        """
        there = [name for name in FIELDS if getattr(self, name) is not None]
        if field not in there:
            raise ValueError(f"{field!r} is none of the fields that were asked for: {', '.join(there)}")
        return getattr(self, field)


def logit_lens(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    *,
    targets: Targets = None,
    fields: Collection[str] | None = None,
    top_k: int | None = None,
    positions: Positions = None,
    lens: Lens | None = None,
    attention_mask: Mask = None,
) -> LensResult:
    """Read every residual stream entry as a distribution over the vocabulary.

    The model runs in eval mode without gradients; its weights, mode and hooks are left as they were.

    Args:
        tokens: token ids, ``[batch, pos]``; a single sequence ``[pos]`` counts as a batch of one.
        targets: the token whose log-probability and rank are wanted, one per position and of the shape of ``tokens``
            (mostly the next token); several per position, ``[target, batch, pos]``; or one id for all positions.
        fields: which fields of the result to compute, by their names, such as ``["target_rank"]``; all that there is to
            read when left out. A rank alone costs no softmax.
        top_k: number of most probable tokens to keep, from 0 to ``d_vocab``; 5 when left out, or all there are.
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
            outside the vocabulary; if ``fields`` is empty, names no field, or one of the target without ``targets`` or
            none with them; if ``positions`` is empty, out of range or at pads alone; if ``top_k`` is out of range; if
            ``lens`` changes the shape; if the model's logits are not the final norm and unembedding of the last entry,
            or hooks are on these two, which here take a few vectors from anywhere at a time; if an entry's logits are
            NaN or have no finite largest one.
    """
    result, nowhere = readings(
        model,
        tokens,
        targets=targets,
        fields=fields,
        top_k=top_k,
        positions=positions,
        lens=lens,
        attention_mask=attention_mask,
    )
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
    targets: Targets = None,
    fields: Collection[str] | None = None,
    top_k: int | None = None,
    positions: Positions = None,
    lens: Lens | None = None,
    attention_mask: Mask = None,
) -> tuple[LensResult, Bool[Tensor, "entry batch pos"]]:
    """What :func:`logit_lens` reads, and where an entry gives no distribution: there numbers are NaN or arbitrary."""
    tokens = checked_tokens(model, tokens)
    mask = checked_mask(attention_mask, tokens)
    fields = _checked_fields(fields, with_targets=targets is not None)
    several = _checked_targets(model, targets, tokens)
    selected = checked_positions(positions, tokens.shape[1]).to(tokens.device)
    top_k = min(5, model.cfg.d_vocab) if top_k is None else top_k
    if not 0 <= top_k <= model.cfg.d_vocab:
        raise ValueError(f"top_k is from 0 to {model.cfg.d_vocab} (d_vocab), not {top_k}")
    if mask is not None and not mask[:, selected].any():
        raise ValueError(f"positions={positions!r} selects pads alone")
    require_own_readout(model)

    parts = []
    with at_rest(model):
        for sequences in few_sequences(tokens):
            read = slice(None) if mask is None else mask[sequences][:, selected].flatten()
            entries = _translated(lens, entries_of(model, tokens, mask, sequences))
            entries = entries[:, :, selected].flatten(1, 2)[:, read]
            wanted = several[:, sequences][:, :, selected].flatten(1)[:, read]
            parts += [summary(model, entries[:, rows], wanted[:, rows], fields, top_k) for rows in few_rows(entries[0])]
    whole = {name: torch.cat([part[name] for part in parts], 1) for name in parts[0]}
    if mask is not None:
        whole = {name: among_pads(values, mask[:, selected].flatten()) for name, values in whole.items()}
    whole = {name: values.unflatten(1, (len(tokens), len(selected))) for name, values in whole.items()}
    nowhere = whole.pop("nowhere")
    for name in OF_TARGETS & whole.keys():
        whole[name] = whole[name].movedim(-1, 0) if getattr(targets, "ndim", 0) == 3 else whole[name][..., 0]
    return LensResult(entry_names(model.cfg.n_layers), selected, **whole), nowhere


def layer_log_probs(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    *,
    lens: Lens | None = None,
    attention_mask: Mask = None,
) -> Float[Tensor, "entry batch pos d_vocab"]:
    """The full log-probabilities of every entry, in nats; NaN at pads. The last entry is the model's own output.

    Takes ``4 * (n_layers + 1) * batch * pos * d_vocab`` bytes in single precision; :func:`logit_lens` does without.
    Arguments and errors are those of :func:`logit_lens`, but that an entry without a distribution is NaN and no error.
    """
    tokens = checked_tokens(model, tokens)
    mask = checked_mask(attention_mask, tokens)
    require_own_readout(model)
    shape = (model.cfg.n_layers + 1, *tokens.shape, model.cfg.d_vocab)
    result = torch.empty(shape, dtype=single_or_double(model.W_U.dtype), device=tokens.device)
    with at_rest(model):
        for sequences in few_sequences(tokens):
            entries = _translated(lens, entries_of(model, tokens, mask, sequences)).flatten(1, 2)
            into = result[:, sequences].view(*entries.shape[:2], -1)
            for rows in few_rows(entries[0]):
                for entry in range(len(entries)):
                    into[entry, rows] = unembed(model, entries[entry, rows]).log_softmax(-1)
    return result


def _translated(lens: Lens | None, entries: Tensor) -> Tensor:
    if lens is None:
        return entries
    translated = lens(entries)
    if translated.shape != entries.shape:
        raise ValueError(f"the lens turned entries of shape {tuple(entries.shape)} into {tuple(translated.shape)}")
    return translated


def _checked_fields(fields: Collection[str] | None, *, with_targets: bool) -> frozenset[str]:
    if fields is None:
        return frozenset(FIELDS) if with_targets else frozenset(FIELDS) - OF_TARGETS
    asked = frozenset([fields] if isinstance(fields, str) else fields)
    if not asked or asked - set(FIELDS):
        raise ValueError(f"fields are some of {', '.join(FIELDS)}, not {fields!r}")
    if with_targets and not asked & OF_TARGETS:
        raise ValueError(f"targets are given, and fields={fields!r} asks neither for their rank nor for their log_prob")
    if not with_targets and asked & OF_TARGETS:
        raise ValueError(f"fields={fields!r} asks for what is read of targets, and none are given")
    return asked


def _checked_targets(
    model: TransformerBridge, targets: Targets, tokens: Int[Tensor, "batch pos"]
) -> Int[Tensor, "target batch pos"]:
    """The targets with their own axis in front, also where there is one for every position, or none."""
    if targets is None:
        return tokens.new_empty(0, *tokens.shape)
    if isinstance(targets, int | np.integer):
        targets = torch.full_like(tokens, targets)
    targets = checked_ids("targets", targets, model.cfg.d_vocab)
    several = targets if targets.dim() == 3 else torch.atleast_2d(targets)[None]
    if several.shape[1:] != tokens.shape:
        raise ValueError(
            f"targets have the shape {tuple(tokens.shape)} of tokens, one id per position, or another axis before it "
            f"for several; theirs is {tuple(targets.shape)}"
        )
    return several.to(tokens.device)
