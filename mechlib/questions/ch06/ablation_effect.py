"""Question ch06.ablation_effect: what the second copy costs without some heads, and without as many others."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from itertools import combinations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from mechlib.checks.question import Case, Field, Misconception, Question
from mechlib.questions.drawing import distinct, integer, normal, tokens

__all__ = ["QUESTION"]

Residual = Float[Tensor, "batch pos d_model"]
Outputs = Float[Tensor, "head batch pos d_model"]
Losses = Float[Tensor, "batch target"]
Tokens = Int[Tensor, "batch pos"]


def ablation_effect(
    residual: Residual,
    out: Outputs,
    W_U: Float[Tensor, "d_model d_vocab"],
    b_U: Float[Tensor, " d_vocab"],
    tokens: Tokens,
    period: int,
    heads: Sequence[int],
) -> tuple[float, float]:
    """The rise of the loss on the second copy by mean-ablating ``heads``, and in the mean by as many others."""

    def loss(stream):
        return second_copy(losses(stream, W_U, b_U, tokens), period)

    intact = loss(residual)

    def rise(chosen):
        return float(loss(without(residual, out, chosen)) - intact)

    return rise(heads), control(rise, len(out), heads)


def control(rise: Callable[[Sequence[int]], float], n_heads: int, heads: Sequence[int]) -> float:
    """The mean of ``rise`` over all sets of as many heads as in ``heads``, of those that are not in it."""
    others = [head for head in range(n_heads) if head not in heads]
    return statistics.fmean(rise(chosen) for chosen in combinations(others, len(heads)))


def without(residual: Residual, out: Outputs, heads: Sequence[int]) -> Residual:
    """The residual stream with each head's output replaced by its mean over rows and positions."""
    lost = out - out.mean((1, 2), keepdim=True)
    return residual - lost[list(heads)].sum(0)


def losses(residual: Residual, W_U: Tensor, b_U: Tensor, tokens: Tokens) -> Losses:
    """The loss in nats on every token but the first."""
    logits = F.layer_norm(residual, residual.shape[-1:]) @ W_U + b_U
    return F.cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none")


def second_copy(loss: Losses, period: int) -> Tensor:
    """The mean loss on the last ``period - 1`` tokens: the second copy without its first token."""
    return loss[:, 1 - period :].mean()


def cases(generator: torch.Generator) -> tuple[Case, ...]:
    """One head, two that do the same, no head, a single row, blocks of two tokens, heads that mislead, and a stream so
    small that the epsilon of its norm counts.

    The heads that mislead push the next token down and all others push it up: without them the loss falls, and without
    two others it rises by more than a nat.
    """
    small = _case("a stream hardly larger than the norm's epsilon", generator, n_heads=1)
    for name in ("residual", "out"):
        small.inputs[name].mul_(2e-3)
    return (
        _case("one head, and three tokens before the blocks", generator, n_heads=1, before=3),
        _case("two heads that do the same", generator, n_heads=2, together=True),
        _case("no head at all", generator, n_heads=0),
        _case("two heads, and one token before the blocks", generator, n_heads=2, before=1),
        _case("a single row", generator, n_heads=2, batch=1),
        _case("blocks of two tokens", generator, n_heads=2, batch=3, period=2),
        _case("heads that mislead", generator, n_heads=2, strength=-2.5, others=2.5),
        small,
    )


def _case(
    description: str,
    generator: torch.Generator,
    *,
    n_heads: int,
    batch: int | None = None,
    period: int | None = None,
    before: int = 0,
    together: bool = False,
    strength: float = 2.0,
    others: float | None = None,
) -> Case:
    """Each head pushes the next token of the second copy up by its own strength, beside noise and a constant."""
    batch = integer(generator, 3, 4) if batch is None else batch
    period = integer(generator, 6, 7) if period is None else period
    head, d_model, d_vocab = (integer(generator, low, low + 1) for low in (5, 8, 60))
    ids = tokens(generator, d_vocab, batch, period).repeat(1, 2)
    ids = torch.cat([tokens(generator, d_vocab, batch, before), ids], 1)
    pos = ids.shape[1]
    W_U = normal(generator, d_model, d_vocab)
    heads = distinct(generator, n_heads, 0, head - 1)
    pushes = 0.5 * normal(generator, head) if others is None else torch.full((head,), others)
    pushes[heads] = 0.3 if together else strength
    out = pushes[:, None, None, None] * W_U.T[ids.roll(-1, 1)]
    out = out * (torch.arange(pos) >= pos - period)[:, None]
    out += 0.7 * sum(normal(generator, *axes, d_model) for axes in ((head, 1, 1), (head, batch, 1), (head, 1, pos)))
    inputs = {
        "residual": out.sum(0) + normal(generator, batch, pos, d_model),
        "out": out,
        "W_U": W_U,
        "b_U": normal(generator, d_vocab),
        "tokens": ids,
        "period": period,
        "heads": heads,
    }
    return Case(description, inputs)


def _with(part=second_copy, stream=without, loss=losses, rise=torch.sub, wrap=None, control=control):
    """The reference with one step exchanged.

    These are: which losses count, what ablation leaves, how a loss is computed, how two losses are compared, what the
    rise of a set is made of, and what the control is.
    """

    def answer(residual, out, W_U, b_U, tokens, period, heads):
        intact = part(loss(residual, W_U, b_U, tokens), period)

        def of(chosen):
            return float(rise(part(loss(stream(residual, out, chosen), W_U, b_U, tokens), period), intact))

        of_set = wrap(of) if wrap else of
        return of_set(heads), control(of_set, len(out), heads)

    return answer


def _less(lost_of):
    """What ablation leaves, given what it takes from each head."""
    return lambda residual, out, heads: residual - lost_of(out)[list(heads)].sum(0)


def _others(n_heads, heads):
    return [head for head in range(n_heads) if head not in heads]


def _without_norm(residual, W_U, b_U, tokens):
    return F.cross_entropy((residual @ W_U + b_U)[:, :-1].mT, tokens[:, 1:], reduction="none")


def _without_bias(residual, W_U, b_U, tokens):
    return losses(residual, W_U, torch.zeros_like(b_U), tokens)


def _of_present_token(residual, W_U, b_U, tokens):
    logits = F.layer_norm(residual, residual.shape[-1:]) @ W_U + b_U
    return F.cross_entropy(logits[:, :-1].mT, tokens[:, :-1], reduction="none")


def _mean_of_all_sets(rise, n_heads, heads):
    return statistics.fmean(rise(chosen) for chosen in combinations(range(n_heads), len(heads)))


def norm_kept(residual, out, W_U, b_U, tokens, period, heads):
    variance, mean = torch.var_mean(residual, -1, correction=0, keepdim=True)

    def loss(residual, W_U, b_U, tokens):
        logits = (residual - mean) / (variance + 1e-5).sqrt() @ W_U + b_U
        return F.cross_entropy(logits[:, :-1].mT, tokens[:, 1:], reduction="none")

    return _with(loss=loss)(residual, out, W_U, b_U, tokens, period, heads)


def difference(*inputs):
    effect, by_others = ablation_effect(*inputs)
    return effect - by_others, by_others


MISCONCEPTIONS = {
    "zero_ablation": Misconception(
        _with(stream=_less(lambda out: out)),
        "this is what setting the heads' outputs to zero gives, which also takes away what they always add. Put their "
        "mean vectors there.",
    ),
    "mean_of_row": Misconception(
        _with(stream=_less(lambda out: out - out.mean(2, keepdim=True))),
        "your mean runs over the positions of each row only; it runs over all rows and positions.",
    ),
    "mean_of_position": Misconception(
        _with(stream=_less(lambda out: out - out.mean(1, keepdim=True))),
        "your mean runs over the rows at each position only; it runs over all rows and positions.",
    ),
    "mean_taken_away": Misconception(
        _with(stream=_less(lambda out: out.mean((1, 2), keepdim=True))),
        "you subtract the heads' mean outputs and keep the rest. It is the other way round: the mean stays, and what "
        "varies goes.",
    ),
    "mean_of_all_heads": Misconception(
        _with(stream=_less(lambda out: out - out.mean((0, 1, 2)))),
        "you put the mean over all heads in the place of each; a head keeps its own mean.",
    ),
    "others_ablated": Misconception(
        _with(stream=lambda residual, out, heads: without(residual, out, _others(len(out), heads))),
        "you keep the given heads and ablate all others; ablate the given ones.",
    ),
    "without_norm": Misconception(_with(loss=_without_norm), "the LayerNorm before the unembedding is missing."),
    "without_bias": Misconception(_with(loss=_without_bias), "b_U is missing from the logits."),
    "norm_kept": Misconception(
        norm_kept,
        "your LayerNorm keeps the mean and the variance of the intact run. The model would compute them again from the "
        "ablated stream.",
    ),
    "of_present_token": Misconception(
        _with(loss=_of_present_token),
        "your loss is that of the token at the position itself. Position p predicts the one at p + 1.",
    ),
    "first_copy": Misconception(
        _with(part=lambda loss, period: loss[:, :-period].mean()),
        "this is the loss on the first copy, which nothing in the context predicts; take the second.",
    ),
    "counted_from_the_front": Misconception(
        _with(part=lambda loss, period: loss[:, period:].mean()),
        "right where a row begins with the first block. Where other tokens stand before it, the second copy begins "
        "later: count from the end.",
    ),
    "all_tokens": Misconception(
        _with(part=lambda loss, period: loss.mean()),
        "your mean runs over both copies. Nothing predicts the first one: take the second copy only.",
    ),
    "first_token_too": Misconception(
        _with(part=lambda loss, period: loss[:, -period:].mean()),
        "you count the first token of the second copy. Nothing announces that the block starts again: leave it out.",
    ),
    "last_token_only": Misconception(
        _with(part=lambda loss, period: loss[:, -1].mean()),
        "this is the loss on the last token alone; take the mean over the second copy.",
    ),
    "summed": Misconception(
        _with(part=lambda loss, period: loss[:, 1 - period :].sum()),
        "you sum the losses; take their mean over rows and tokens.",
    ),
    "turned_round": Misconception(
        _with(rise=lambda ablated, intact: intact - ablated),
        "the sign is turned: the rise is the ablated loss less the intact one.",
    ),
    "loss_itself": Misconception(
        _with(rise=lambda ablated, intact: ablated), "these are the losses after ablation; take the intact one away."
    ),
    "ratio": Misconception(_with(rise=torch.div), "you divide the losses; asked for is their difference, in nats."),
    "in_bits": Misconception(
        _with(rise=lambda ablated, intact: (ablated - intact) / math.log(2)),
        "this is in bits; asked for are nats, the natural logarithm.",
    ),
    "probabilities": Misconception(
        _with(part=lambda loss, period: -second_copy((-loss).exp(), period)),
        "you compare probabilities of the right token; the loss is minus their logarithm.",
    ),
    "one_at_a_time": Misconception(
        _with(wrap=lambda rise: lambda heads: sum(rise([head]) for head in heads)),
        "you ablate one head after the other and add the effects. Two heads that do the same hide each other that way: "
        "ablate them together.",
    ),
    "mean_of_single": Misconception(
        _with(wrap=lambda rise: lambda heads: sum(rise([head]) for head in heads) / max(len(heads), 1)),
        "you ablate one head after the other and take the mean. Two heads that do the same hide each other that way: "
        "ablate them together.",
    ),
    "control_with_heads": Misconception(
        _with(control=_mean_of_all_sets),
        "your control draws from all heads, so the given ones are among them; draw from the others only.",
    ),
    "control_of_one": Misconception(
        _with(control=lambda rise, n, heads: statistics.fmean(rise([head]) for head in _others(n, heads))),
        "your control ablates one head at a time; it ablates as many heads as were given.",
    ),
    "control_of_all": Misconception(
        _with(control=lambda rise, n, heads: rise(_others(n, heads))),
        "your control ablates all other heads at once; it ablates as many heads as were given.",
    ),
    "control_of_largest": Misconception(
        _with(control=lambda rise, n, heads: max(map(rise, combinations(_others(n, heads), len(heads))))),
        "your control is the largest effect of the other sets; asked for is their mean.",
    ),
    "results_swapped": Misconception(
        lambda *inputs: ablation_effect(*inputs)[::-1],
        "the two results are swapped: first the given heads' effect, then the control.",
    ),
    "difference": Misconception(
        difference, "you take the control off the effect. Return the two side by side, so that both can be seen."
    ),
}

QUESTION = Question(
    id="ch06.ablation_effect",
    points=2,
    title="Ablation against a control",
    hints=(
        "Write the loss as a function of the residual stream first. Which stream would there be if a head always wrote "
        "its mean?",
        "Ablating adds, for each of the heads, its mean over rows and positions less its output. The loss is that of "
        "the last period - 1 tokens, predicted one position earlier. For the control, itertools.combinations gives all "
        "sets of len(heads) of the other heads, as tuples (index tensors with lists): take the mean of their rises.",
        "mean = out.mean((1, 2), keepdim=True); stream = residual + (mean - out)[list(chosen)].sum(0); logits = "
        "layer_norm(stream, stream.shape[-1:]) @ W_U + b_U; the loss is cross_entropy(logits[:, -period:-1].flatten(0, "
        "1), tokens[:, 1 - period:].flatten()).",
    ),
    reference=ablation_effect,
    cases=cases,
    axes={
        "residual": "batch pos d_model",
        "out": "head batch pos d_model",
        "W_U": "d_model d_vocab",
        "b_U": "d_vocab",
        "tokens": "batch pos",
    },
    fields=tuple(Field(name, atol=2e-5, rtol=1e-5) for name in ("effect", "control")),
    misconceptions=MISCONCEPTIONS,
)
