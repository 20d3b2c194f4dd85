"""The tuned lens: a logit lens that first translates each entry into the final layer's terms.

Entry ``l`` of the residual stream is sent through an affine map before it is read, ``x + A_l x + b_l``, trained on
the KL divergence of the reading from the model's final distribution (Belrose et al., "Eliciting Latent Predictions
from Transformers with the Tuned Lens", 2023, arXiv:2303.08112). The maps start at the identity, which is the logit
lens, and the last entry keeps it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import trange

from mechlib.bridge import TransformerBridge
from mechlib.stream.entries import Mask, residual_entries
from mechlib.stream.fitted_lens import FittedLens
from mechlib.stream.inputs import checked_tokens
from mechlib.stream.lens import LensResult, logit_lens, readings
from mechlib.stream.lens_file import Origin
from mechlib.stream.unembedding import read_out

__all__ = ["TunedLens", "fit_tuned_lens"]


@dataclass(frozen=True)
class TunedOrigin(Origin):
    """What a tuned lens was fitted to, and with which settings of :func:`fit_tuned_lens`."""

    steps: int
    rows: int
    learning_rate: float
    seed: int


@dataclass(frozen=True)
class TunedLens(FittedLens):
    """One affine map for every residual stream entry but the last, which is left as it is, to the bit.

    Called on entries ``[entry, ..., d_model]`` it gives translated entries of the same shape, so it is an argument of
    ``logit_lens(..., lens=tuned)``.
    """

    TENSORS = ("weight", "bias", "kl_before", "kl_after")
    ORIGIN = TunedOrigin

    weight: Float[Tensor, "layer d_model d_model"]
    """``A``, ``[layer, out, in]``, for the entries before each of the ``n_layers`` layers; zero is the identity."""
    bias: Float[Tensor, "layer d_model"]
    """``b``, ``[layer, d_model]``."""
    kl_before: Float[Tensor, " layer"]
    """KL(final || entry) of the logit lens on the training tokens, mean in nats, ``[layer]``."""
    kl_after: Float[Tensor, " layer"]
    """The same through this lens, ``[layer]``; never above ``kl_before``."""
    origin: TunedOrigin | None = None
    """What it was fitted to; None for a lens made by hand."""

    def translated(self, entries: Float[Tensor, "layer row d_model"]) -> Float[Tensor, "layer row d_model"]:
        """``x + A x + b``."""
        return _affine(self.weight, self.bias, entries)


@torch.enable_grad()
def fit_tuned_lens(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    *,
    steps: int = 250,
    rows: int = 256,
    learning_rate: float = 3e-3,
    seed: int = 0,
    progress: bool = True,
    attention_mask: Mask = None,
) -> TunedLens:
    """Train a :class:`TunedLens` on KL(final || entry) over all positions of ``tokens`` that are no pads.

    Adam from the identity, with a learning rate that falls linearly to zero. The maps are in single precision at least,
    also those of a model in half precision, whose own norm and unembedding then round what they make of them. An entry
    that training has not brought closer to the final distribution keeps the identity, so the lens is never worse than
    the logit lens on ``tokens``; on other text it can be, if ``tokens`` are few. A warning says when all of them keep
    it. The model gets no gradient and is left as it was.

    Args:
        steps: number of updates.
        rows: residual stream vectors of one update, drawn with replacement from the positions of ``tokens``.
        learning_rate: of the first update.
        seed: of the draw; the same seed on the same machine gives the same lens.
        progress: show a bar.
        attention_mask: for rows of unequal length, as for ``logit_lens``.

    Raises:
        ValueError: if ``steps`` or ``rows`` is below 1; and for ``tokens`` as in ``logit_lens``.
    """
    if steps < 1 or rows < 1:
        raise ValueError(f"steps and rows are at least 1, not steps={steps}, rows={rows}")
    tokens = checked_tokens(model, tokens)
    before = _mean_kl(logit_lens(model, tokens, fields=["kl_to_final"], attention_mask=attention_mask))
    entries = residual_entries(model, tokens, attention_mask=attention_mask).flatten(1, 2)
    if attention_mask is not None:
        entries = entries[:, torch.as_tensor(attention_mask).to(entries.device, torch.bool).flatten()]
    n_layers, d_model = len(before), entries.shape[-1]
    weight = before.new_zeros(n_layers, d_model, d_model, requires_grad=True)
    bias = before.new_zeros(n_layers, d_model, requires_grad=True)
    optimiser = torch.optim.Adam([weight, bias], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in trange(steps, desc="tuned lens", disable=not progress):
        drawn = torch.randint(entries.shape[1], (rows,), generator=generator).to(entries.device)
        loss = _cross_entropy(model, weight, bias, entries[:, drawn])
        weight.grad, bias.grad = (gradient / rows for gradient in torch.autograd.grad(loss, (weight, bias)))
        optimiser.step()
        schedule.step()
    origin = TunedOrigin.of(
        model, tokens, attention_mask, steps=steps, rows=rows, learning_rate=learning_rate, seed=seed
    )
    lens = TunedLens(weight.detach(), bias.detach(), before, before, origin)
    after = _mean_kl(readings(model, tokens, fields=["kl_to_final"], lens=lens, attention_mask=attention_mask)[0])
    return _kept_where_better(lens, after)


def _cross_entropy(model: TransformerBridge, weight: Tensor, bias: Tensor, entries: Tensor) -> Float[Tensor, ""]:
    """Of the final distribution relative to the readings: KL(final || entry) plus a constant, summed over rows.

    A sum, because the gradients of a mean fall below the smallest number of a half-precision model.
    """
    with torch.no_grad():
        final = read_out(model, entries[-1]).softmax(-1)
    log_probs = read_out(model, _affine(weight, bias, entries[:-1]).to(entries.dtype)).log_softmax(-1)
    return -torch.einsum("rv,lrv->", final, log_probs.where(final > 0, 0.0))


def _kept_where_better(lens: TunedLens, after: Float[Tensor, " layer"]) -> TunedLens:
    better = after < lens.kl_before
    if not better.any():
        warnings.warn(
            "training brought no entry closer to the final distribution: this lens is the identity, and reads what the "
            "logit lens reads",
            stacklevel=4,
        )
    return replace(
        lens,
        weight=lens.weight.where(better[:, None, None], 0.0),
        bias=lens.bias.where(better[:, None], 0.0),
        kl_after=after.where(better, lens.kl_before),
    )


def _mean_kl(result: LensResult) -> Float[Tensor, " layer"]:
    """Of the entries but the last, over the positions at which the last has a reading: those that are no pads."""
    kl = result.numbers("kl_to_final")
    read = ~kl[-1].isnan()
    return kl[:-1].mean((1, 2)) if read.all() else kl[:-1, read].mean(1)


def _affine(weight: Tensor, bias: Tensor, rows: Float[Tensor, "layer row d_model"]) -> Tensor:
    """``x + A x + b`` for every entry, in single precision at least."""
    rows = rows.to(torch.promote_types(rows.dtype, weight.dtype))
    return torch.baddbmm(rows + bias[:, None], rows, weight.mT.to(rows.dtype))
