"""Probes that name a class by its code: a token by its embedding.

A map takes activations to the space of the codes, and a class is named by how near its code lies. With thousands of
classes such a map has few numbers to fit, and classes share them: one that was never seen in the fit can be named.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from mechlib.probes.regression import regress

SHARP = 10.0
"""Factor of the scores, over the mean square length of a code, with which the softmax fit starts."""
DRAWN = 512
"""Rows of one step."""


@dataclass(frozen=True)
class CodeProbe:
    """An affine map to the space of the codes, and the score of each class there."""

    weight: Float[Tensor, "d_model d_code"]
    """Coefficients of the map."""
    bias: Float[Tensor, " d_code"]
    """Its offset."""
    codes: Float[Tensor, "n_classes d_code"]
    """One code for every class."""
    offset: Float[Tensor, " n_classes"]
    """What is added to the score of every class."""

    def __call__(self, activations: Float[Tensor, "*rest d_model"]) -> Float[Tensor, "*rest n_classes"]:
        """The score of every class; affine in the activations."""
        return (activations @ self.weight + self.bias) @ self.codes.T + self.offset

    def named(self, activations: Float[Tensor, "*rest d_model"], *, batch: int = 2048) -> Int[Tensor, "*rest"]:
        """The class with the highest score."""
        rows = activations.flatten(0, -2).split(batch)
        return torch.cat([self(each).argmax(-1) for each in rows]).view(activations.shape[:-1])


def fit_ridge(
    activations: Float[Tensor, "*rest d_model"],
    labels: Int[Tensor, "*rest"],
    codes: Float[Tensor, "n_classes d_code"],
    *,
    ridge: float = 1e-3,
) -> CodeProbe:
    """Ridge regression of each row's code on its activations; the class whose code is nearest is named.

    In closed form. ``ridge`` is relative to the mean variance of a component.

    Raises:
        ValueError: if labels and activations do not match, a label is no class, or as :func:`regress`.
    """
    x, y = _checked(activations, labels, codes)
    weight, bias = regress(x, codes[y], ridge)
    return CodeProbe(weight, bias, codes, -codes.square().sum(-1) / 2)


def fit_softmax(
    activations: Float[Tensor, "*rest d_model"],
    labels: Int[Tensor, "*rest"],
    codes: Float[Tensor, "n_classes d_code"],
    *,
    steps: int = 100,
    rate: float = 0.2,
    ridge: float = 1e-3,
    seed: int = 0,
) -> CodeProbe:
    """Logistic regression over the classes, whose scores are scalar products of their codes with an affine map.

    Starts from :func:`fit_ridge` and lowers the mean of ``-log softmax(scores)[label]`` by Adam on random rows, the
    rate falling to 0. The map is fitted in coordinates in which the activations are white, so that directions of
    little variance are learned as fast as others.

    Args:
        rate: of the first step, as a share of the spread of what is fitted.

    Raises:
        ValueError: as :func:`fit_ridge`; if ``steps`` is below 1.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; it is a number of steps, at least 1")
    x, y = _checked(activations, labels, codes)
    start = fit_ridge(x, y, codes, ridge=ridge)
    sharpness = SHARP / codes.square().sum(-1).mean()
    mean, into, back = _whitening(x)
    white = (x - mean) @ into
    weight = (sharpness * back @ start.weight).requires_grad_()
    bias = (sharpness * (start.bias + mean @ start.weight)).requires_grad_()
    offset = (sharpness * start.offset).requires_grad_()
    fitted = [(weight, weight.std()), (bias, weight.std()), (offset, offset.std(correction=0))]
    groups = [{"params": [each], "lr": rate * max(float(spread.detach()), 1e-12)} for each, spread in fitted]
    adam = torch.optim.Adam(groups)
    falling = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: 1 - step / steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        drawn = torch.randint(len(x), (DRAWN,), generator=generator).to(x.device)
        with torch.enable_grad():
            scores = (white[drawn] @ weight + bias) @ codes.T + offset
            cross_entropy(scores, y[drawn]).backward()
        adam.step()
        falling.step()
        adam.zero_grad()
    found = into @ weight.detach()
    return CodeProbe(found, bias.detach() - mean @ found, codes, offset.detach())


def _whitening(
    x: Float[Tensor, "row d_model"],
) -> tuple[Float[Tensor, " d_model"], Float[Tensor, "d_model d_model"], Float[Tensor, "d_model d_model"]]:
    """The mean, a map of centred rows to white coordinates, and the one back; small variances are raised a little."""
    centred = x.double() - x.double().mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(x))
    scale = (values.clamp(min=0) + 1e-4 * values.mean() + torch.finfo(x.dtype).tiny).sqrt()
    return x.mean(0), (vectors / scale).to(x), (vectors * scale).T.to(x)


def _checked(
    activations: Tensor, labels: Tensor, codes: Tensor
) -> tuple[Float[Tensor, "row d_model"], Int[Tensor, " row"]]:
    if labels.shape != activations.shape[:-1]:
        raise ValueError(f"labels {tuple(labels.shape)} do not match activations {tuple(activations.shape)}")
    if labels.numel() == 0 or labels.min() < 0 or labels.max() >= len(codes):
        raise ValueError(f"labels must lie in 0..{len(codes) - 1}, one code for each, and not be empty")
    return activations.flatten(0, -2), labels.flatten().long()
