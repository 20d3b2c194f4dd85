"""The best that any predictor can do: posterior means under the very families that prompts are drawn from.

Both work as the algorithms of ``mechlib.icl.predictors`` do: causal, one prediction for every point. Whoever knows the
family and nothing else cannot have a smaller expected squared error at any point.
"""

from __future__ import annotations

import itertools
import math

import torch
from jaxtyping import Int
from torch import Tensor

from mechlib.icl.predictors import X, Y
from mechlib.icl.prefixes import spectra, sums_before
from mechlib.icl.prompts import require_prompts

MOST_TREES = 2**14
"""Most trees that ``tree_posterior`` enumerates."""


def sparse_posterior(x: X, y: Y, *, nonzero: int, noise_var: float = 1e-6) -> Y:
    """The posterior mean for ``y = w . x`` with ``nonzero`` standard normal coordinates, their places unknown.

    Every choice of places is ridge regression on these coordinates; the choices are averaged with weights in
    proportion to the density of the ``y`` seen. Computed in double precision.

    Args:
        noise_var: variance of the noise on ``y``; for none, a small one, below which differences are not told apart.

    Raises:
        ValueError: if ``nonzero`` is not 1 to ``d``, or ``noise_var`` is not positive.
    """
    require_prompts(x, y)
    d = x.shape[-1]
    if not 1 <= nonzero <= d:
        raise ValueError(f"nonzero counts coordinates, 1 to d={d}, got {nonzero}")
    if not noise_var > 0:
        raise ValueError(f"noise_var is a variance above 0, got {noise_var}; without noise take a small one")
    means, log_density = [], []
    for places in itertools.combinations(range(d), nonzero):
        mean, variance = _ridge_on(x[..., places].double(), y.double(), float(noise_var))
        means.append(mean)
        log_density.append(-0.5 * ((y - mean).square() / variance + variance.log()))
    evidence = sums_before(torch.stack(log_density).movedim(0, -1))
    return (evidence.softmax(-1) * torch.stack(means, -1)).sum(-1).to(y.dtype)


def _ridge_on(x: X, y: Y, noise_var: float) -> tuple[Y, Y]:
    """Mean and variance of each ``y`` given the examples before it, for ``w ~ N(0, I)``."""
    means, variances = [torch.zeros_like(y[:, 0])], [x[:, 0].square().sum(-1) + noise_var]
    for k, spectrum in enumerate(spectra(x), start=1):
        query, along = spectrum.coordinates(x[:, k], y[:, :k])
        unseen = x[:, k] - (spectrum.right.mT @ query[..., None])[..., 0]
        known = query.square() / (spectrum.values.square() + noise_var)
        means.append((query * along * spectrum.gains(lambda values: 1 / (values + noise_var / values))).sum(-1))
        variances.append(noise_var * (1 + known.sum(-1)) + unseen.square().sum(-1))
    return torch.stack(means, 1), torch.stack(variances, 1)


def tree_posterior(x: X, y: Y, *, depth: int) -> Y:
    """The posterior mean for full binary trees on signs of coordinates (``mechlib.icl.DecisionTree``), without noise.

    Leaves have different values with certainty, so a tree is possible if it sends two examples to the same leaf just
    when their ``y`` are equal. All possible trees are equally likely; each predicts the value seen at the query's
    leaf, or 0 if there is none.

    Raises:
        ValueError: if ``depth`` is below 1, there are more trees than ``MOST_TREES``, or no tree explains a prompt.
    """
    require_prompts(x, y)
    if depth < 1:
        raise ValueError(f"a tree has depth 1 or more, got {depth}")
    inner = 2**depth - 1
    if x.shape[-1] ** inner > MOST_TREES:
        raise ValueError(
            f"{x.shape[-1]}^{inner} trees of depth {depth} are more than are enumerated, {MOST_TREES}; "
            "take fewer dimensions or a smaller depth"
        )
    earlier = torch.ones(y.shape[1], y.shape[1], dtype=torch.bool, device=y.device).tril(-1)
    same_value = y[:, :, None] == y[:, None, :]
    possible, total = torch.zeros_like(y), torch.zeros_like(y)
    for tree in itertools.product(range(x.shape[-1]), repeat=inner):
        leaf = _leaf(x > 0, tree)
        together = (leaf[:, :, None] == leaf[:, None, :]) & earlier
        contradicted = (together != (same_value & earlier)).any(-1)
        alive = (sums_before(contradicted.long()) == 0).to(y)
        seen = together.to(y)
        possible += alive
        total += alive * (seen @ y[..., None])[..., 0] / seen.sum(-1).clamp(min=1)
    if (unexplained := ~possible.all(1)).any():
        raise ValueError(f"no tree of depth {depth} explains prompt {int(unexplained.int().argmax())}")
    return total / possible


def _leaf(positive: Tensor, tree: tuple[int, ...]) -> Int[Tensor, "batch n_points"]:
    """The leaf that every point reaches, by the coordinate that each inner node asks for, in the order of a heap."""
    node = torch.zeros(positive.shape[:2], dtype=torch.long, device=positive.device)
    asked = torch.tensor(tree, device=positive.device)
    for _ in range(round(math.log2(len(tree) + 1))):
        node = 2 * node + 1 + positive.gather(2, asked[node][..., None])[..., 0].long()
    return node
