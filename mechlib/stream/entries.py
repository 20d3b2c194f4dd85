"""The entries of the residual stream: the embedding, then the stream after every layer."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.stream.hooks import hook_name
from mechlib.stream.inputs import checked_mask, checked_tokens
from mechlib.stream.running import at_rest, few_sequences, first_token, run_reading
from mechlib.stream.unembedding import unembed

Mask = Bool[Tensor, "batch pos"] | Int[Tensor, "batch pos"] | None


def residual_entries(
    model: TransformerBridge, tokens: Int[Tensor, "batch pos"], *, attention_mask: Mask = None
) -> Float[Tensor, "entry batch pos d_model"]:
    """The residual stream at its ``n_layers + 1`` entries: the embedding, then the stream after every layer.

    Without gradients, in eval mode; the model is left as it was. ``tokens`` and ``attention_mask`` are those of
    :func:`logit_lens`, with the same errors; the stream at pads is NaN.

    Raises:
        ValueError: besides, if the model's logits are not the final norm and unembedding of the last entry.
    """
    tokens = checked_tokens(model, tokens)
    mask = checked_mask(attention_mask, tokens)
    with at_rest(model):
        return torch.cat([entries_of(model, tokens, mask, sequences) for sequences in few_sequences(tokens)], 1)


def entries_of(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    mask: Bool[Tensor, "batch pos"] | None,
    sequences: slice,
) -> Float[Tensor, "entry sequence pos d_model"]:
    """The entries from one forward pass, in which a single position is unembedded: enough to see that the lens can."""
    caught = []

    def catch(residual: Tensor, hook: object) -> None:
        caught.append(residual.detach())

    mask = None if mask is None else mask[sequences]
    hooks = [(hook_name(model, entry), catch) for entry in range(model.cfg.n_layers + 1)]
    logits = run_reading(model, tokens[sequences], hooks, mask)
    require_direct_readout(logits, unembed(model, caught[-1][:1, first_token(mask), None]))
    entries = torch.stack(caught)
    return entries if mask is None else entries.masked_fill_(~mask[..., None], torch.nan)


def require_direct_readout(own: Tensor, ours: Tensor) -> None:
    """Refuse models that do more to the last entry than norm and unembedding; rounding is far below the tolerance.

    Logits that are not finite have to be so in both. One wait for the device, as every pass of a loop comes here.
    """
    finite = own.isfinite()
    mean = own.where(finite, 0.0).sum() / finite.sum().clamp(min=1)
    away, off = ((own - other).where(finite, 0.0).abs().max() for other in (mean, ours))
    gap, spread = torch.stack([off.where((finite == ours.isfinite()).all(), torch.inf), away]).tolist()
    if not gap <= 0.1 * spread + 1e-3:
        raise ValueError(
            f"the final norm and unembedding of the last entry miss the model's own logits by {gap:.3g}, "
            f"where logits spread over {spread:.3g}: the logit lens does not fit this model"
        )
