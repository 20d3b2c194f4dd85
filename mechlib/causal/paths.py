"""Path patching: whether one head or MLP matters for what another head reads, or straight for the logits.

The output of a head or an MLP is replaced, and everything that stands between it and the receivers is frozen at what it
was, so that the change runs along the paths between the two alone (Wang et al. 2023, "Interpretability in the Wild",
arXiv:2211.00593; Goldowsky-Dill et al. 2023, arXiv:2304.05969). What the receivers then read is put into a run in which
nothing else is touched and everything behind them follows.

The induction heads of this model read, in their keys, what a head of the layer below has moved there from the position
before:

>>> import torch
>>> from mechlib import zoo
>>> from mechlib.causal.metrics import logit_difference
>>> model = zoo.load("code-2l", device="cpu")
>>> clean = torch.randint(300, 2000, (1, 12), generator=torch.Generator().manual_seed(0))[:, [*range(12), 5]]
>>> corrupt = clean.clone()
>>> corrupt[:, 5] = 1234
>>> metric = logit_difference(clean[:, 6], clean[:, 7])
>>> into = {"receivers": [(1, 1), (1, 2)], "inputs": "k"}
>>> paths = path_patching(model, clean, corrupt, metric, **into, progress=False)
>>> paths.largest(1)
[{'layer': 0, 'head': 3}]
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.causal.cells import Cells, checked_cells
from mechlib.causal.metrics import Metric
from mechlib.causal.pairs import Into, Pair, Source, checked_pair
from mechlib.causal.replacements import given
from mechlib.causal.results import PatchingResult
from mechlib.causal.sites import SITES, Unit, checked_heads, checked_site
from mechlib.causal.sources import Caught, Mask, caught_on
from mechlib.causal.sweep import HooksOf, metric_of_run, metrics_of_variants
from mechlib.places import Head
from mechlib.stream.hooks import Hook, InputKind, head_input_hooks, mlp_output_hooks
from mechlib.stream.inputs import Positions
from mechlib.stream.running import run_reading

Hooks = list[tuple[str, Hook]]
Sender = Literal["head", "mlp"]


def path_patching(
    model: TransformerBridge,
    clean: Int[Tensor, "row pos"],
    corrupt: Int[Tensor, "row pos"] | None,
    metric: Metric,
    *,
    site: Sender = "head",
    receivers: Literal["logits"] | Iterable[Unit] = "logits",
    inputs: str = "q",
    through_mlps: bool = False,
    senders: Iterable[Unit] | None = None,
    source: Source = "clean",
    into: Into | None = None,
    positions: Positions = None,
    at: int | None = -1,
    reference: Int[Tensor, "row pos"] | None = None,
    generator: torch.Generator | None = None,
    attention_mask: Mask = None,
    progress: bool = True,
) -> PatchingResult:
    """The metric with the paths from one head, or one MLP, to the receivers patched, for every one that can send.

    With ``receivers="logits"`` the change runs straight to the unembedding, through the final norm. Norms are never
    frozen: a receiver reads the changed stream through its own. Costs one run of each row for every sender to the
    logits; to heads two besides, of which one goes up to the last receiver and one is made for each of their layers.

    Agrees with ``get_act_patch_direct_path`` of ``transformer_lens.patching``, which needs inputs of heads split, so no
    model of the book's own, and refuses keys and values that heads share. Here the change of a receiver's key or value
    is its own: the other heads of its group go on with what they had.

    Args:
        site: what sends: the output of a ``"head"``, or what an ``"mlp"`` adds.
        receivers: the heads ``(layer, head)`` that read the change, in all their positions, or the logits.
        inputs: what of the receiving heads reads it: their queries ``"q"``, keys ``"k"``, values ``"v"``, or several
            (``"qkv"``).
        through_mlps: let MLPs on the way answer to the change, as Wang et al. do; otherwise they are frozen too.
        senders: the heads, or the layers of the MLPs, to patch; all when left out. Those with no receiver in a later
            layer are NaN.
        positions: of the senders, patched together; all when left out.

    Other arguments and errors are those of :func:`mechlib.causal.activation_patching`, with:

    Raises:
        ValueError: if there is no such receiver, none is named, or no sender is below one; for other ``inputs`` or
            another ``site``.
    """
    if site not in get_args(Sender):
        raise ValueError(f"site is one of {', '.join(get_args(Sender))}, whose outputs run along paths, not {site!r}")
    place = checked_site(model, site)
    pair = checked_pair(model, clean, corrupt, source=source, into=into, at=at, attention_mask=attention_mask)
    to_logits = isinstance(receivers, str) and receivers == "logits"
    readers = None if to_logits else _checked_readers(model, receivers, inputs)
    cells = checked_cells(model, place, pair, senders, positions, by_position=False)
    if readers is not None:
        cells = readers.within_reach(cells)
    new = given(model, place, pair, reference, generator)
    along = _Frozen.of(model, pair, through_mlps=through_mlps).hooks_of(place.points(model), cells, new.values)
    hooks_of = along if readers is None else readers.hooks_of(model, pair, along)
    values = metrics_of_variants(model, pair, len(cells.units), hooks_of, metric, progress=progress)
    result = cells.result(model, pair, metric, values, metric_of_run(model, pair, metric), new)
    to = "logits" if readers is None else f"{inputs} of {', '.join(f'{layer}.{head}' for layer, head in readers.heads)}"
    return replace(result, title=f"paths {'from MLPs ' * (site == 'mlp')}to {to}: {source} into {pair.into}")


@dataclass(frozen=True)
class _Frozen:
    """What attention, and MLPs where they are frozen, put out in the run that is patched."""

    outputs: Caught
    points: list[str]

    @classmethod
    def of(cls, model: TransformerBridge, pair: Pair, *, through_mlps: bool) -> _Frozen:
        mlps = [] if through_mlps else mlp_output_hooks(model, every=False)
        points = [*SITES["head"].points(model), *mlps]
        return cls(caught_on(model, dict.fromkeys(points, torch.clone), pair.tokens, pair.mask), points)

    def hooks_of(self, points: list[str], cells: Cells, new: list[Tensor]) -> HooksOf:
        """Hooks that freeze every head and MLP but the one that sends, which they replace."""
        patched = cells.hooks_of(points, new)

        def hooks_of(variant: Tensor, row: Tensor) -> Hooks:
            freezing = [(name, _putting(self.outputs[name][row])) for name in self.points]
            return [*freezing, *patched(variant, row)]

        return hooks_of


@dataclass(frozen=True)
class _Readers:
    """The heads that read the change, and what of them does."""

    heads: tuple[Head, ...]
    points: dict[int, list[str]]
    """For each of their layers, in ascending order, where the inputs pass that read."""
    outputs: list[str]
    """For every layer of the model, where the outputs of its heads pass."""
    n_heads: int

    def within_reach(self, cells: Cells) -> Cells:
        """The senders of which a path leads to one of these heads.

        Raises:
            ValueError: if there is none.
        """
        last = max(self.points)
        if not (below := cells.units[:, 0] < last).any():
            raise ValueError(f"no path leads from the senders to the receivers: none is below layer {last}")
        return cells.where(below)

    def hooks_of(self, model: TransformerBridge, pair: Pair, along: HooksOf) -> HooksOf:
        """Hooks that give the receivers the outputs which they have when they read the change.

        Of a first run, with everything frozen, their inputs are kept. A second one for each of their layers has these
        inputs and nothing else changed but the receivers below, and of it their outputs are kept: so the change stays
        theirs where their keys and values are shared by other heads.
        """

        def hooks_of(variant: Tensor, row: Tensor) -> Hooks:
            tokens, mask = pair.tokens[row], None if pair.mask is None else pair.mask[row]
            read = Caught(dict.fromkeys((name for names in self.points.values() for name in names), torch.clone))
            _run_up_to(model, tokens, [*along(variant, row), *read.hooks], mask, self.outputs[max(self.points)])
            found: Hooks = []
            for layer, names in self.points.items():
                point, chosen = self.outputs[layer], [head for at, head in self.heads if at == layer]
                outputs = Caught({point: torch.clone})
                reading = [(name, self._putting_heads(read[name], chosen)) for name in names]
                _run_up_to(model, tokens, [*found, *reading, *outputs.hooks], mask, point)
                found.append((point, self._putting_heads(outputs[point], chosen)))
            return found

        return hooks_of

    def _putting_heads(self, values: Float[Tensor, "row pos group d_head"], heads: list[int]) -> Hook:
        """Replaces what belongs to some heads: their own, or that of the group whose keys and values they share."""
        groups = [head * values.shape[2] // self.n_heads for head in heads]

        def put(activation: Tensor, hook: object) -> Tensor:
            changed = activation.clone()
            changed[:, :, groups] = values[:, :, groups]
            return changed

        return put


def _checked_readers(model: TransformerBridge, receivers: str | Iterable[Unit], inputs: str) -> _Readers:
    if isinstance(receivers, str):
        raise ValueError(f'receivers are heads (layer, head), or "logits", not {receivers!r}')
    heads = tuple(checked_heads(model, receivers, "receivers"))
    if not inputs or set(inputs) - set("qkv"):
        raise ValueError(f'inputs are one or several of "q", "k" and "v", not {inputs!r}')
    every = [head_input_hooks(model, kind) for kind in get_args(InputKind) if kind in inputs]
    points = {layer: [names[layer] for names in every] for layer in sorted({layer for layer, _ in heads})}
    return _Readers(heads, points, SITES["head"].points(model), model.cfg.n_heads)


class _Enough(Exception):
    """Ends a forward pass of which nothing more is wanted."""


def _run_up_to(model: TransformerBridge, tokens: Tensor, hooks: Hooks, mask: Tensor | None, point: str) -> None:
    with suppress(_Enough):
        run_reading(model, tokens, [*hooks, (point, _stop)], mask)


def _stop(activation: Tensor, hook: object) -> None:
    raise _Enough


def _putting(values: Tensor) -> Hook:
    return lambda activation, hook: values.to(activation.dtype)
