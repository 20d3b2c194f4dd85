"""The Jacobian lens: what an entry of the residual stream would do to the last one, to first order, on average.

The matrix of entry ``l`` is the mean over texts of

    ``J_l = 1/|V| sum_(t in V) sum_(t' in V, t' >= t) d h_final,t' / d h_l,t``

with ``V`` the positions of a text but its first ``skip`` and the last (Gurnee et al., "Verbalizable Representations
Form a Global Workspace in Language Models", 2026). It says where a small change at an entry goes, at its own position
and at later ones together, through all that the layers in between do with it. Reading ``J_l x``, without a bias, takes
the entry itself for such a change; the logit lens has the identity in the place of ``J_l``.

``JacobianLens.fit`` of TransformerLens 4.3 is the same estimator, for texts and models of ``transformers``, and the two
agree to 1e-4: its layer ``l`` is the output of a layer, entry ``l + 1`` here. The embedding has a matrix here too. The
cost is ``d_model`` backward passes of every text, so this is for small models.

>>> from mechlib import text, zoo
>>> from mechlib.stream import logit_lens
>>> model = zoo.load("code-2l", device="cpu")
>>> rows = text.rows(text.files("train"), n_rows=1, length=24)
>>> lens = fit_jacobian_lens(model, rows, progress=False)
>>> lens.weight.shape
torch.Size([2, 128, 128])
>>> logit_lens(model, rows, lens=lens, fields=["kl_to_final"]).kl_to_final[-1].max().item()
0.0
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from mechlib.bridge import TransformerBridge
from mechlib.stream import running
from mechlib.stream.entries import Mask
from mechlib.stream.fitted_lens import FittedLens
from mechlib.stream.hooks import Hook, hook_name
from mechlib.stream.inputs import checked_mask, checked_tokens
from mechlib.stream.lens_file import Origin
from mechlib.stream.running import at_rest, run_reading, slices
from mechlib.stream.unembedding import single_or_double

__all__ = ["JacobianLens", "fit_jacobian_lens"]


@dataclass(frozen=True)
class JacobianOrigin(Origin):
    """What a Jacobian lens was fitted to, and how."""

    n_rows: int
    """How many texts it is a mean over."""
    skip: int
    """How many positions at the beginning of each were left out."""


@dataclass(frozen=True)
class JacobianLens(FittedLens):
    """The mean Jacobian of the last residual stream entry in every other one, which is read as ``J x``.

    Called on entries ``[entry, ..., d_model]`` it gives translated entries of the same shape, so it is an argument of
    ``logit_lens(..., lens=jacobian)``. The last entry is left as it is, to the bit.
    """

    TENSORS = ("weight",)
    ORIGIN = JacobianOrigin

    weight: Float[Tensor, "layer d_model d_model"]
    """``J``, ``[layer, out, in]``, for the entries before each of the ``n_layers`` layers."""
    origin: JacobianOrigin | None = None
    """What it was fitted to; None for a lens made by hand."""

    def translated(self, entries: Float[Tensor, "layer row d_model"]) -> Float[Tensor, "layer row d_model"]:
        """``J x``."""
        return entries @ self.weight.mT.to(entries.dtype)


@torch.inference_mode(False)
def fit_jacobian_lens(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    *,
    skip: int = 16,
    progress: bool = True,
    attention_mask: Mask = None,
) -> JacobianLens:
    """The mean Jacobian of the last entry in every other one, over the rows of ``tokens``; nothing is drawn.

    Every row counts as much as another, whatever its length. The model computes in its own precision and gets no
    gradient; its weights, mode and hooks are left as they were, and hooks that are on it act.

    Args:
        tokens: token ids, ``[batch, pos]``; a single sequence ``[pos]`` counts as a batch of one.
        skip: how many of the first tokens of a row are no positions of ``V``: attention goes to them whatever they are.
        progress: show a bar.
        attention_mask: for rows of unequal length, as for ``logit_lens``.

    Raises:
        TypeError: if ``tokens`` holds no integers.
        ValueError: for ``tokens`` and ``attention_mask`` as in ``logit_lens``; if ``skip`` is below 0; if a row has
            fewer than ``skip + 2`` tokens, and so no position in ``V``; if a Jacobian is not finite.
    """
    tokens = checked_tokens(model, tokens)
    mask = checked_mask(attention_mask, tokens)
    real = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
    counted = _counted(real, skip)
    n_layers, d_model = model.cfg.n_layers, model.cfg.d_model
    weight = torch.zeros(n_layers, d_model, d_model, dtype=single_or_double(model.W_U.dtype), device=tokens.device)
    with at_rest(model), torch.enable_grad():
        for row in tqdm(range(len(tokens)), desc="Jacobian lens", disable=not progress):
            of_row = None if mask is None else mask[row : row + 1]
            weight += _jacobian(model, tokens[row : row + 1], of_row, counted[row])
    if len(broken := (~weight.isfinite()).flatten(1).any(1).nonzero()):
        raise ValueError(
            f"the Jacobian of the last entry in entry {int(broken[0])} is not finite, and so for {len(broken) - 1} "
            f"other entries: the stream of this model is not, or its precision, {model.W_U.dtype}, is too low for it"
        )
    origin = JacobianOrigin.of(model, tokens, attention_mask, n_rows=len(tokens), skip=skip)
    return JacobianLens(weight / len(tokens), origin)


def _counted(real: Bool[Tensor, "row pos"], skip: int) -> Bool[Tensor, "row pos"]:
    """The positions of ``V``: all tokens of a row but the first ``skip`` and the last."""
    if skip < 0:
        raise ValueError(f"skip is a number of tokens, at least 0, not {skip}")
    number = real.cumsum(1)
    lengths = number[:, -1:]
    if len(short := (lengths[:, 0] < skip + 2).nonzero()):
        row = int(short[0])
        raise ValueError(
            f"row {row} has {int(lengths[row])} tokens, and none is left without the first skip={skip} and the last: "
            f"it takes at least {skip + 2}"
        )
    return real & (number > skip) & (number < lengths)


def _jacobian(
    model: TransformerBridge,
    tokens: Int[Tensor, "one pos"],
    mask: Bool[Tensor, "one pos"] | None,
    counted: Bool[Tensor, " pos"],
) -> Float[Tensor, "layer d_model d_model"]:
    """``J`` of one text, some outputs at a time: each copy of the text has the gradient of another one."""
    d_model = model.cfg.d_model
    copies = min(d_model, max(1, running.TOKENS_AT_ONCE // tokens.shape[1]))
    of_copies = None if mask is None else mask.expand(copies, -1)
    *sources, target = _entries_with_gradients(model, tokens.expand(copies, -1), of_copies)
    weight = target.new_empty(len(sources), d_model, d_model, dtype=single_or_double(target.dtype))
    for outputs in slices(d_model, copies):
        chosen = range(d_model)[outputs]
        towards = torch.zeros_like(target)
        for copy, output in enumerate(chosen):
            towards[copy, counted, output] = 1
        keep = chosen[-1] < d_model - 1
        gradients = torch.autograd.grad(
            target, sources, towards, retain_graph=keep, allow_unused=True, materialize_grads=True
        )
        for layer, gradient in enumerate(gradients):
            weight[layer, outputs] = gradient[: len(chosen), counted].to(weight.dtype).mean(1)
    return weight


def _entries_with_gradients(
    model: TransformerBridge, tokens: Int[Tensor, "copy pos"], mask: Bool[Tensor, "copy pos"] | None
) -> list[Float[Tensor, "copy pos d_model"]]:
    """All entries of a pass, from the first one on with the history of their gradients, unless a hook cuts that off."""
    caught: list[Tensor] = []

    def catch(residual: Tensor, hook: object) -> Tensor:
        known = caught and residual.requires_grad
        caught.append(residual if known else residual.detach().requires_grad_())
        return caught[-1]

    hooks: list[tuple[str, Hook]] = [(hook_name(model, entry), catch) for entry in range(model.cfg.n_layers + 1)]
    run_reading(model, tokens, hooks, mask)
    return caught
