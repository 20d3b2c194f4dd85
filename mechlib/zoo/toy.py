"""Models so small that they learn induction while the reader waits, and the one-layer control that never does.

The task is the second copy of a block of tokens that were drawn at random: nothing but the first copy predicts it. Each
row has a period of its own, since with one period for all a head that always looks back by the same distance does as
well, and that is no induction; :func:`train` offers the single period too, so that the mistake can be made on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from mechlib import bridge
from mechlib.zoo.decoder import Decoder
from mechlib.zoo.evaluation import induction_score

D_VOCAB = 64
N_CTX = 64
LONGEST = N_CTX // 2
"""The longest period of which a context holds two copies."""

ROWS, RATE, WARMUP = 32, 4e-3, 50
MEASURED_ROWS, MEASURED_SEED = 64, 1_906

Parameters = dict[str, Tensor]


@dataclass(frozen=True)
class Toy:
    """One trained toy and how it came to be. Curves are measured on rows that are in no training batch."""

    model: bridge.TransformerBridge
    seed: int
    steps: Int[Tensor, " point"]
    """Numbers of updates at which the curves were measured, from 0."""
    loss: Float[Tensor, " point"]
    """Nats per token on what an earlier copy predicts; log 64 = 4.16 is that of a uniform guess."""
    accuracy: Float[Tensor, " point"]
    """Share of those tokens that get the highest logit, 0 to 1."""
    induction: Float[Tensor, " point"]
    """Attention that the best head puts on what followed the same token earlier, a mean over the queries that have
    such a target, 0 to 1."""


def train(
    n_layers: int,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    period: int | tuple[int, int] = (8, LONGEST),
    steps: int = 500,
    every: int = 20,
) -> tuple[Toy, ...]:
    """Train one toy for every seed, all at once: attention only, 64 tokens, ``d_model`` 32, one head a layer.

    Args:
        seeds: each sets the initial weights and the batches of one model.
        period: the first and the last of the periods that rows are drawn with, or one period for all rows.
        steps: updates on 32 rows of 64 tokens each.
        every: steps from one point of the curves to the next.

    Raises:
        ValueError: if there is no seed, no layer, no step, or a period outside 2 to 32.
    """
    low, high = (period, period) if isinstance(period, int) else period
    if not 2 <= low <= high <= LONGEST:
        raise ValueError(f"periods lie between 2 and {LONGEST}, half the context of {N_CTX}, not {period}")
    if n_layers < 1 or not seeds or steps < 1 or every < 1:
        raise ValueError(
            f"at least one layer, seed and step: not n_layers={n_layers}, seeds={seeds}, steps={steps}, every={every}"
        )
    shape = shape_of(n_layers)
    measured = repeats(MEASURED_ROWS, low, high, torch.Generator().manual_seed(MEASURED_SEED))
    points, curves = [], []
    for step, models in _trained(shape, seeds, low, high, steps):
        if step % every == 0 or step == steps:
            points.append(step)
            curves.append(torch.tensor([_measure(model, *measured) for model in models]))
    curve = torch.stack(curves, -1)
    return tuple(
        Toy(bridge.native(shape, model.state_dict(), device="cpu"), seed, torch.tensor(points), *columns)
        for model, seed, columns in zip(models, seeds, curve, strict=True)
    )


def shape_of(n_layers: int) -> bridge.Shape:
    """The sizes of a toy."""
    return bridge.Shape(
        n_layers=n_layers, d_model=32, n_heads=1, d_head=32, d_mlp=0, n_ctx=N_CTX, d_vocab=D_VOCAB, tied=False
    )


def repeats(
    n_rows: int, low: int, high: int, generator: torch.Generator
) -> tuple[Int[Tensor, "row pos"], Int[Tensor, "row 1"]]:
    """Rows of ``N_CTX + 1`` tokens and the period of each: distinct random tokens, repeated to the end of the row.

    Periods are uniform from ``low`` to ``high``.
    """
    periods = torch.randint(low, high + 1, (n_rows, 1), generator=generator)
    blocks = torch.rand(n_rows, D_VOCAB, generator=generator).argsort(1)
    return blocks.gather(1, torch.arange(N_CTX + 1) % periods), periods


def _trained(
    shape: bridge.Shape, seeds: Sequence[int], low: int, high: int, steps: int
) -> Iterator[tuple[int, list[Decoder]]]:
    """The models after 0, 1, ... ``steps`` updates."""
    models = [Decoder(shape, seed) for seed in seeds]
    stacked, _ = stack_module_state(models)
    parameters = {name: value.detach().requires_grad_() for name, value in stacked.items()}
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    optimiser = torch.optim.AdamW(parameters.values(), betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    yield 0, models
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = RATE * min(1.0, (step + 1) / WARMUP)
        rows, periods = map(torch.stack, zip(*(repeats(ROWS, low, high, g) for g in generators), strict=True))
        optimiser.zero_grad(set_to_none=True)
        _losses(models[0], parameters, rows, periods).sum().backward()
        _clip(parameters)
        optimiser.step()
        for index, model in enumerate(models):
            model.load_state_dict({name: value[index].detach() for name, value in parameters.items()})
        yield step + 1, models


def _losses(
    model: Decoder, parameters: Mapping[str, Tensor], rows: Int[Tensor, "seed row pos"], periods: Tensor
) -> Float[Tensor, " seed"]:
    """Each model's loss on its own rows, in one pass over all models."""
    logits = vmap(lambda own, tokens: functional_call(model, own, (tokens,)))(parameters, rows[..., :-1])
    losses = F.cross_entropy(logits.movedim(-1, 1), rows[..., 1:], reduction="none")
    predictable = torch.arange(N_CTX) >= periods
    return (losses * predictable).sum((1, 2)) / predictable.sum((1, 2))


def _clip(parameters: Mapping[str, Tensor]) -> None:
    """Scale each model's gradient to a norm of 1 at most."""
    gradients = [p.grad for p in parameters.values() if p.grad is not None]
    norms = sum((gradient.flatten(1).square().sum(1) for gradient in gradients), torch.zeros(())).sqrt()
    for gradient in gradients:
        gradient.div_(norms.clamp(min=1).view(-1, *[1] * (gradient.dim() - 1)))


@torch.no_grad()
def _measure(model: Decoder, rows: Int[Tensor, "row pos"], periods: Int[Tensor, "row 1"]) -> tuple[float, ...]:
    """Loss, accuracy and the best head's induction."""
    tokens, targets = rows[:, :-1], rows[:, 1:]
    predictable = torch.arange(N_CTX) >= periods
    logits = model(tokens)[predictable]
    return (
        F.cross_entropy(logits, targets[predictable]).item(),
        (logits.argmax(-1) == targets[predictable]).float().mean().item(),
        induction_score(model, tokens),
    )
