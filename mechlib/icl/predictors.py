"""Algorithms that a transformer is compared with: each predicts ``y_k`` from the examples before ``k`` and ``x_k``.

Every predictor maps ``x [batch, n_points, d]`` and ``y [batch, n_points]`` to predictions ``[batch, n_points]`` and is
causal: entry ``k`` never changes, not by a bit, with ``y`` from ``k`` on, nor with ``x`` after ``k``. Without examples,
at ``k = 0``, the prediction is 0, or the prior's where there is a prior. All raise ``ValueError`` for what is no batch
of prompts.

What would lose digits in single precision is computed in double, and returned in the precision of ``y``. The gradient
by the query exists everywhere but for ``knn``, and that by ``y`` but for ``mlp_gd``, whose training leaves no trace of
it; that by the examples' ``x``, for ``least_squares``, ``newton`` and a tiny ``lam`` of ``ridge``, only where the
singular values of ``x`` differ, and is NaN elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import grad, vmap

from mechlib.icl.prefixes import by_singular_values, sums_before
from mechlib.icl.prompts import require_prompts

X = Float[Tensor, "batch n_points d"]
Y = Float[Tensor, "batch n_points"]

POOL_CHUNK = 2**23
"""Most residuals that ``dmmse`` holds at once."""
AMPLE = 1e-6
"""A penalty of this share of the trace of ``X'X`` leaves ten digits of the normal equations in double precision."""
TIE = 1e-12
"""Distances whose ratio is this near to 1 are equal, for ``knn``."""


def least_squares(x: X, y: Y) -> Y:
    """Least squares; of all solutions, the one of minimum norm (so singular Gram matrices are no exception).

    A direction that the examples span by nothing but the rounding of ``x`` in its own precision is not seen.
    """
    require_prompts(x, y)
    return by_singular_values(x, y, torch.reciprocal, rounding=torch.finfo(x.dtype).eps)


def ridge(x: X, y: Y, *, lam: float | Float[Tensor, ""]) -> Y:
    """Ridge regression: ``w`` solves ``(X'X + lam I) w = X'y``. ``lam = 0`` is ``least_squares``.

    With ``lam`` the variance of the noise it is the posterior mean for ``w ~ N(0, I)``. As right for fewer examples
    than dimensions and for small ``lam`` as elsewhere: where ``lam`` is below a millionth of the trace of ``X'X``, the
    singular values of ``X`` are taken, each of which ``y`` passes with the factor ``s / (s^2 + lam)``.

    Raises:
        ValueError: if ``lam`` is negative, or not one number.
    """
    require_prompts(x, y)
    penalty = torch.as_tensor(lam, dtype=torch.float64)
    if penalty.numel() != 1 or not penalty >= 0:
        raise ValueError(f"lam is a penalty, one number, at least 0, got {lam}")
    if (penalty := penalty.squeeze()) == 0:
        return least_squares(x, y)
    penalty = penalty.to(x.device)
    gram, moment = _moments(x.double(), y.double())
    ample = penalty >= AMPLE * gram.diagonal(dim1=-2, dim2=-1).sum(-1)
    shifted = gram.where(ample[..., None, None], 0.0) + penalty.expand(x.shape[-1]).diag()
    weights = torch.cholesky_solve(moment.where(ample[..., None], 0.0)[..., None], torch.linalg.cholesky(shifted))
    found = _at_query(weights[..., 0], x).to(y.dtype)
    if ample.all():
        return found
    return found.where(ample, by_singular_values(x, y, lambda values: 1 / (values + penalty / values)))


def gradient_descent(x: X, y: Y, *, eta: float, steps: int, weight_decay: float = 0.0) -> Y:
    """Gradient descent from ``w = 0`` on ``1/(2N) sum_i (w . x_i - y_i)^2 + weight_decay/2 |w|^2``.

    ``N`` is the number of examples seen. No steps give the prediction 0.

    Raises:
        ValueError: if ``steps`` or ``weight_decay`` is negative, or ``eta`` is not finite.
    """
    require_prompts(x, y)
    _require_steps(steps)
    if not (math.isfinite(eta) and weight_decay >= 0):
        raise ValueError(f"eta is finite and weight_decay at least 0, got eta={eta}, weight_decay={weight_decay}")
    gram, moment = (total / _examples_seen(x, total.dim()) for total in _moments(x, y))
    weights = torch.zeros_like(moment)
    for _ in range(steps):
        slope = (gram @ weights[..., None])[..., 0] - moment + weight_decay * weights
        weights = weights - eta * slope
    return _at_query(weights, x)


def newton(x: X, y: Y, *, steps: int) -> Y:
    """Iterative Newton: ``M <- 2M - M S M`` towards the inverse of ``S = X'X``, then ``w = M X'y`` (Fu et al. 2023).

    It starts at ``M = S / |S|^2`` with the spectral norm, so each step squares the relative error: the prediction
    tends to ``least_squares``, the minimum norm included. At ``steps = 0`` the weights are ``S X'y / |S|^2``.

    ``M`` is a polynomial in ``S`` throughout, so the iteration runs along the eigenvectors of ``S``, for
    ``p``, the eigenvalues of ``M S``: ``p <- 2p - p^2``, and ``1 - p_n = (1 - p_0)^(2^n)`` after ``n`` steps. As a
    matrix the same iteration doubles, at every step, what rounding has put into the null space of ``S``.

    Raises:
        ValueError: if ``steps`` is negative.
    """
    require_prompts(x, y)
    _require_steps(steps)

    def gain(values: Float[Tensor, "batch r"]) -> Float[Tensor, "batch r"]:
        passed = (values / values[:, :1]) ** 4
        for _ in range(steps):
            passed = 2 * passed - passed.square()
        return passed / values

    return by_singular_values(x, y, gain)


def dmmse(x: X, y: Y, *, pool: Float[Tensor, "n_tasks d"], noise_var: float) -> Y:
    """The posterior mean for a task drawn evenly from ``pool``, at Gaussian noise (Raventós et al. 2023, Eq. 4).

    Weights of the tasks: softmax of ``-sum_i (y_i - w_m . x_i)^2 / (2 noise_var)``. At ``k = 0`` the mean task.
    Computed in double precision: small noise makes large exponents, of which only differences count.

    Raises:
        ValueError: if ``pool`` is not ``[n_tasks, d]`` or empty, or ``noise_var`` is not positive.
    """
    require_prompts(x, y)
    if pool.dim() != 2 or pool.shape[1] != x.shape[-1] or not len(pool):
        raise ValueError(f"the pool holds tasks [n_tasks, {x.shape[-1]}], got {tuple(pool.shape)}")
    if not noise_var > 0:
        raise ValueError(f"noise_var is a variance above 0, got {noise_var}; without noise take a small one")
    inputs, outputs = x.double(), y.double()
    peak = torch.full_like(outputs, -torch.inf)
    total, weighted = torch.zeros_like(outputs), torch.zeros_like(outputs)
    for tasks in pool.to(inputs).split(max(1, POOL_CHUNK // y.numel())):
        values = inputs @ tasks.T
        log_weight = -sums_before((values - outputs[..., None]).square()) / (2 * noise_var)
        higher = torch.maximum(peak, log_weight.amax(-1))
        shrink, weight = (peak - higher).exp(), (log_weight - higher[..., None]).exp()
        total = total * shrink + weight.sum(-1)
        weighted = weighted * shrink + (weight * values).sum(-1)
        peak = higher
    return (weighted / total).to(y.dtype)


def knn(x: X, y: Y, *, k: int) -> Y:
    """The mean ``y`` of the ``k`` nearest examples in Euclidean distance; of all examples while they are fewer.

    Examples that tie for the last places share them evenly: the mean over all ways to choose among them. So the order
    of the examples never matters. Distances are compared in double precision, equal within a relative 1e-12.

    Raises:
        ValueError: if ``k`` is below 1, or above the number of examples before the last point.
    """
    require_prompts(x, y)
    n_points = x.shape[1]
    if not 1 <= k <= n_points - 1:
        raise ValueError(f"k counts neighbours: 1 to {n_points - 1} in prompts of {n_points} points, got {k}")
    seen = torch.ones(n_points, n_points, dtype=torch.bool, device=x.device).tril(-1)
    inputs = x.double()
    distance = torch.cdist(inputs, inputs, compute_mode="donot_use_mm_for_euclid_dist").masked_fill(~seen, torch.inf)
    farthest = distance.topk(k, dim=-1, largest=False).values[..., -1:]
    inside = distance < farthest * (1 - TIE)
    tied = seen & ~inside & (distance <= farthest * (1 + TIE))
    places = seen.sum(-1, keepdim=True).clamp(max=k)
    left = places - inside.sum(-1, keepdim=True)
    weight = inside + tied * (left.double() / tied.sum(-1, keepdim=True).clamp(min=1))
    return ((weight * y.double()[:, None]).sum(-1) / places[:, 0].clamp(min=1)).to(y.dtype)


def averaging(x: X, y: Y) -> Y:
    """``w = mean of y_i x_i``, consistent for ``E xx' = I`` (Garg et al. 2022, Sec. 3): one gradient step of rate 1."""
    return gradient_descent(x, y, eta=1.0, steps=1)


def mlp_gd(
    x: X,
    y: Y,
    *,
    hidden: int = 100,
    steps: int = 200,
    lr: float = 1e-2,
    seed: int = 0,
    at: Sequence[int] | None = None,
) -> Float[Tensor, "batch at"]:
    """A two-layer ReLU network with biases, trained by Adam on each prefix (Garg et al. 2022).

    Full batch, one start for all prefixes; initial weights uniform in ``+-1/sqrt(fan in)``; the loss is the mean
    squared error of the examples seen.

    Args:
        at: the points to predict, all of them by default; time and memory are in proportion to their number.

    Raises:
        ValueError: if ``hidden`` is below 1, ``steps`` negative, ``lr`` not positive, or ``at`` holds no point.
    """
    require_prompts(x, y)
    _require_steps(steps)
    if hidden < 1 or not lr > 0:
        raise ValueError(f"hidden is at least 1 and lr above 0, got hidden={hidden}, lr={lr}")
    batch, n_points, d = x.shape
    at = list(range(n_points) if at is None else at)
    if not at or min(at) < 0 or max(at) >= n_points:
        raise ValueError(f"at holds points of the prompts, 0 to {n_points - 1}, got {at}")
    seen = torch.ones(n_points, n_points, dtype=x.dtype, device=x.device).tril(-1)[at]
    start = initial_network(d, hidden, torch.Generator().manual_seed(seed))
    weights = [p.to(x).expand(batch, len(at), *p.shape).clone() for p in start]
    predictions = vmap(vmap(_network))(_trained(weights, x, y, seen, steps, lr), x[:, at, None])[..., 0]
    return predictions * seen.any(-1)


def _trained(
    weights: list[Tensor], x: X, y: Y, seen: Float[Tensor, "at n_points"], steps: int, lr: float
) -> list[Tensor]:
    """Networks ``[batch, at, ...]`` after Adam on the examples that each has seen."""

    def loss(network: list[Tensor], inputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        errors = (_network(network, inputs) - targets).square()
        return (errors * mask).sum() / mask.sum().clamp(min=1)

    over_prefixes = vmap(grad(loss), in_dims=(0, None, None, 0))
    gradient = vmap(over_prefixes, in_dims=(0, 0, 0, None))
    optimiser = torch.optim.Adam(weights, lr=lr)
    for _ in range(steps):
        for weight, slope in zip(weights, gradient(weights, x, y, seen), strict=True):
            weight.grad = slope
        optimiser.step()
    return weights


def _network(weights: list[Tensor], inputs: Float[Tensor, "point d"]) -> Float[Tensor, " point"]:
    first, first_bias, second, second_bias = weights
    return torch.relu(inputs @ first + first_bias) @ second + second_bias


def initial_network(d: int, hidden: int, generator: torch.Generator) -> list[Tensor]:
    def uniform(*shape: int, fan_in: int) -> Tensor:
        return (2 * torch.rand(*shape, generator=generator) - 1) / math.sqrt(fan_in)

    return [
        uniform(d, hidden, fan_in=d),
        uniform(hidden, fan_in=d),
        uniform(hidden, fan_in=hidden),
        uniform(1, fan_in=hidden)[0],
    ]


def _moments(x: X, y: Y) -> tuple[Float[Tensor, "batch n_points d d"], Float[Tensor, "batch n_points d"]]:
    """``X'X`` and ``X'y`` over the examples before each point."""
    return sums_before(x[..., :, None] * x[..., None, :]), sums_before(x * y[..., None])


def _examples_seen(x: X, axes: int) -> Tensor:
    """The number of examples before each point, at least 1, broadcast along ``n_points``."""
    counts = torch.arange(x.shape[1], dtype=x.dtype, device=x.device).clamp(min=1)
    return counts.view(1, -1, *[1] * (axes - 2))


def _at_query(weights: Float[Tensor, "batch n_points d"], x: X) -> Y:
    return (weights * x).sum(-1)


def _require_steps(steps: int) -> None:
    if steps < 0:
        raise ValueError(f"steps counts updates, at least 0, got {steps}")
