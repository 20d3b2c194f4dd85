"""Direct logit attribution: what each part of a model adds to a logit by itself, past the layers in between.

The last entry of the residual stream is the sum of what embeddings, heads, MLPs and their biases add to it, and logits
are read from it through the final norm. So a logit, or how far one is ahead of another, is told apart by who made it
(Elhage et al., "A Mathematical Framework for Transformer Circuits", 2021; Wang et al., "Interpretability in the Wild",
2022, arXiv:2211.00593). What a part does through later layers is not in its share.

Who puts ``'__`` ahead of ``None`` here, by 8.2 nats:

>>> from mechlib import text, zoo
>>> model = zoo.load("code-2l", device="cpu")
>>> tokens = text.encode("if __name__ ==")
>>> ours, theirs = (int(text.encode(word, bos=False)[0]) for word in (" '__", " None"))
>>> found = direct_logit_attribution(model, tokens, ours, against=theirs)
>>> for label, share in list(found.sorted().items())[:3]:
...     print(f"{label} {share:+.1f}")
head 0.2 +2.8
head 0.0 +2.8
head 1.3 +2.6
>>> print(f"{found.sum().item():.1f} {found.total.item():.1f}")
8.2 8.2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.stream.entries import Mask
from mechlib.stream.inputs import Positions, checked_ids, checked_mask, checked_positions, checked_tokens
from mechlib.stream.measures import Kind, Measure, freeze, recompute
from mechlib.stream.parts import Additions, Part, Points, Seen, additions, points_of, run_catching
from mechlib.stream.running import among_pads, at_rest, few_sequences
from mechlib.stream.unembedding import require_own_readout

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LogitAttribution", "direct_logit_attribution"]

NormIs = Literal["frozen", "recomputed"]
By = Literal["head", "component", "layer"]
Ids = Int[Tensor, " batch"] | Int[Tensor, "batch pos"] | int


@dataclass(frozen=True)
class LogitAttribution:
    """The shares of a model's parts in a logit, a difference of two logits or a log-probability, in nats."""

    parts: tuple[Part, ...]
    """What the shares are of, ``[part]``: kind, layer and head of each; ``str(part)`` is its label."""
    positions: Int[Tensor, " pos"]
    """The token positions at which the logits stand, ``[pos]``."""
    shares: Float[Tensor, "part batch pos"]
    """What each part adds, ``[part, batch, pos]``; NaN at pads. Their sum is ``total``, up to rounding."""
    total: Float[Tensor, "batch pos"]
    """What is attributed, from the model's own logits, ``[batch, pos]``; NaN at pads."""
    measure: str
    """What that is: ``"logit"``, ``"logit difference"`` or ``"log-probability"``."""
    norm: NormIs
    """Whether shares are under the frozen final norm, or under the one recomputed without the part."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the parts, ``[part]``: ``"head 3.1"`` is head 1 of layer 3, ``"MLP 2"`` the MLP of layer 2."""
        return tuple(map(str, self.parts))

    def __getitem__(self, label: str) -> Float[Tensor, "batch pos"]:
        """The share of the part of that name, ``[batch, pos]``.

        Raises:
            KeyError: if there is none; the message says what there is.
        """
        if label not in self.labels:
            raise KeyError(f"there is no part {label!r}; parts are {', '.join(self.labels)}")
        return self.shares[self.labels.index(label)]

    def sum(self) -> Float[Tensor, "batch pos"]:
        """The sum of all shares, ``[batch, pos]``: ``total`` up to rounding."""
        return self.shares.sum(0)

    def sorted(self) -> dict[str, float]:
        """The mean share of every part over rows and positions that are no pads, the largest first."""
        means = self.shares.flatten(1).nanmean(1)
        return {self.labels[part]: means[part].item() for part in means.argsort(descending=True, stable=True)}

    @property
    def heads(self) -> Float[Tensor, "layer head batch pos"]:
        """The shares of the heads, ``[layer, head, batch, pos]``.

        Raises:
            ValueError: if heads were not told apart.
        """
        heads = [index for index, part in enumerate(self.parts) if part.kind == "head"]
        if not heads:
            raise ValueError(f"heads are told apart with by='head'; here parts are {', '.join(self.labels)}")
        layers = {self.parts[index].layer for index in heads}
        return self.shares[heads].unflatten(0, (len(layers), -1))

    def plot(self, most: int = 12, ax: Axes | None = None) -> Axes:
        """Bars for the ``most`` parts of the largest mean share in size, with two standard errors over rows.

        The positions of a row are not independent, so each row counts as one, with the mean over its positions.
        """
        import matplotlib.pyplot as plt

        means = self.sorted()
        largest = sorted(means, key=lambda label: -abs(means[label]))[:most]
        chosen = [label for label in means if label in largest]
        ax = plt.subplots(figsize=(5.3, 1.0 + 0.3 * len(chosen)))[1] if ax is None else ax
        for row, label in enumerate(chosen):
            shares = self[label].nanmean(1)
            shares = shares[~shares.isnan()]
            error = 2 * shares.std().item() / len(shares) ** 0.5 if len(shares) > 1 else None
            ax.barh(row, means[label], xerr=error, color="0.35" if means[label] > 0 else "0.7", ecolor="0.1", capsize=3)
        ax.axvline(0, color="0.2", linewidth=0.8)
        ax.set_yticks(range(len(chosen)), chosen)
        ax.set_ylim(len(chosen) - 0.5, -0.5)
        ax.set_xlabel(f"share of {float(self.total.nanmean()):.3g} ({self.measure}, nats)")
        return ax


def direct_logit_attribution(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    targets: Ids,
    *,
    against: Ids | None = None,
    measure: Kind = "logit",
    norm: NormIs = "frozen",
    by: By = "head",
    positions: Positions = -1,
    attention_mask: Mask = None,
) -> LogitAttribution:
    """The share of every part of the model in the logit of a token that comes next, or in how far it is ahead.

    Parts are the embedding, learned positions, heads, MLPs, biases of attention and MLP, and the biases of the final
    norm and the unembedding. A head's share includes what the bias of its values adds. Shares sum to the model's own
    number: to 1e-4 in single precision; in half precision up to its rounding of the stream and the logits.

    - ``norm="frozen"``: the final norm divides by what it divided by, so that a logit is a sum over parts. A cap on the
      logits (Gemma 2) counts as the factor by which it made each logit smaller, and so does a norm behind attention or
      MLP as the number by which it divided. ``measure="log_prob"`` is told apart as the logit minus the mean logit,
      which is a sum over parts, and the part ``normaliser``: minus the log of the sum of ``exp(logit - mean logit)``.
    - ``norm="recomputed"``: a part's share is the number itself minus the number when the part is subtracted from the
      last entry of the stream, which then goes through the final norm, the cap and the softmax anew. Heads of one layer
      whose norm stands behind attention are still told apart with its division frozen. These shares do not sum to the
      number; what is missing is the part ``interaction``. A log-probability costs an unembedding for every part.

    The model runs in eval mode without gradients, some sequences at a time; its weights, mode and hooks are left as
    they were. With other hooks on it, the shares are those of what it computes with them.

    Args:
        tokens: token ids, ``[batch, pos]``; a single sequence ``[pos]`` counts as a batch of one.
        targets: the token that is attributed: one id, one for each row ``[batch]``, or one for each position, of the
            shape of ``tokens``.
        against: the token whose logit is subtracted, of the same forms. It leaves out what raises both alike.
        measure: ``"logit"``, or ``"log_prob"`` for the log-probability.
        by: what the parts are: ``"head"``; ``"component"`` for attention and MLP of every layer, each with its bias; or
            ``"layer"``.
        positions: as for ``logit_lens``: the last one when left out.
        attention_mask: for rows of unequal length, as for ``logit_lens``; shares at pads are NaN.

    Raises:
        TypeError: if ``tokens``, ``targets`` or ``against`` holds no integers.
        ValueError: for ``tokens``, ``positions`` and ``attention_mask`` as in ``logit_lens``; if ``targets`` or
            ``against`` is of another shape or outside the vocabulary; if ``against`` is given for a log-probability;
            for another ``measure``, ``norm`` or ``by``; if the stream of the model is no sum of parts that are known
            here, as where it is normed itself or a hook changes it on the way; if a layer has no attention heads; if a
            logit is not finite.
    """
    for name, value, allowed in (("measure", measure, Kind), ("norm", norm, NormIs), ("by", by, By)):
        if value not in get_args(allowed):
            raise ValueError(f"{name} is one of {', '.join(get_args(allowed))}, not {value!r}")
    if against is not None and measure == "log_prob":
        raise ValueError("a difference of log-probabilities is that of the logits: give against with measure='logit'")
    tokens = checked_tokens(model, tokens)
    mask = checked_mask(attention_mask, tokens)
    target, other = (
        _checked_answers(model, name, ids, tokens) for name, ids in (("targets", targets), ("against", against))
    )
    selected = checked_positions(positions, tokens.shape[1]).to(tokens.device)
    if mask is not None and not mask[:, selected].any():
        raise ValueError(f"positions={positions!r} selects pads alone")
    points = points_of(model)
    require_own_readout(model)

    found = []
    with at_rest(model):
        for sequences in few_sequences(tokens):
            real = None if mask is None else mask[sequences]
            read = slice(None) if real is None else real[:, selected].flatten()
            wanted = [ids[sequences][:, selected].flatten()[read] for ids in (target, other) if ids is not None]
            seen = run_catching(model, points, tokens[sequences], real, selected)
            if len(wanted[0]):
                found.append(_shares(Measure(model, measure, *wanted), points, seen, norm, by))
    parts = tuple(found[0][0])
    both = torch.cat([torch.cat([shares, total[None]]) for _, shares, total in found], 1)
    read = tokens.new_ones(len(tokens), len(selected), dtype=torch.bool) if mask is None else mask[:, selected]
    both = among_pads(both, read.flatten()).unflatten(1, read.shape)
    _require_finite(both[-1], read, selected)
    what = "logit difference" if against is not None else {"logit": "logit", "log_prob": "log-probability"}[measure]
    return LogitAttribution(parts, selected, both[:-1], both[-1], what, norm)


def _shares(
    measure: Measure, points: Points, seen: Seen, norm: NormIs, by: By
) -> tuple[list[Part], Float[Tensor, "part row"], Float[Tensor, " row"]]:
    """The parts, their shares at some rows, and the measure there."""
    entries = seen[points.entries[-1]]
    measured = freeze(measure, entries) if norm == "frozen" else recompute(measure, entries)
    parts, shares = [], []
    for few, added in additions(measure.model, points, seen):
        few, added = (few, added) if by == "head" else _together(few, added, by)
        parts += few
        shares.append(measured.shares(added))
    parts += [Part(name) for name in measured.constants]
    shares += [constant[None] for constant in measured.constants.values()]
    if norm == "recomputed":
        parts.append(Part("interaction"))
        shares.append((measured.total - torch.cat(shares).sum(0))[None])
    return parts, torch.cat(shares), measured.total


def _together(parts: list[Part], added: Float[Tensor, "part row d_model"], by: By) -> Additions:
    """Parts that are one part by component or by layer, and what they add together."""
    places = [_place(part, by) for part in parts]
    fewer = list(dict.fromkeys(places))
    index = torch.tensor([fewer.index(place) for place in places], device=added.device)
    return fewer, added.new_zeros(len(fewer), *added.shape[1:]).index_add_(0, index, added)


def _place(part: Part, by: By) -> Part:
    if by == "layer":
        return Part("embedding") if part.layer is None else Part("layer", part.layer)
    sublayer = {"head": "attention", "attention bias": "attention", "MLP bias": "MLP"}
    return Part(sublayer.get(part.kind, part.kind), part.layer)


def _checked_answers(
    model: TransformerBridge, name: str, given: Ids | None, tokens: Int[Tensor, "batch pos"]
) -> Int[Tensor, "batch pos"] | None:
    """A token for every position, of one for all, for each row or for each position."""
    if given is None:
        return None
    ids = checked_ids(name, torch.tensor(given) if isinstance(given, int | np.integer) else given, model.cfg.d_vocab)
    if ids.shape == tokens.shape or (ids.dim() == 1 and tokens.shape == (1, len(ids))):
        return ids.to(tokens.device).view_as(tokens)
    if ids.dim() == 0 or ids.shape == (len(tokens),):
        return ids.to(tokens.device).reshape(-1, 1).expand_as(tokens)
    raise ValueError(
        f"{name} are one id, one for each of the {len(tokens)} rows, or one for each position, of shape "
        f"{tuple(tokens.shape)}; these have the shape {tuple(ids.shape)}"
    )


def _require_finite(total: Float[Tensor, "batch pos"], read: Tensor, selected: Int[Tensor, " pos"]) -> None:
    if len(without := (read & ~total.isfinite()).nonzero()):
        row, position = without[0].tolist()
        raise ValueError(
            f"what is to be attributed is {total[row, position].item()} for row {row} at position "
            f"{int(selected[position])}: no sum of finite shares"
        )
