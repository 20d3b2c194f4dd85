"""What is measured of a model while it trains and after: losses on text, and what it gains from its context."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mechlib.bridge import Shape
from mechlib.patterns import pattern_mask
from mechlib.zoo.decoder import Decoder


def windows(stream: Int[Tensor, " pos"], length: int) -> Int[Tensor, "row pos"]:
    """A stream cut into rows of ``length`` tokens, the incomplete last one left out."""
    return stream[: len(stream) // length * length].view(-1, length)


@torch.no_grad()
def token_losses(model: nn.Module, rows: Int[Tensor, "row pos"], *, batch: int = 32) -> Float[Tensor, "row target"]:
    """The loss in nats on every token of ``rows`` but the first, in full precision; ``model`` maps tokens to logits."""
    device = next(model.parameters()).device
    losses = []
    for chunk in rows.to(device, torch.long).split(batch):
        logits = model(chunk[:, :-1]).float()
        losses.append(F.cross_entropy(logits.transpose(1, 2), chunk[:, 1:], reduction="none").cpu())
    return torch.cat(losses)


EARLY, LATE = slice(40, 60), slice(200, 256)
"""The targets that :func:`in_context_score` compares, counted from the second token of a row."""

REPEAT_ROWS, REPEAT_PERIOD, REPEAT_SEED = 32, 50, 1_906


def in_context_score(losses: Float[Tensor, "row target"]) -> float:
    """How much less a token costs late in the context than early: in nats, below zero where context helps.

    The mean over ``LATE`` targets minus the mean over ``EARLY`` ones, as in Olsson et al. (2022), "In-context learning
    and induction heads", who compare the 500th token with the 50th; ``nan`` for rows too short to have late targets.

    Args:
        losses: of passages with ``n_ctx + 1`` tokens each, as :func:`token_losses` returns them.
    """
    return (losses[:, LATE].mean() - losses[:, EARLY].mean()).item()


def repeat_loss(model: nn.Module, d_vocab: int, n_ctx: int) -> float:
    """The loss in nats per token on the second copy of random tokens, which only its first copy predicts.

    A model that ignores the context pays at least log(``d_vocab`` - 1) on average, one that copies pays nothing.
    On :func:`repeats`; the first token of the copy, which nothing announces, is left out.
    """
    rows = repeats(d_vocab, n_ctx)
    return token_losses(model, rows)[:, rows.shape[1] // 2 :].mean().item()


def induction_score(model: Decoder, tokens: Int[Tensor, "row pos"]) -> float:
    """The attention that the best head puts on what followed the same token earlier, 0 to 1.

    A mean over the queries that have such a target.
    """
    mask = pattern_mask(tokens, "induction")
    on_target = (model.patterns(tokens) * mask[:, None]).sum(-1)
    return (on_target.sum((1, 3)) / mask.any(-1).sum()).max().item()


def repeats(d_vocab: int, n_ctx: int) -> Int[Tensor, "row pos"]:
    """Random tokens twice over: 32 rows, the same at every call and in no training batch.

    Tokens 1 to ``d_vocab`` - 1, drawn uniformly, 50 of them (half the context, if it is shorter) and then the same once
    more.
    """
    period = min(REPEAT_PERIOD, n_ctx // 2)
    generator = torch.Generator().manual_seed(REPEAT_SEED)
    return torch.randint(1, d_vocab, (REPEAT_ROWS, period), generator=generator).repeat(1, 2)


def measure(model: nn.Module, shape: Shape, passages: Int[Tensor, "row pos"]) -> dict[str, float]:
    """One line of a training log: ``held_out`` loss on ``passages``, ``in_context`` score there, ``repeat`` loss.

    All in nats per token, rounded to four places.
    """
    losses = token_losses(model, passages)
    line = {
        "held_out": losses.mean().item(),
        "in_context": in_context_score(losses),
        "repeat": repeat_loss(model, shape.d_vocab, shape.n_ctx),
    }
    return {key: round(value, 4) for key, value in line.items()}
