"""Cutting heads at the last position of prompts, and who makes up for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge, require_bridge
from mechlib.causal.sites import checked_heads
from mechlib.causal.sources import Activations, Mode, replacing
from mechlib.places import Head
from mechlib.repair.ends import Edit, Ends, ends_of
from mechlib.stream.inputs import checked_ids, checked_tokens
from mechlib.stream.measures import Frozen
from mechlib.stream.parts import Part, Seen, of_attention
from mechlib.stream.running import at_rest
from mechlib.stream.unembedding import require_own_readout

__all__ = ["Cuts", "cut_heads", "direct_effects"]

Ids = Int[Tensor, " row"] | int
Source = Mode | Mapping[Head, Float[Tensor, "row d_head"]]
"""What stands in the place of a head's output: see ``cut_heads``."""


@dataclass(frozen=True, eq=False)
class Cuts:
    """What a logit difference loses when heads are cut, and who makes up for it; in nats.

    With the final norm frozen the difference is a sum over parts. So for every cut and prompt, up to rounding,

        repair = direct - total = (sum of made_up) + norm.
    """

    cuts: tuple[tuple[Head, ...], ...]
    """The heads that each cut removes."""
    parts: tuple[Part, ...]
    """The parts of the model, ``[part]``: kind, layer and head; ``str(part)`` is a label such as ``"head 3.1"``."""
    intact: Float[Tensor, " row"]
    """The logit difference of every prompt while nothing is cut, ``[row]``."""
    shares: Float[Tensor, "part row"]
    """What every part adds to it then, under the frozen final norm, ``[part, row]``."""
    direct: Float[Tensor, "cut row"]
    """What the heads themselves write toward the difference, beyond what stands in their place, ``[cut, row]``."""
    total: Float[Tensor, "cut row"]
    """By how much the difference falls, ``[cut, row]``."""
    made_up: Float[Tensor, "cut part row"]
    """What every part adds more after a cut, under the final norm frozen as it was, ``[cut, part, row]``: negative
    where it adds less. 0 for the cut heads themselves, except for what a norm behind attention does to them."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the cuts: ``"3.1"``, or ``"3.1 + 4.0"`` for heads that are cut together."""
        return tuple(" + ".join(f"{layer}.{head}" for layer, head in cut) for cut in self.cuts)

    @property
    def frozen(self) -> Float[Tensor, "cut row"]:
        """By how much the difference falls if the final norm divides by what it divided by before, ``[cut, row]``."""
        return self.direct - self.made_up.sum(1)

    @property
    def norm(self) -> Float[Tensor, "cut row"]:
        """What the final norm, or a cap on the logits, makes up for by dividing by less, ``[cut, row]``."""
        return self.frozen - self.total

    @property
    def repair(self) -> Float[Tensor, "cut row"]:
        """All that is made up for: the direct effect less the total one, ``[cut, row]``."""
        return self.direct - self.total

    def made_up_by(self, kind: str) -> Float[Tensor, "cut row"]:
        """What all parts of a kind, ``"head"`` or ``"MLP"``, make up for together, ``[cut, row]``.

        Raises:
            KeyError: if no part is of that kind; the message says which there are.
        """
        if not any(which := [part.kind == kind for part in self.parts]):
            raise KeyError(f"no part is a {kind!r}; there are {', '.join(sorted({part.kind for part in self.parts}))}")
        return self.made_up[:, which].sum(1)

    def most(self, cut: int, n: int = 3) -> dict[str, float]:
        """The ``n`` parts whose shares change most after a cut, in the mean over prompts, and by how much."""
        means = self.made_up[cut].mean(-1)
        return {str(self.parts[i]): means[i].item() for i in means.abs().argsort(descending=True)[:n].tolist()}


def direct_effects(
    model: TransformerBridge,
    tokens: Int[Tensor, "row pos"],
    right: Ids,
    wrong: Ids,
    *,
    source: Mode = "mean",
    generator: torch.Generator | None = None,
) -> Float[Tensor, "layer head row"]:
    """The direct effect of every head on a logit difference at the last position, in nats, ``[layer, head, row]``.

    It is the head's share in the difference under the frozen final norm, less that of what stands in its place. No head
    is cut for it. A norm behind attention divides by what it divided by before.

    Args and errors are those of :func:`cut_heads`.
    """
    require_bridge(model)
    with at_rest(model):
        ends, before = _checked_ends(model, tokens, right, wrong)
        instead = _instead(ends, before, range(model.cfg.n_layers), source, generator)
        return torch.stack(list(_direct(ends, before, ends.frozen(before), instead).values()))


def cut_heads(
    model: TransformerBridge,
    tokens: Int[Tensor, "row pos"],
    right: Ids,
    wrong: Ids,
    cuts: Iterable[Head | Sequence[Head]],
    *,
    source: Source = "mean",
    generator: torch.Generator | None = None,
) -> Cuts:
    """Cut heads at the last position and see what becomes of the logit of ``right`` less that of ``wrong`` there.

    What a cut head hands to ``W_O`` is replaced, by what it is in the run without cuts:

    - ``"mean"``: its mean over the prompts.
    - ``"zero"``: zeros.
    - ``"resample"``: that of another prompt, the same for all heads and cuts. None keeps its own.
    - a mapping from heads to what stands in their place, ``[row, d_head]``.

    Earlier positions stay as they are. Where the model allows it their columns are kept, so that a cut costs one column
    a prompt. The model's weights, mode and hooks are left as they were; other hooks on it act in every run.

    Args:
        tokens: token ids of prompts of one length, ``[row, pos]``.
        right: the token whose logit counts, one or one for each row.
        wrong: the token whose logit is subtracted, likewise.
        cuts: each a head ``(layer, head)``, or several heads that are cut together.
        generator: on the CPU, of the draw of ``"resample"``; seeded with 0 when left out.

    Raises:
        TypeError: if ``tokens``, ``right`` or ``wrong`` holds no integers, or a cut something else than heads.
        ValueError: if a token is outside the vocabulary, or ``right`` or ``wrong`` is of another number of rows; if a
            head is out of range, or there is no cut; for another ``source``, or one that lacks a head or is of another
            shape; for ``"resample"`` with one row; for a model whose stream is no sum of parts that are known here, as
            for ``mechlib.stream.direct_logit_attribution``.
    """
    require_bridge(model)
    chosen = [_checked_cut(model, cut) for cut in cuts]
    if not chosen:
        raise ValueError("cuts names no head to cut")
    with at_rest(model):
        ends, before = _checked_ends(model, tokens, right, wrong)
        frozen = ends.frozen(before)
        layers = sorted({layer for cut in chosen for layer, _ in cut})
        instead = _instead(ends, before, layers, source, generator, {head for cut in chosen for head in cut})
        of_heads = _direct(ends, before, frozen, instead)
        parts, shares = ends.shares(before, frozen)
        place = {(part.layer, part.head): index for index, part in enumerate(parts) if part.kind == "head"}
        direct: list[Tensor] = []
        total: list[Tensor] = []
        made_up: list[Tensor] = []
        for cut in chosen:
            after = ends.seen(_edits(ends, cut, instead))
            more = ends.shares(after, frozen)[1] - shares
            for layer, head in cut:
                more[place[layer, head]] += of_heads[layer][head]
            direct.append(torch.stack([of_heads[layer][head] for layer, head in cut]).sum(0))
            total.append(frozen.total - ends.difference(after))
            made_up.append(more)
    stacked = [torch.stack(found) for found in (direct, total, made_up)]
    return Cuts(tuple(chosen), parts, frozen.total, shares, *stacked)


def _checked_cut(model: TransformerBridge, cut: Head | Sequence[Head]) -> tuple[Head, ...]:
    single = isinstance(cut, tuple) and len(cut) == 2 and not isinstance(cut[0], (tuple, list))
    return tuple(checked_heads(model, [cut] if single else cut, "a cut"))  # type: ignore[list-item]


def _checked_ends(model: TransformerBridge, tokens: Tensor, right: Ids, wrong: Ids) -> tuple[Ends, Seen]:
    tokens = checked_tokens(model, tokens)
    require_own_readout(model)
    answers = []
    for name, given in (("right", right), ("wrong", wrong)):
        ids = checked_ids(name, torch.as_tensor(given), model.cfg.d_vocab).to(tokens.device)
        if ids.dim() > 1 or (ids.dim() == 1 and len(ids) != len(tokens)):
            raise ValueError(f"{name} is one token or one for each of the {len(tokens)} rows, not {list(ids.shape)}")
        answers.append(ids.expand(len(tokens)))
    return ends_of(model, tokens, *answers)


Instead = dict[int, Float[Tensor, "row head d_head"]]
"""By layer, what stands in the place of what its heads hand to ``W_O``."""


def _instead(
    ends: Ends,
    before: Seen,
    layers: Iterable[int],
    source: Source,
    generator: torch.Generator | None,
    heads: Iterable[Head] = (),
) -> Instead:
    outputs = {layer: before[ends.points.heads[layer]] for layer in layers}
    if isinstance(source, str):
        if source not in get_args(Mode):
            raise ValueError(f"source is one of {', '.join(get_args(Mode))}, or outputs by head, not {source!r}")
        replace = replacing(source, min(outputs), generator)
        return {
            layer: replace(layer, Activations(z[:, None], None), None).expand_as(z[:, None])[:, 0]
            for layer, z in outputs.items()
        }
    found = {layer: z.clone() for layer, z in outputs.items()}
    for layer, head in heads:
        if (layer, head) not in source:
            raise ValueError(f"source has nothing for the head {layer}.{head}, which is cut")
        given, shape = source[layer, head], found[layer][:, head].shape
        if given.shape != shape:
            raise ValueError(f"the head {layer}.{head} hands on {list(shape)}, source has {list(given.shape)} for it")
        found[layer][:, head] = given
    return found


def _direct(ends: Ends, before: Seen, frozen: Frozen, instead: Instead) -> dict[int, Float[Tensor, "head row"]]:
    """By layer, the direct effects of its heads."""
    found = {}
    for layer, replaced in instead.items():
        lost = {ends.points.heads[layer]: before[ends.points.heads[layer]] - replaced}
        parts, added = of_attention(ends.model, ends.points, layer, before | lost)
        found[layer] = frozen.shares(added[[part.kind == "head" for part in parts]])
    return found


def _edits(ends: Ends, cut: Sequence[Head], instead: Instead) -> list[tuple[str, Edit]]:
    def edit(layer: int, heads: list[int]) -> Edit:
        def replaced(outputs: Float[Tensor, "row pos head d_head"], rows: slice) -> Tensor:
            outputs = outputs.clone()
            outputs[:, -1, heads] = instead[layer][rows][:, heads].to(outputs.dtype)
            return outputs

        return replaced

    by_layer: dict[int, list[int]] = {}
    for layer, head in cut:
        by_layer.setdefault(layer, []).append(head)
    return [(ends.points.heads[layer], edit(layer, heads)) for layer, heads in by_layer.items()]
