"""The search by gradient that a linear program takes the place of: does it find the vector where there is one?"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from mechlib.argmax.readout import Readout

__all__ = ["ascend"]

Optimiser = Literal["adam", "sgd"]
OPTIMISERS: tuple[Optimiser, ...] = get_args(Optimiser)


def ascend(
    readout: Readout,
    tokens: Int[np.ndarray, " some"],
    *,
    steps: int = 200,
    starts: int = 3,
    rate: float = 0.1,
    optimiser: Optimiser = "adam",
    seed: int = 0,
) -> Int[np.ndarray, "start some"]:
    """After how many steps of gradient ascent each token was the argmax first; -1 if it never was.

    From normal vectors of unit variance the log-probability of the token is raised. Whether the token is the argmax is
    seen at every step, from the start (0) to the last; a search that stops at an earlier step finds what was found by
    then. Logits are in single precision.

    Args:
        tokens: the numbers of those to be searched for.
        steps: of the optimiser.
        starts: from each of which all tokens are searched for.
        rate: its learning rate.
        optimiser: ``"adam"`` (Kingma and Ba 2015, with their constants), or ``"sgd"`` without momentum.
        seed: of the starts.

    Raises:
        ValueError: if there are no steps or no starts, or the optimiser is none of these.
        IndexError: if a token is none of the read-out's.
    """
    if steps < 1 or starts < 1:
        raise ValueError(f"a search has one step and one start or more, got {steps} and {starts}")
    if optimiser not in OPTIMISERS:
        raise ValueError(f"the optimiser is one of {list(OPTIMISERS)}, not {optimiser!r}")
    wanted = torch.tensor([readout.require(int(token)) for token in tokens]).repeat(starts)
    rows, bias = (torch.from_numpy(x).float() for x in (readout.rows, readout.bias))
    h = torch.randn(len(wanted), readout.d, generator=torch.Generator().manual_seed(seed))
    mean, square = torch.zeros_like(h), torch.zeros_like(h)
    first, open_ = torch.full((len(wanted),), -1), torch.arange(len(wanted))
    for step in range(steps + 1):
        logits = h @ rows.T + bias
        found = _alone(logits, wanted[open_])
        first[open_[found]] = step
        open_, h, mean, square, logits = (x[~found] for x in (open_, h, mean, square, logits))
        if step == steps or not len(open_):
            break
        slope = rows[wanted[open_]] - logits.softmax(-1) @ rows  # of the token's log-probability
        if optimiser == "sgd":
            h = h + rate * slope
            continue
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope.square()
        size = (square / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8
        h = h + rate * mean / (1 - 0.9 ** (step + 1)) / size
    return first.view(starts, -1).numpy()


def _alone(logits: Tensor, wanted: Tensor) -> Tensor:
    """Whether the wanted logit is larger than every other."""
    mine = logits.gather(1, wanted[:, None])
    return (logits >= mine).sum(1) == 1
