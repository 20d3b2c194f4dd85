"""Open task ch02.leave_out: which layers of the real model can be left out with the least change of its predictions?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from itertools import chain
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.checks.open_task import OpenTask, Outcome, Unfit
from mechlib.questions.real_model import MODEL, N_INSTANCES, N_LAYERS, Texts, Tokens, model, passages, shared

__all__ = ["LENS", "N_OUT", "QUESTION", "without"]

N_OUT = 8
"""Layers that are left out."""

N_ROWS, LENGTH = 6, 32

N_READ = 4
"""Instances of which the predictions are kept, 38 MB each."""

LENS = (3, 4, 6, 9, 13, 14, 16, 17)
"""The baseline: the layers over which KL(final || entry) through the logit lens moves least."""

LogProbs = Float[Tensor, "row pos d_vocab"]


def without(layers: Sequence[int]) -> AbstractContextManager[Any]:
    """A block in which attention and MLP of some layers write nothing."""
    from mechlib.stream.hooks import output_hooks

    points = chain.from_iterable(output_hooks(model(), part)[layer] for part in ("attn", "mlp") for layer in layers)
    return model().hooks(fwd_hooks=[(point, lambda output, hook: torch.zeros_like(output)) for point in points])


def predicted(tokens: Tokens) -> LogProbs:
    with torch.no_grad():
        return model()(tokens).log_softmax(-1)


draw = shared(lambda seed: passages(seed, n_rows=N_ROWS, length=LENGTH))


@lru_cache(N_READ)
def intact(texts: Texts) -> LogProbs:
    """What the whole model predicts."""
    return predicted(texts.tokens)


def cost(texts: Texts, layers: Sequence[int]) -> float:
    """KL(intact || without the layers) in nats, the mean over passages and positions."""

    def measured(out: frozenset[int]) -> float:
        whole = intact(texts)
        with without(sorted(out)):
            log_probs = predicted(texts.tokens)
        return float((whole.exp() * (whole - log_probs)).sum(-1).mean())

    return texts.cost(layers, measured)


def outcome(texts: Texts, handed: Any) -> Outcome:
    layers = handed.flatten().tolist() if isinstance(handed, Tensor) else handed
    listed = isinstance(layers, list) and all(isinstance(layer, (int, float)) for layer in layers)
    if not listed or len(layers) != N_OUT or len({*layers} & {*range(N_LAYERS)}) != N_OUT:
        raise Unfit(f"{N_OUT} different layers are left out, each a number from 0 to {N_LAYERS - 1}.")
    return Outcome(cost(texts, [int(layer) for layer in layers]))


def nulls(generator: torch.Generator) -> dict[str, list[int]]:
    return {
        "at random": torch.randperm(N_LAYERS, generator=generator)[:N_OUT].tolist(),
        "the lens's": [*LENS],
        "evenly spaced": [1, 5, 9, 12, 16, 20, 24, 27],
        "the first": [*range(N_OUT)],
        "the last": [*range(N_LAYERS - N_OUT, N_LAYERS)],
    }


QUESTION = OpenTask(
    id="ch02.leave_out",
    points=3,
    title="Leave layers out",
    hints=(
        "The lens tells what an entry reads as, not what later layers do with it. How would you find out what a layer "
        "is for?",
        "Leave out one layer at a time and measure KL(intact || without it) on the passages. Layers that cost least "
        "alone are a first choice; what they cost together is another matter.",
        "Leave out the layer that costs least, keep it out, and try all the others again, until there are eight. Check "
        "the choice on passages that you did not choose on.",
    ),
    handed_in=f"Hand in a list of {N_OUT} layers of {MODEL}.",
    budget="Some 250 passes over a few passages are enough: five minutes on two cores.",
    draw=draw,
    outcome=outcome,
    baseline=lambda texts: cost(texts, LENS),
    steps=((1, 0.95), (2, 0.8), (3, 0.66)),
    words="They cost {value:.2f} nats a token; the layers over which the lens moves least cost {baseline:.2f}.",
    nulls=nulls,
    model=MODEL,
    instances=N_INSTANCES,
)
