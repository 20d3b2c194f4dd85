"""Weights of linear self-attention that do gradient descent, exactly (von Oswald et al. 2023, Prop. 1).

Tokens are ``(x_i, y_i)`` for the examples and ``(x, 0)`` for the query, the last one, which is no key. A layer maps a
token ``h`` to ``h + sum_i (h W_Q) . (c_i W_K) c_i W_V W_O`` over the context ``c``. One step of gradient descent on
``1/(2N) sum_i (w . x_i - y_i)^2`` from ``w = 0`` changes every residual ``y_j - w . x_j`` by
``-(eta/N) x_j . sum_i y_i x_i``; the layer does so to all tokens at once, so the next layer does the next step, and the
query ends with minus the prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.icl.prompts import require_prompts


@dataclass(frozen=True)
class LinearAttentionWeights:
    """One layer of linear self-attention on tokens of width ``d + 1``, in row-vector convention."""

    W_Q: Float[Tensor, "*model d_token d_token"]
    W_K: Float[Tensor, "*model d_token d_token"]
    W_V: Float[Tensor, "*model d_token d_token"]
    W_O: Float[Tensor, "*model d_token d_token"]

    def __call__(self, tokens: Float[Tensor, "*batch token d_token"]) -> Float[Tensor, "*batch token d_token"]:
        """The tokens after the layer; the last token is the query and no key."""
        context = tokens[..., :-1, :]
        scores = (tokens @ self.W_Q) @ (context @ self.W_K).mT
        return tokens + scores @ (context @ self.W_V) @ self.W_O


def gd_weights(
    d: int, n: int, eta: float, gamma: float = 0.0, *, dtype: torch.dtype = torch.float64
) -> LinearAttentionWeights:
    """The layer that does one step of gradient descent, or of GD++ where ``gamma`` is not 0.

    GD++ also moves the inputs, ``x <- x - gamma S x`` with ``S = sum_i x_i x_i'``, through the same attention, and
    ``y <- y - (eta/n + gamma) x . sum_i x_i y_i`` (von Oswald et al. 2023, Appendix A.10).

    Args:
        d: dimension of the inputs.
        n: number of examples in the context.
        eta: step size on the mean loss ``1/(2n) sum``.

    Raises:
        ValueError: if ``d`` or ``n`` is below 1.
    """
    if d < 1 or n < 1:
        raise ValueError(f"at least one dimension and one example are needed, got d={d}, n={n}")
    reads_x = torch.eye(d + 1, dtype=dtype)
    reads_x[d, d] = 0
    values = torch.full((d + 1,), -gamma, dtype=dtype)
    values[d] = -(eta / n + gamma)
    return LinearAttentionWeights(W_Q=reads_x, W_K=reads_x, W_V=values.diag(), W_O=torch.eye(d + 1, dtype=dtype))


def query_tokens(
    x: Float[Tensor, "batch n_points d"], y: Float[Tensor, "batch n_points"]
) -> Float[Tensor, "batch n_points d_token"]:
    """The tokens ``(x_i, y_i)`` of the examples, and ``(x, 0)`` for the last point, whose ``y`` is not looked at.

    Raises:
        ValueError: for what is no batch of prompts, or prompts without an example before the last point.
    """
    known = y.clone()
    known[..., -1:] = 0
    require_prompts(x, known)
    if x.shape[1] < 2:
        raise ValueError("a prompt of one point has a query and no example; give at least two points")
    return torch.cat([x, known[..., None]], dim=-1)


def gd_predict(
    x: Float[Tensor, "batch n_points d"],
    y: Float[Tensor, "batch n_points"],
    *,
    eta: float | Sequence[float],
    steps: int,
    gamma: float | Sequence[float] = 0.0,
) -> Float[Tensor, " batch"]:
    """The prediction for the last point after ``steps`` layers of ``gd_weights``; its ``y`` is not looked at.

    With ``gamma`` 0 it equals ``predictors.gradient_descent`` at the last point, which sees the same examples.

    Args:
        eta, gamma: one number for all layers, or one for each.

    Raises:
        ValueError: if there is no example before the last point, ``steps`` is negative, or the numbers of ``eta`` or
            ``gamma`` are not as many as the steps.
    """
    tokens = query_tokens(x, y)
    if steps < 0:
        raise ValueError(f"steps counts layers, at least 0, got {steps}")
    for step_eta, step_gamma in zip(_per_step("eta", eta, steps), _per_step("gamma", gamma, steps), strict=True):
        tokens = _moved(gd_weights(x.shape[-1], x.shape[1] - 1, step_eta, step_gamma, dtype=x.dtype), x)(tokens)
    return -tokens[:, -1, -1]


def one_step_optimum(d: int, n: int, var: float, fourth_moment: float) -> tuple[float, float]:
    """The best step size of one step, and its expected loss, half the squared error, at a fresh query.

    For coordinates of ``x`` that are independent and symmetric with ``E x^2 = var`` and ``E x^4 = fourth_moment``,
    ``w ~ N(0, I)`` and no noise: ``eta = n var / (fourth_moment + (d + n - 2) var^2)``, and the loss is
    ``d var / 2 * (1 - eta var)``. Derived in chapter 09 from ``E[S] = n var I`` and
    ``E[S^2] = n (fourth_moment + (d + n - 2) var^2) I``.

    Raises:
        ValueError: if ``d`` or ``n`` is below 1, ``var`` not positive, or ``fourth_moment`` below ``var^2``.
    """
    if d < 1 or n < 1:
        raise ValueError(f"at least one dimension and one example are needed, got d={d}, n={n}")
    if not var > 0 or not fourth_moment >= var**2:
        raise ValueError(f"moments with var > 0 and fourth_moment >= var^2 are needed, got {var} and {fourth_moment}")
    eta = n * var / (fourth_moment + (d + n - 2) * var**2)
    return eta, d * var / 2 * (1 - eta * var)


def _per_step(name: str, value: float | Sequence[float], steps: int) -> Sequence[float]:
    if isinstance(value, Sequence):
        if len(value) != steps:
            raise ValueError(f"{name} is one number or one for each of the {steps} steps, got {len(value)}")
        return value
    return [value] * steps


def _moved(layer: LinearAttentionWeights, x: Tensor) -> LinearAttentionWeights:
    return LinearAttentionWeights(*(w.to(x.device) for w in (layer.W_Q, layer.W_K, layer.W_V, layer.W_O)))
