"""The tuned lens: a logit lens that first translates each entry into the final layer's terms.

Entry ``l`` of the residual stream is sent through an affine map before it is read, ``x + A_l x + b_l``, trained on
the KL divergence of the reading from the model's final distribution (Belrose et al., "Eliciting Latent Predictions
from Transformers with the Tuned Lens", 2023, arXiv:2303.08112). The maps start at the identity, which is the logit
lens, or at least squares, and the last entry keeps it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import trange

from mechlib.bridge import TransformerBridge
from mechlib.stream.entries import Mask, residual_entries
from mechlib.stream.fitted_lens import FittedLens
from mechlib.stream.inputs import checked_mask, checked_tokens
from mechlib.stream.least_squares import least_squares_maps
from mechlib.stream.lens import LensResult, logit_lens, readings
from mechlib.stream.lens_file import Origin
from mechlib.stream.unembedding import read_out

__all__ = ["TunedLens", "Unfitted", "fit_tuned_lens"]

Start = Literal["identity", "least-squares"]


class Unfitted(UserWarning):
    """The category of the warning that training left a lens the identity."""


@dataclass(frozen=True)
class TunedOrigin(Origin):
    """What a tuned lens was fitted to, and with which settings of :func:`fit_tuned_lens`."""

    steps: int
    rows: int
    learning_rate: float
    seed: int
    start: str = "identity"
    ridge: float | None = None
    """Of least squares, where the fit starts from that."""


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
    """KL(final || entry) of the logit lens on the training tokens that are judged, mean in nats, ``[layer]``."""
    kl_after: Float[Tensor, " layer"]
    """The same through this lens, ``[layer]``; never above ``kl_before``."""
    origin: TunedOrigin | None = None
    """What it was fitted to; None for a lens made by hand."""

    def translated(self, entries: Float[Tensor, "layer row d_model"]) -> Float[Tensor, "layer row d_model"]:
        """``x + A x + b``."""
        return _affine(self.weight, self.bias, entries)


@torch.inference_mode(False)
def fit_tuned_lens(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    *,
    start: Start = "identity",
    ridge: float = 1e-3,
    steps: int = 250,
    rows: int = 256,
    learning_rate: float = 3e-3,
    seed: int = 0,
    judged: int | None = None,
    progress: bool = True,
    attention_mask: Mask = None,
) -> TunedLens:
    """Train a :class:`TunedLens` on KL(final || entry) over all positions of ``tokens`` that are no pads.

    Adam with a learning rate that falls linearly to zero, from the identity or from the maps that are best in least
    squares: those minimise the mean of ``|x + A x + b - y|^2 / |y|^2`` for the last entry ``y``, and on a model of many
    layers and tokens, whose unembedding makes every update dear, they may be all that is wanted (``steps=0``). The maps
    are in single precision at least, also those of a model in half precision, whose own norm and unembedding then round
    what they make of them. An entry that is not closer to the final distribution through its map keeps the identity, so
    the lens is never worse than the logit lens on the rows that are ``judged``; on other text it can be, if ``tokens``
    are few. A warning says when all of them keep it. The model gets no gradient and is left as it was.

    Args:
        start: ``"identity"`` or ``"least-squares"``.
        ridge: how far least squares is drawn to the identity, in units of the mean variance of a component.
        steps: number of updates; with ``start="least-squares"`` there may be none.
        rows: residual stream vectors of one update, drawn with replacement from the positions of ``tokens``.
        learning_rate: of the first update.
        seed: of the draw; the same seed on the same machine gives the same lens.
        judged: how many rows of ``tokens``, from the first, ``kl_before`` and ``kl_after`` are means over, by which a
            map is kept; all of them when left out.
        progress: show a bar.
        attention_mask: for rows of unequal length, as for ``logit_lens``.

    Raises:
        TypeError: if ``tokens`` holds no integers.
        ValueError: if ``steps`` or ``rows`` is below 1, but for the ``steps`` after least squares; if ``start`` is
            another, ``ridge`` is negative or ``judged`` no number of rows; if the stream is not finite where least
            squares are asked; and for ``tokens`` and ``attention_mask`` as in ``logit_lens``.
    """
    if start not in get_args(Start):
        raise ValueError(f"start is one of {', '.join(get_args(Start))}, not {start!r}")
    if steps < (start == "identity") or rows < 1 or not ridge >= 0:
        raise ValueError(
            f"steps and rows are at least 1, or steps 0 with start='least-squares', and ridge is at least 0: not "
            f"steps={steps}, rows={rows}, ridge={ridge}"
        )
    tokens = checked_tokens(model, tokens)
    mask = checked_mask(attention_mask, tokens)
    if judged is not None and not 1 <= judged <= len(tokens):
        raise ValueError(f"judged is a number of the {len(tokens)} rows of tokens, not {judged}")
    some, of_some = tokens[:judged], None if mask is None else mask[:judged]
    before = _mean_kl(logit_lens(model, some, fields=["kl_to_final"], attention_mask=of_some))
    n_layers, d_model = len(before), model.cfg.d_model
    weight, bias = before.new_zeros(n_layers, d_model, d_model), before.new_zeros(n_layers, d_model)
    if start == "least-squares":
        weight, bias = (tensor.to(before) for tensor in least_squares_maps(model, tokens, mask, ridge=ridge))
    if steps:
        entries = residual_entries(model, tokens, attention_mask=mask).flatten(1, 2)
        entries = entries if mask is None else entries[:, mask.flatten()]
        weight, bias = _trained(
            model,
            entries,
            weight,
            bias,
            steps=steps,
            rows=rows,
            learning_rate=learning_rate,
            seed=seed,
            progress=progress,
        )
    settings = {"steps": steps, "rows": rows, "learning_rate": learning_rate, "seed": seed, "start": start}
    origin = TunedOrigin.of(model, tokens, mask, **settings, ridge=ridge if start == "least-squares" else None)
    lens = TunedLens(weight, bias, before, before, origin)
    after = _mean_kl(readings(model, some, fields=["kl_to_final"], lens=lens, attention_mask=of_some)[0])
    return _kept_where_better(lens, after)


@torch.enable_grad()
def _trained(
    model: TransformerBridge,
    entries: Float[Tensor, "entry row d_model"],
    weight: Tensor,
    bias: Tensor,
    *,
    steps: int,
    rows: int,
    learning_rate: float,
    seed: int,
    progress: bool,
) -> tuple[Tensor, Tensor]:
    """The maps after ``steps`` updates by Adam, each on ``rows`` rows of ``entries`` that are drawn."""
    weight, bias = weight.requires_grad_(), bias.requires_grad_()
    optimiser = torch.optim.Adam([weight, bias], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in trange(steps, desc="tuned lens", disable=not progress):
        drawn = torch.randint(entries.shape[1], (rows,), generator=generator).to(entries.device)
        loss = _cross_entropy(model, weight, bias, entries[:, drawn])
        weight.grad, bias.grad = (gradient / rows for gradient in torch.autograd.grad(loss, (weight, bias)))
        optimiser.step()
        schedule.step()
    return weight.detach(), bias.detach()


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
            Unfitted,
            stacklevel=3,
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
