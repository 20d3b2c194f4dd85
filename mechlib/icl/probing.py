"""What can be read from activations, never without the two controls that a probe needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from sklearn.base import RegressorMixin
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor


@dataclass(frozen=True)
class ProbeScores:
    """Shares of the variance of the targets that a probe explains on held-out prompts: 1 at best, 0 for their mean.

    Negative for a probe that does worse than the mean.
    """

    score: float
    """From the activations, of the targets."""
    untrained: float
    """From the activations of the same network before training: what the wiring alone passes on."""
    shuffled: float
    """From the activations, of the targets of other prompts: what the probe makes of nothing."""


def probe(
    activations: Float[Tensor, "prompt d_model"],
    targets: Float[Tensor, "prompt target"],
    *,
    untrained: Float[Tensor, "prompt d_untrained"],
    kind: Literal["linear", "mlp"] = "linear",
    test_share: float = 0.25,
    seed: int = 0,
) -> ProbeScores:
    """Fit a probe for ``targets`` on some of the prompts and score it on the others, with both controls.

    ``linear`` is ridge regression on standardised activations, its penalty chosen by leave-one-out; ``mlp`` a network
    with one hidden layer of 128, stopped early (scikit-learn's ``RidgeCV`` and ``MLPRegressor``). A score says
    something of training only where it exceeds ``untrained``, and anything at all only where it exceeds ``shuffled``
    (Hewitt & Liang 2019).

    Args:
        untrained: activations at the same place on the same prompts, in the network at its initial weights.
        test_share: share of the prompts that the score is measured on.
        seed: decides the split, the shuffling and the start of the ``mlp``.

    Raises:
        ValueError: if the numbers of prompts differ or are below 20, a value is NaN or infinite, or ``kind`` is
            neither.
    """
    given = {"activations": activations, "targets": targets, "untrained": untrained}
    values = {name: _checked(name, value) for name, value in given.items()}
    if len({len(value) for value in values.values()}) > 1 or len(values["targets"]) < 20:
        shapes = {name: tuple(value.shape) for name, value in values.items()}
        raise ValueError(f"the same prompts are needed in all three, at least 20, got {shapes}")
    if kind not in ("linear", "mlp"):
        raise ValueError(f"kind is 'linear' or 'mlp', got {kind!r}")
    fit, held = train_test_split(np.arange(len(values["targets"])), test_size=test_share, random_state=seed)

    def score(inputs: np.ndarray, outputs: np.ndarray) -> float:
        outputs = outputs[:, 0] if outputs.shape[1] == 1 else outputs
        return float(_regressor(kind, seed).fit(inputs[fit], outputs[fit]).score(inputs[held], outputs[held]))

    others = np.random.default_rng(seed).permutation(len(values["targets"]))
    return ProbeScores(
        score=score(values["activations"], values["targets"]),
        untrained=score(values["untrained"], values["targets"]),
        shuffled=score(values["activations"], values["targets"][others]),
    )


def _regressor(kind: str, seed: int) -> RegressorMixin:
    if kind == "linear":
        return make_pipeline(StandardScaler(), RidgeCV(alphas=np.geomspace(1e-4, 1e4, 17)))
    return make_pipeline(
        StandardScaler(),
        MLPRegressor(hidden_layer_sizes=(128,), early_stopping=True, max_iter=400, random_state=seed, tol=1e-5),
    )


def _checked(name: str, values: Tensor) -> Float[np.ndarray, "prompt feature"]:
    if values.dim() != 2:
        raise ValueError(f"{name} has the axes [prompt, feature], got shape {tuple(values.shape)}")
    if not torch.isfinite(values).all():
        raise ValueError(f"{name} holds values that are NaN or infinite")
    return values.detach().cpu().double().numpy()
