"""How close two predictors are, and where between two algorithms a third one lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mechlib.icl.prompts import Prompts

Predictor = Callable[
    [Float[Tensor, "batch n_points d"], Float[Tensor, "batch n_points"]],
    Float[Tensor, "batch n_points"] | Float[Tensor, " batch"],
]
"""From ``x`` and ``y`` to a prediction for every point, of which the last is taken, or for the last point alone."""


@dataclass(frozen=True)
class Comparison:
    """Two predictors on the last point of the same prompts; all axes ``[batch]``."""

    loss_f: Float[Tensor, " batch"]
    """Half the squared error of the first."""
    loss_g: Float[Tensor, " batch"]
    """Half the squared error of the second."""
    prediction_gap: Float[Tensor, " batch"]
    """``|f - g|``, in units of ``y``."""
    gradient_cosine: Float[Tensor, " batch"]
    """Cosine between the gradients of the two predictions with respect to the query; 0 where one of them vanishes."""
    weight_gap: Float[Tensor, " batch"]
    """Euclidean norm of the difference of these gradients."""


def compare_predictors(f: Predictor, g: Predictor, prompts: Prompts) -> Comparison:
    """Compare two predictors at the last point of every prompt (the measures of von Oswald et al. 2023, Fig. 2).

    For a predictor linear in the query, the gradient is its weight vector.

    Raises:
        ValueError: if a predictor returns another shape than ``[batch, n_points]`` or ``[batch]``, or a prediction
            that does not depend on the query by a differentiable path.
    """
    of_f, of_g = (_last_and_gradient(predictor, prompts.x, prompts.y) for predictor in (f, g))
    target = prompts.y[:, -1]
    return Comparison(
        loss_f=0.5 * (of_f[0] - target).square(),
        loss_g=0.5 * (of_g[0] - target).square(),
        prediction_gap=(of_f[0] - of_g[0]).abs(),
        gradient_cosine=torch.cosine_similarity(of_f[1], of_g[1], dim=-1),
        weight_gap=(of_f[1] - of_g[1]).norm(dim=-1),
    )


def implicit_weight(model: Predictor, prompts: Prompts, k: int) -> Float[Tensor, "batch d"]:
    """The weight vector that a predictor acts as if it had after ``k`` examples.

    The gradient of its prediction at point ``k`` with respect to ``x_k`` (Akyürek et al. 2023, Sec. 4.2).

    Raises:
        ValueError: if the prompts have no point ``k``, and as ``compare_predictors``.
    """
    n_points = prompts.x.shape[1]
    if not 0 <= k < n_points:
        raise ValueError(f"k counts examples before the query: 0 to {n_points - 1} in these prompts, got {k}")
    return _last_and_gradient(model, prompts.x[:, : k + 1], prompts.y[:, : k + 1])[1]


def ridge_dmmse_projection(
    f: Float[Tensor, "*points"], ridge: Float[Tensor, "*points"], dmmse: Float[Tensor, "*points"]
) -> float:
    """Where predictions lie between ridge (0) and the posterior mean over a pool (1).

    ``<f - ridge, dmmse - ridge> / |dmmse - ridge|^2`` over all entries: the coefficient of the least-squares fit of
    ``f - ridge`` by ``dmmse - ridge``. It is blind to what ``f`` does off that line.

    Raises:
        ValueError: if the shapes differ, or ridge and dMMSE agree everywhere, so that there is no line.
    """
    if not f.shape == ridge.shape == dmmse.shape:
        shapes = ", ".join(str(tuple(values.shape)) for values in (f, ridge, dmmse))
        raise ValueError(f"predictions on the same points are needed, got {shapes}")
    line = (dmmse - ridge).flatten()
    if not (length := line @ line) > 0:
        raise ValueError("ridge and dMMSE agree on every point: nothing lies between them")
    return float((f - ridge).flatten() @ line / length)


def _last_and_gradient(
    predictor: Predictor, x: Float[Tensor, "batch n_points d"], y: Float[Tensor, "batch n_points"]
) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch d"]]:
    """The prediction for the last point, and its gradient with respect to that point's ``x``."""
    query = x[:, -1:].detach().clone().requires_grad_()
    with torch.enable_grad():
        predictions = predictor(torch.cat([x[:, :-1].detach(), query], dim=1), y)
        if predictions.shape not in (y.shape, y.shape[:1]):
            raise ValueError(
                f"a predictor returns [batch, n_points] or [batch], here {tuple(y.shape)} or {tuple(y.shape[:1])}, "
                f"not {tuple(predictions.shape)}"
            )
        last = predictions if predictions.dim() == 1 else predictions[:, -1]
        if not last.requires_grad:
            raise ValueError("the prediction has no gradient with respect to the query: was it detached?")
        (gradient,) = torch.autograd.grad(last.sum(), query)
    return last.detach(), gradient[:, 0]
