"""Interchange interventions: does a subspace carry a variable, or would any subspace do?

A run on a base prompt takes over, in a subspace of one residual-stream entry, the coordinates of a run on a source
prompt. If the model then answers as a causal model of the task does with one variable set to its value in the source,
the subspace carries that variable (Geiger et al. 2021, arXiv:2106.02997). The subspace is learned by distributed
alignment search, which fits whatever it is asked to where it can (Geiger et al. 2024, arXiv:2303.02536), so three
controls belong to every result: arbitrary labels, a model with random weights, and a random subspace that moves the
activation as far.

After a token that occurred before, this model writes what followed it, one of four tokens here. All that the embedding
of that token says of the answer is in three directions of it:

>>> import torch
>>> from mechlib import zoo
>>> model = zoo.load("code-2l", device="cpu")
>>> draw = torch.Generator().manual_seed(0)
>>> classes = torch.tensor([400, 700, 1100, 1500])
>>> prompts = torch.randint(300, 2000, (2, 48, 8), generator=draw)
>>> answers = torch.randint(4, (2, 48), generator=draw)
>>> prompts[:, :, 3], prompts[:, :, -1] = classes[answers], prompts[:, :, 2]
>>> result = interchange(model, *prompts, answers[1], classes, entry=0, at=3, rank=3, epochs=30, lr=0.1)
>>> result.held_out[WHOLE]
1.0
>>> result.held_out[LEARNED] > 0.1 + max(result.held_out[control] for control in (PLACEBO, ARBITRARY, UNTRAINED))
True
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge, untrained
from mechlib.bridge.interchange import (
    DASResult,
    NormMatchedPlacebo,
    SubspaceInterchange,
    arbitrary_targets,
    collect_activations,
    fit_das,
    intervened_logits,
    random_basis,
)
from mechlib.stats import Table, table
from mechlib.stream.hooks import hook_name
from mechlib.stream.inputs import checked_ids, checked_positions, checked_tokens
from mechlib.stream.running import at_rest

Places = int | Sequence[int] | Int[Tensor, " pair"]

LEARNED, WHOLE, NOTHING = "learned subspace", "whole vector", "nothing exchanged"
PLACEBO, ARBITRARY, UNTRAINED = "random subspace, as far", "arbitrary labels", "random weights"


@dataclass(frozen=True)
class InterchangeResult:
    """The share of pairs, from 0 to 1, in which the answer is the one wanted, by what was exchanged."""

    held_out: Mapping[str, float]
    """Of pairs that nothing was learned from: the subspace that was learned; the whole vector, which no subspace
    exceeds by much; nothing, the answers that are right as they are; and the three controls."""
    fitted: Mapping[str, float]
    """Of the pairs that it was learned from: the subspace, the one for arbitrary labels, and that of the model with
    random weights."""
    placebos: Float64[Tensor, " placebo"]
    """The share of held-out pairs for each random subspace, ``[placebo]``; ``held_out`` has their mean."""
    basis: Float[Tensor, "d_model rank"]
    """Of the learned subspace, orthonormal, ``[d_model, rank]``."""
    losses: tuple[float, ...]
    """Mean loss of each epoch of learning it, in nats."""
    chance: float
    """One over the number of classes."""

    def table(self) -> Table:
        """The shares side by side."""
        rows: dict[object, list] = {name: [self.fitted.get(name), share] for name, share in self.held_out.items()}
        return table(rows, ["fitted", "held out"], head="exchanged", fmt=".2f")

    def __str__(self) -> str:
        return str(self.table())


@torch.inference_mode(False)
def interchange(
    model: TransformerBridge,
    base: Int[Tensor, "pair pos"],
    source: Int[Tensor, "pair pos"],
    targets: Int[Tensor, " pair"],
    classes: Int[Tensor, " class"],
    *,
    entry: int,
    rank: int,
    at: Places = -1,
    source_at: Places | None = None,
    answer_at: Places = -1,
    held_out: float = 0.5,
    epochs: int = 20,
    lr: float = 1e-2,
    placebos: int = 10,
    seed: int = 0,
) -> InterchangeResult:
    """Learn a subspace of one entry whose exchange gives the wanted answers, and set it beside its controls.

    The answer is the largest logit among ``classes`` after the token at ``answer_at``. Through the interchange
    interventions of TransformerLens, whose optimiser and controls these are. The controls are learned from the same
    pairs with the same rank and number of steps. Arbitrary labels are one class for every source prompt, drawn for each
    one: on pairs held out they can be right only where a source occurs in both parts.

    The model's weights, modes and hooks are left as they were; the model with random weights has no hooks of a caller.

    Args:
        base, source: token ids, one pair to a row. Shorter prompts are filled up behind with any token, which a causal
            model never sees from the positions that are named.
        targets: for each pair the number of the class that is to be answered.
        classes: the token id of each class.
        entry: of the residual stream, at position ``at`` of the base and ``source_at`` (``at`` when left out) of the
            source: one position for all pairs, or one for each of them.
        answer_at: the position of the base whose logits are read, the last when left out; in the same forms.
        rank: dimensions of the subspace, from 1 to ``d_model``.
        held_out: share of the pairs, the last ones, that nothing is learned from.
        epochs: passes over the others, in batches of up to 128 pairs; ``lr`` is the rate of Adam.
        placebos: number of random subspaces.
        seed: of all draws.

    Raises:
        TypeError: if tokens, targets or classes are no integers.
        ValueError: if prompts do not fit the model or are not as many; if there are not at least two classes, or one
            target of them for each pair; if a position, entry or rank is out of range; if no pair is left to learn
            from, or none to be held out; if ``epochs`` or ``placebos`` is below 1; if logits are NaN.
    """
    places = {"at": at, "source_at": at if source_at is None else source_at, "answer_at": answer_at}
    pairs = _checked(model, base, source, targets, classes, places, held_out)
    if not 1 <= rank <= model.cfg.d_model:
        raise ValueError(f"rank is from 1 to {model.cfg.d_model} (d_model), not {rank}")
    if epochs < 1 or placebos < 1:
        raise ValueError(f"epochs and placebos are at least 1, not {epochs} and {placebos}")
    point = hook_name(model, entry)
    arbitrary = arbitrary_targets([tuple(row) for row in pairs.source.tolist()], len(pairs.classes), seed)
    fit, every = _Fit(point, rank, epochs, lr, seed), torch.eye(model.cfg.d_model)
    with at_rest(model):
        other = untrained(model, seed=seed)
        right, right_of_other = (_shares_of(each, point, pairs) for each in (model, other))
        nothing = right(SubspaceInterchange(every, strength=0.0), pairs.targets)
        learned = fit(model, pairs, pairs.targets)
        of_labels = fit(model, pairs, arbitrary)
        of_other = fit(other, pairs, pairs.targets)
    moved = SubspaceInterchange(learned.basis)
    random = [NormMatchedPlacebo(moved, random_basis(model.cfg.d_model, rank, seed + i)) for i in range(placebos)]
    shares = torch.tensor([right(placebo, pairs.targets)[1] for placebo in random], dtype=torch.float64)
    both = {
        LEARNED: right(moved, pairs.targets),
        WHOLE: right(SubspaceInterchange(every), pairs.targets),
        NOTHING: nothing,
        ARBITRARY: right(SubspaceInterchange(of_labels.basis), arbitrary),
        UNTRAINED: right_of_other(SubspaceInterchange(of_other.basis), pairs.targets),
    }
    return InterchangeResult(
        held_out={name: of_each[1] for name, of_each in both.items()} | {PLACEBO: shares.mean().item()},
        fitted={name: both[name][0] for name in (LEARNED, ARBITRARY, UNTRAINED)},
        placebos=shares,
        basis=learned.basis,
        losses=learned.losses,
        chance=1 / len(pairs.classes),
    )


@dataclass(frozen=True)
class _Pairs:
    base: Int[Tensor, "pair pos"]
    source: Int[Tensor, "pair pos"]
    targets: Int[Tensor, " pair"]
    classes: Int[Tensor, " class"]
    at: Int[Tensor, " pair"]
    source_at: Int[Tensor, " pair"]
    answer_at: Int[Tensor, " pair"]
    n_fitted: int

    @property
    def base_inputs(self) -> Int[Tensor, "pair input"]:
        """The tokens, and last the position where the answer is read: a run takes some of the rows."""
        return torch.cat([self.base, self.answer_at[:, None]], 1)

    @property
    def source_inputs(self) -> Int[Tensor, "pair input"]:
        """The tokens, and a position where nothing is read."""
        return torch.cat([self.source, torch.zeros_like(self.source[:, :1])], 1)

    def answers(self, model: TransformerBridge) -> Callable[[Tensor], Float[Tensor, "pair class"]]:
        """The logits of the classes, of such inputs."""

        def read(inputs: Int[Tensor, "pair input"]) -> Float[Tensor, "pair class"]:
            tokens, place = inputs[:, :-1], inputs[:, -1]

            def at_place(residual: Tensor, hook: object) -> Tensor:
                return residual[torch.arange(len(residual), device=residual.device), place][:, None]

            return model.run_with_hooks(tokens, fwd_hooks=[("unembed.hook_in", at_place)])[:, 0, self.classes]

        return read


@dataclass(frozen=True)
class _Fit:
    """How a subspace is learned, the same for the result and its controls."""

    point: str
    rank: int
    epochs: int
    lr: float
    seed: int

    def __call__(self, model: TransformerBridge, pairs: _Pairs, targets: Int[Tensor, " pair"]) -> DASResult:
        part = slice(pairs.n_fitted)
        with torch.enable_grad():
            return fit_das(
                model,
                self.point,
                pairs.base_inputs[part],
                pairs.source_inputs[part],
                targets[part],
                pairs.answers(model),
                rank=self.rank,
                base_positions=pairs.at[part],
                source_positions=pairs.source_at[part],
                epochs=self.epochs,
                lr=self.lr,
                seed=self.seed,
            )


def _shares_of(
    model: TransformerBridge, point: str, pairs: _Pairs
) -> Callable[[Callable[[Tensor, Tensor], Tensor], Tensor], tuple[float, float]]:
    """``shares(step, targets)``: how often a step gives the target, of the pairs fitted and of those held out."""
    answers = pairs.answers(model)
    with at_rest(model):
        sources = collect_activations(model, point, pairs.source_inputs, answers, positions=pairs.source_at)

    def shares(step: Callable[[Tensor, Tensor], Tensor], targets: Int[Tensor, " pair"]) -> tuple[float, float]:
        with at_rest(model):
            logits = intervened_logits(model, point, step, pairs.base_inputs, sources, answers, positions=pairs.at)
        if len(without := logits.isnan().any(-1).nonzero()):
            raise ValueError(f"the logits of the classes are NaN for pair {int(without[0])}: it has no answer")
        right = (logits.argmax(-1) == targets.cpu()).double()
        return right[: pairs.n_fitted].mean().item(), right[pairs.n_fitted :].mean().item()

    return shares


def _checked(
    model: TransformerBridge,
    base: Tensor,
    source: Tensor,
    targets: Tensor,
    classes: Tensor,
    places: Mapping[str, Places],
    held_out: float,
) -> _Pairs:
    base, source = checked_tokens(model, base), checked_tokens(model, source)
    if len(base) != len(source):
        raise ValueError(
            f"base and source prompts belong together row by row; their shapes are {tuple(base.shape)} and "
            f"{tuple(source.shape)}"
        )
    ids = checked_ids("classes", classes, model.cfg.d_vocab).to(base.device)
    if ids.dim() != 1 or len(ids.unique()) != ids.numel() or len(ids) < 2:
        raise ValueError(f"classes are at least two different token ids, [class], not {ids.tolist()}")
    wanted = checked_ids("targets", targets, len(ids))
    if wanted.shape != base.shape[:1]:
        raise ValueError(
            f"targets are one class for each of the {len(base)} pairs; their shape is {tuple(wanted.shape)}"
        )
    n_fitted = len(base) - round(held_out * len(base))
    if not 0 < n_fitted < len(base):
        raise ValueError(
            f"held_out={held_out} of {len(base)} pairs leaves {n_fitted} to learn from: some are wanted for both"
        )
    of_pairs = {name: _of_pairs(name, given, source if "source" in name else base) for name, given in places.items()}
    return _Pairs(base, source, wanted, ids, **of_pairs, n_fitted=n_fitted)


def _of_pairs(name: str, given: Places, tokens: Int[Tensor, "pair pos"]) -> Int[Tensor, " pair"]:
    """A position of every row."""
    found = checked_positions(given, tokens.shape[1]).to(tokens.device)
    if len(found) not in (1, len(tokens)) or isinstance(given, slice) or given is None:
        raise ValueError(f"{name} is one position, or one for each of the {len(tokens)} pairs, not {given!r}")
    return found.expand(len(tokens))
