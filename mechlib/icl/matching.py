"""Which algorithm a predictor resembles, told by weight vectors: at equal error, and direction by direction.

All good predictors are near the truth, and so near each other. What tells two of them apart is whether they make the
same mistakes where they are equally good, and how much of the weights they have learnt along directions in which the
inputs vary much or little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mechlib.icl.prompts import Prompts

Weights = Float[Tensor, "batch d"]
HALVINGS = 30


@dataclass(frozen=True)
class Member:
    """One member of a family of algorithms."""

    setting: float
    weights: Weights
    error: float
    """Mean over prompts of ``|weights - w|^2``."""


def at_error(family: Callable[[float], Weights], settings: Sequence[float], w: Weights, error: float) -> Member:
    """The member of a family whose error is ``error``, or the one nearest to it by the ratio of the errors.

    Of several, the first in the order of ``settings``: between neighbours whose errors lie on either side the setting
    is halved until it is found, so the family has to be continuous there.

    Args:
        family: from a setting to the weights of every prompt.
        settings: in the order in which they are tried, as from poor to good.
        w: the true weights.

    Raises:
        ValueError: if there is no setting, or ``error`` is not positive.
    """
    if not settings or not error > 0:
        raise ValueError(f"at least one setting and an error above 0 are needed, got {len(settings)} and {error}")
    tried = [_member(family, float(setting), w) for setting in settings]
    for one, other in pairwise(tried):
        if (one.error - error) * (other.error - error) < 0:
            return _halved(family, one, other, w, error)
    return min(tried, key=lambda member: abs(math.log(max(member.error, 1e-12) / error)))


def mistake_cosine(f: Weights, g: Weights, w: Weights) -> float:
    """The cosine between the mistakes ``f - w`` and ``g - w`` of two predictors, all prompts in one long vector.

    1 for equal mistakes. With equal errors ``e`` the mean of ``|f - g|^2`` is ``2 e (1 - cosine)``. NaN for a predictor
    without mistakes.
    """
    a, b = (f - w).flatten().double(), (g - w).flatten().double()
    return float(a @ b / (a.norm() * b.norm()))


@dataclass(frozen=True)
class Filter:
    """What a predictor has learnt of the weights, by how much the inputs vary in a direction."""

    passed: Float[Tensor, " bin"]
    """The factor ``phi(s)`` with which the weights along eigenvectors of this bin come out; NaN for an empty bin."""
    unexplained: float
    """The share of the squared length of the predictor's weights that no such factor explains."""


def measured_filter(weights: Weights, prompts: Prompts, k: int, edges: Float[Tensor, " edge"]) -> Filter:
    """The best ``phi`` in ``weights = phi(S) w``, piecewise constant in the eigenvalues of ``S = X'X / k``.

    For noiseless prompts gradient descent, ridge regression, Newton's iteration and least squares are such functions
    of the mean product ``S`` of the first ``k`` examples; in each bin ``phi`` is the least-squares coefficient of the
    predictor's weights on the true ones, along all eigenvectors with eigenvalues there.

    Directions that the examples do not span have the eigenvalue 0, exactly or but for rounding in double precision.

    Args:
        edges: ascending edges of the bins; eigenvalues outside count as unexplained.

    Raises:
        ValueError: if there are fewer than two edges, or the prompts have no ``k`` examples.
    """
    if len(edges) < 2 or not 1 <= k <= prompts.x.shape[1]:
        raise ValueError(f"two edges and 1 to {prompts.x.shape[1]} examples are needed, got {len(edges)} and k={k}")
    x = prompts.x[:, :k].double()
    _, spread, vectors = torch.linalg.svd(x / math.sqrt(k))
    values = F.pad(spread.square(), (0, x.shape[-1] - spread.shape[-1]))
    ours, true = ((vectors @ part.double()[..., None])[..., 0] for part in (weights, prompts.task))
    place = torch.bucketize(values, edges.double(), right=True) - 1
    passed, rest = [], ours.clone()
    for i in range(len(edges) - 1):
        here = place == i
        passed.append((ours[here] @ true[here]) / true[here].square().sum())
        rest[here] -= passed[-1] * true[here]
    return Filter(torch.stack(passed).to(weights), float(rest.square().sum() / ours.square().sum()))


def _member(family: Callable[[float], Weights], setting: float, w: Weights) -> Member:
    weights = family(setting)
    return Member(setting, weights, float((weights - w).square().sum(-1).mean()))


def _halved(family: Callable[[float], Weights], one: Member, other: Member, w: Weights, error: float) -> Member:
    for _ in range(HALVINGS):
        middle = _member(family, (one.setting + other.setting) / 2, w)
        if (middle.error - error) * (one.error - error) > 0:
            one = middle
        else:
            other = middle
    return middle
