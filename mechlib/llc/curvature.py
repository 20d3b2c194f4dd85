"""The trace of the Hessian and of the Fisher information, by random probes.

Both measure the loss near w* as if it were quadratic there: what a learning coefficient is compared with, since a
singular direction has no share in a trace and may have one in λ.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from mechlib.llc.arguments import check_loss, explained, named_as_here, seed_number
from mechlib.llc.batches import Batches, n_samples
from mechlib.llc.coins import own_coins
from mechlib.llc.data import Data, take
from mechlib.llc.diagnostics import about_model, mode_layers
from mechlib.llc.flat import FlatModel, Params
from mechlib.llc.posterior import at_start
from mechlib.llc.result import LLCWarning, Unreliable
from mechlib.llc.surface import Batch, LossFn, Surface

__all__ = ["CurvatureTrace", "curvature_trace"]


@dataclass(frozen=True)
class CurvatureTrace:
    """A trace as the mean over independent random probes; prints as ``value ± std_error``."""

    value: float
    """The mean over the probes."""
    std_error: float
    """The standard error of the mean."""
    per_probe: Float[Tensor, " probe"]
    """What each probe says, ``[probe]``."""
    kind: str
    """``"hessian"`` or ``"fisher"``."""
    n_params: int
    """The number of free weights, the dimension of the trace."""
    warnings: tuple[LLCWarning, ...] = ()
    """Reasons not to believe it: ``wrong_gradient``, ``coupled_samples``, ``random_loss``, ``eval_mode`` and
    ``interrupted``."""

    def __str__(self) -> str:
        return f"{self.value:.4g} ± {self.std_error:.2g}"


@named_as_here
def curvature_trace(
    model: nn.Module,
    loss_fn: LossFn,
    data: Data,
    kind: Literal["hessian", "fisher"] = "hessian",
    params: Params = None,
    *,
    probes: int = 64,
    batch_size: int | None = None,
    device: torch.device | str = "auto",
    seed: int = 0,
    progress: bool = True,
) -> CurvatureTrace:
    """The trace of a curvature matrix of the mean loss at the model's weights, with its error (Hutchinson 1990).

    With signs v drawn at random, ``E[v v'] = 1``. So ``E[v'Hv] = tr H`` for the Hessian, signs over the weights; and
    ``E|sum_i v_i g_i|^2 / n = sum_i |g_i|^2 / n`` for the gradients ``g_i`` of n samples, signs over the samples. The
    latter is the trace of the Fisher information if the loss is a negative log-likelihood and the labels are drawn from
    the model; with the labels of the data it is that of the empirical Fisher matrix, which differs away from the truth
    (Kunstner et al. 2019).

    A matrix that is diagonal (Hessian), or gradients that are orthogonal (Fisher), give the trace without error. The
    model runs in eval mode and is left as it was, and so is torch's random state. Ctrl-C after two probes returns what
    they say. Every reason not to believe the result is in ``warnings`` and is a Python warning of category
    :class:`Unreliable`.

    Args:
        model, loss_fn, data, params: as for :func:`mechlib.llc.estimate_llc`.
        probes: each costs two backward passes over the data for the Hessian, one for Fisher.
        batch_size: samples at a time, to save memory; the result is that over all the data. None for that of a loader,
            and for all at once of other data.

    Raises:
        ValueError: if ``kind`` is neither, there are fewer than two probes, or Fisher is asked for without data; and as
            :func:`mechlib.llc.estimate_llc` for model, loss, data and params.
        KeyboardInterrupt: on Ctrl-C before the second probe.
    """
    _check(kind, probes, loss_fn, data)
    seed = seed_number(seed)
    flat = FlatModel(model, params, device)
    samples = take(data, flat.device, flat.dtype)
    surface = Surface(flat, samples.loss(loss_fn), "serial")
    generator = torch.Generator(flat.device).manual_seed(seed)
    batches = Batches(samples.parts, samples.size(batch_size), generator)
    one = _hessian_probe if kind == "hessian" else _fisher_probe
    with own_coins(seed, flat.device), explained(model):
        reasons = [*about_model(at_start(surface, batches, batches.size), mode_layers(model))]
        bar = tqdm(range(probes), desc=f"trace of the {kind}", disable=not progress)
        found = _collected(lambda _: one(surface, batches, generator), bar)
    if not bool(torch.isfinite(found).all()):
        bad = int((~torch.isfinite(found)).sum())
        raise ValueError(f"{bad} of {len(found)} probes are not finite at these weights")
    if len(found) < probes:
        reasons.append(("interrupted", f"interrupted after {len(found)} of {probes} probes"))
    for code, message in reasons:
        warnings.warn(f"{code}: {message}", Unreliable, stacklevel=3)
    return CurvatureTrace(
        value=float(found.double().mean()),
        std_error=float(found.double().std()) / len(found) ** 0.5,
        per_probe=found.cpu(),
        kind=kind,
        n_params=flat.size,
        warnings=tuple(LLCWarning(*reason) for reason in reasons),
    )


def _check(kind: str, probes: int, loss_fn: LossFn, data: Data) -> None:
    if kind not in ("hessian", "fisher"):
        raise ValueError(f"kind is 'hessian' or 'fisher', not {kind!r}")
    if probes < 2:
        raise ValueError(f"an error needs at least two probes, got {probes}")
    if kind == "fisher" and data is None:
        raise ValueError("the Fisher trace is a mean over samples: it needs data, got None")
    check_loss(loss_fn)


def _collected(probe: Callable[[int], Tensor], numbers: Iterable[int]) -> Float[Tensor, " probe"]:
    """What the probes say, one after another, or those before Ctrl-C."""
    found = []
    try:
        for number in numbers:
            found.append(probe(number))
    except KeyboardInterrupt:
        if len(found) < 2:
            raise
    return torch.stack(found)


def _hessian_probe(surface: Surface, batches: Batches, generator: torch.Generator) -> Float[Tensor, ""]:
    """``v'Hv`` for one vector of signs over the weights."""
    signs = _signs(surface.flat.w_star, generator)
    along = (_curvature_along(surface, signs, batch) * n_samples(batch) for batch in batches.chunks(batches.size))
    return sum(along, start=signs.new_zeros(())) / batches.samples


def _curvature_along(surface: Surface, direction: Float[Tensor, " param"], batch: Batch) -> Float[Tensor, ""]:
    w = surface.flat.w_star.clone().requires_grad_()
    loss = surface.per_sample(w, batch).mean()
    (gradient,) = torch.autograd.grad(loss, w, create_graph=True)
    if not gradient.requires_grad:
        return torch.zeros_like(loss.detach())
    (product,) = torch.autograd.grad(gradient @ direction, w, materialize_grads=True)
    return product @ direction


def _fisher_probe(surface: Surface, batches: Batches, generator: torch.Generator) -> Float[Tensor, ""]:
    """``sum over batches of |sum_i v_i g_i|^2 / n`` for one vector of signs over the samples."""
    total = surface.flat.w_star.new_zeros(())
    for batch in batches.chunks(batches.size):
        w = surface.flat.w_star.clone().requires_grad_()
        losses = surface.per_sample(w, batch)
        (gradient,) = torch.autograd.grad(losses @ _signs(losses.detach(), generator), w)
        total += gradient.square().sum()
    return total / batches.samples


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randint(2, like.shape, generator=generator, device=like.device).to(like) * 2 - 1
