"""What is attributed to the parts of a stream: a logit, a difference of two, or a log-probability.

There are two ways to give a part its share. *Frozen*, the final norm divides by what it divided by, and a cap on the
logits leaves the fraction of each that it left: a logit is then a sum over parts. A log-probability is the logit minus
the mean logit, which is such a sum, and a rest that is no part's, minus the log of the sum of ``exp(logit - mean)``.
*Recomputed*, a part's share is what is lost when it is taken out and norm, cap and log-probability are made anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.bridge.norms import at_least_single, norm_at
from mechlib.stream.frozen import frozen
from mechlib.stream.running import few_rows
from mechlib.stream.unembedding import final_norm, projected, raw_logits, transformed

Kind = Literal["logit", "log_prob"]
Constants = dict[str, Float[Tensor, " row"]]
"""The shares of what adds nothing to the stream, by name."""


@dataclass(frozen=True)
class Measure:
    """What is measured at each of some rows."""

    model: TransformerBridge
    kind: Kind
    target: Int[Tensor, " row"]
    against: Int[Tensor, " row"] | None = None
    """Tokens whose logits are subtracted."""

    def at(self, rows: slice) -> Measure:
        """The same at some of the rows."""
        return Measure(self.model, self.kind, self.target[rows], None if self.against is None else self.against[rows])

    @property
    def tokens(self) -> list[tuple[int, Int[Tensor, " row"]]]:
        """The tokens whose logits are taken, each with a sign."""
        return [(1, self.target)] if self.against is None else [(1, self.target), (-1, self.against)]

    def of_logits(self, logits: Float[Tensor, "row d_vocab"]) -> Float[Tensor, " row"]:
        values = torch.stack([sign * logits.gather(-1, ids[:, None])[:, 0] for sign, ids in self.tokens]).sum(0)
        return values - logits.logsumexp(-1) if self.kind == "log_prob" else values

    def of_normed(
        self, normed: Float[Tensor, "version row d_model"], *, bias: bool = True
    ) -> Float[Tensor, "version row"]:
        """Of several versions of the rows behind the final norm, with or without the ``bias`` of the unembedding."""
        if self.kind == "logit":
            return torch.stack([sign * self._of_token(normed, ids, bias) for sign, ids in self.tokens]).sum(0)
        return torch.stack([self._of_all(version, bias) for version in normed])

    def _of_token(self, normed: Tensor, ids: Int[Tensor, " row"], bias: bool) -> Float[Tensor, "version row"]:
        columns = at_least_single(self.model.W_U[:, ids]).T
        raw = torch.linalg.vecdot(at_least_single(projected(self.model, normed)), columns)
        return transformed(self.model, raw + at_least_single(self.model.b_U[ids]) if bias else raw)

    def _of_all(self, normed: Float[Tensor, "row d_model"], bias: bool) -> Float[Tensor, " row"]:
        values = []
        for rows in few_rows(normed):
            raw = raw_logits(self.model, normed[rows])
            logits = transformed(self.model, raw if bias else raw - finite_bias(self.model).to(raw.dtype))
            values.append(self.at(rows).of_logits(at_least_single(logits)))
        return torch.cat(values)


@dataclass(frozen=True)
class Frozen:
    """A frozen measure of last entries: what a part adds to them has a share that is linear in it."""

    direction: Float[Tensor, "row d_model"]
    constants: Constants
    total: Float[Tensor, " row"]
    """The measure, of the model's own logits."""

    def shares(self, added: Float[Tensor, "part row d_model"]) -> Float[Tensor, "part row"]:
        return torch.linalg.vecdot(added, self.direction)


def freeze(measure: Measure, entries: Float[Tensor, "row d_model"]) -> Frozen:
    """The measure with norm and cap as they are at the last entries of some rows."""
    found = [_freeze(measure.at(rows), entries[rows]) for rows in few_rows(entries)]
    return Frozen(
        torch.cat([few.direction for few in found]),
        {name: torch.cat([few.constants[name] for few in found]) for name in found[0].constants},
        torch.cat([few.total for few in found]),
    )


def _freeze(measure: Measure, entries: Float[Tensor, "row d_model"]) -> Frozen:
    model = measure.model
    normed = final_norm(model, entries)
    raw = raw_logits(model, normed)
    logits, raw = at_least_single(transformed(model, raw)), at_least_single(raw)
    finite = logits.isfinite()
    left = (logits / raw).where(finite & (raw != 0), 0.0)  # of every logit, by a factor or a cap
    weights, constants = torch.zeros_like(left), {}
    for sign, ids in measure.tokens:
        weights.scatter_add_(1, ids[:, None], sign * left.gather(1, ids[:, None]))
    if measure.kind == "log_prob":
        share = finite / finite.sum(-1, keepdim=True)
        weights -= left * share
        constants["normaliser"] = (logits.where(finite, 0.0) * share).sum(-1) - logits.logsumexp(-1)
    if model.b_U.any():
        constants["unembedding bias"] = weights @ finite_bias(model)
    direction = weights @ at_least_single(model.W_U).T
    if hasattr(model, "project_out"):
        direction = direction @ at_least_single(model.project_out.weight)
    norm = frozen(norm_at(model, "ln_final"), at_least_single(entries), normed)
    if norm.bias is not None:
        constants["final norm bias"] = direction @ norm.bias
    return Frozen(norm.turned(direction), constants, measure.of_logits(logits))


def finite_bias(model: TransformerBridge) -> Float[Tensor, " d_vocab"]:
    """The bias of the unembedding; 0 where it rules a token out, with minus infinity."""
    bias = at_least_single(model.b_U)
    return bias.where(bias.isfinite(), 0.0)


@dataclass(frozen=True)
class Recomputed:
    """A measure of last entries: the share of a part is what is lost without it."""

    measure: Measure
    entries: Float[Tensor, "row d_model"]
    constants: Constants
    total: Float[Tensor, " row"]
    """The measure, of the entries as they are."""

    def shares(self, added: Float[Tensor, "part row d_model"]) -> Float[Tensor, "part row"]:
        without = (at_least_single(self.entries) - added).to(self.entries.dtype)
        return self.total - self.measure.of_normed(final_norm(self.measure.model, without))


def recompute(measure: Measure, entries: Float[Tensor, "row d_model"]) -> Recomputed:
    """The measure, made anew for each part without it."""
    model, normed = measure.model, final_norm(measure.model, entries)[None]
    total, constants = measure.of_normed(normed)[0], {}
    norm = norm_at(model, "ln_final")
    if norm is not None and norm.bias is not None:
        constants["final norm bias"] = total - measure.of_normed(normed - norm.bias.to(normed.dtype))[0]
    if model.b_U.any():
        constants["unembedding bias"] = total - measure.of_normed(normed, bias=False)[0]
    return Recomputed(measure, entries, constants, total)
