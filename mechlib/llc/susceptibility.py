"""How the chains of a part of the model answer to samples: covariances over draws of losses with losses.

Let h tilt the loss towards sample i, L + h (l_i - L). The expectation of an observable f under exp(-nbeta L - prior)
then moves by

    d E[f] / dh = -nbeta Cov(f, l_i - L)     at h = 0,

a covariance over draws that have been made without the tilt (the fluctuation-dissipation theorem). With f = L - L(w*)
and chains that move the weights of one component only, ``-Cov(f, l_i - L)`` is the susceptibility of that component to
the sample: positive where giving the sample weight would raise the component's loss, so that it serves other samples
(Baker, Wang, Hoogland, Pathak & Murfet 2025, arXiv:2504.18274, whose observable is held to the component in the
posterior of all weights; here that posterior is itself held to it, as in a restricted coefficient).

On a quadratic all of it is known. With u normal of covariance S, L - L(w*) = u'Hu / 2, l_i = u'A_i u / 2 + b_i'u + c_i,

    Cov(L, l_i) = tr(H S A_i S) / 2,    Cov(l_i, l_j) = tr(A_i S A_j S) / 2 + b_i'S b_j.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from mechlib.llc.arguments import named_as_here
from mechlib.llc.chains import std_error
from mechlib.llc.data import Data, Samples, take
from mechlib.llc.estimate import estimate_llc
from mechlib.llc.flat import Params
from mechlib.llc.observe import Draw, OnDraw
from mechlib.llc.result import LLCResult
from mechlib.llc.surface import LossFn, checked_losses

__all__ = ["Covariance", "Susceptibilities", "covariance", "losses_of", "susceptibilities"]


@dataclass(frozen=True)
class Covariance:
    """Covariances over the draws of all chains, with errors."""

    value: Float64[Tensor, "*both"]
    """The covariance of every entry of the first with every entry of the second: the axes of the first, then those of
    the second."""
    std_error: Float64[Tensor, "*both"]
    """Its standard error, from the effective sample size of the product of the two deviations."""


def covariance(first: Float[Tensor, "chain draw *first"], second: Float[Tensor, "chain draw *second"]) -> Covariance:
    """The covariances of what was read at each draw; too small by a share of one over the effective draws.

    Costs about a millisecond for each pair of entries.

    Raises:
        ValueError: if the two are not of the same chains and draws, or of fewer than 4 draws.
    """
    if first.shape[:2] != second.shape[:2] or first.ndim < 2 or first.shape[1] < 4:
        raise ValueError(
            "covariance is of two tensors [chain, draw, ...] of the same chains and draws, 4 at least, not of shapes "
            f"{tuple(first.shape)} and {tuple(second.shape)}"
        )
    shape = (*first.shape[2:], *second.shape[2:])
    left, right = (_deviations(t) for t in (first, second))
    value = torch.einsum("cda,cdb->ab", left, right) / (left.shape[0] * left.shape[1] - 1)
    errors = [[std_error(a * b) for b in right.movedim(2, 0)] for a in left.movedim(2, 0)]
    return Covariance(value.view(shape), torch.tensor(errors, dtype=torch.float64).view(shape))


def _deviations(read: Float[Tensor, "chain draw *what"]) -> Float64[Tensor, "chain draw entry"]:
    flat = read.detach().double().cpu().flatten(2) if read.ndim > 2 else read.detach().double().cpu()[..., None]
    return flat - flat.mean((0, 1))


def losses_of(loss_fn: LossFn, data: Data) -> OnDraw:
    """An ``on_draw`` that reads the loss of each sample, ``[sample]``, with whatever minibatches the chains run.

    Args:
        loss_fn, data: as :func:`mechlib.llc.estimate_llc` takes them; the data are read whole at every draw.

    Raises:
        ValueError: if there are no data; and, when it is called, as ``estimate_llc`` for data and losses.
    """
    if data is None:
        raise ValueError("losses of samples need data, got None")
    taken: list[Samples] = []

    def read(draw: Draw) -> Float64[Tensor, " sample"]:
        if not taken:
            weight = next(iter(draw.weights.values()))
            taken.append(take(data, weight.device, weight.dtype))
        batch = taken[0].whole()
        with torch.no_grad():
            return checked_losses(taken[0].loss(loss_fn)(draw.model, batch), batch)

    return read


@dataclass(frozen=True)
class Susceptibilities:
    """The answers of components to samples."""

    value: Float64[Tensor, "component sample"]
    """``-Cov(L, l_i - L)`` over the chains of each component, L being their loss; times ``nbeta`` it is the derivative
    of the component's expected loss by the weight of the sample."""
    std_error: Float64[Tensor, "component sample"]
    """Its standard error."""
    results: Mapping[str, LLCResult]
    """The restricted estimates by component, in the order of the rows. In ``observed`` are ``"loss"``, that of all the
    data, and ``"samples"``, those of the samples."""

    @property
    def components(self) -> tuple[str, ...]:
        """The names of the rows."""
        return tuple(self.results)

    def __str__(self) -> str:
        rows = (
            f"{name}: {row.min():.3g} to {row.max():.3g}" for name, row in zip(self.results, self.value, strict=True)
        )
        return "\n".join([f"susceptibilities to {self.value.shape[1]} samples", *rows])


@named_as_here
def susceptibilities(
    model: nn.Module,
    loss_fn: LossFn,
    data: Data,
    components: Mapping[str, Params],
    *,
    samples: Data = None,
    **options: Any,
) -> Susceptibilities:
    """How the loss of each component's chains answers to samples.

    Args:
        model, loss_fn, data: as for :func:`mechlib.llc.estimate_llc`.
        components: by name, the weights that are free: what ``params`` of ``estimate_llc`` may be.
        samples: the samples asked about, of the structure of ``data``; None for the data themselves, and then the mean
            of a row is zero.
        options: the other arguments of ``estimate_llc``. With minibatches too, the losses that are compared are read on
            all the data at every draw: the noise of a minibatch would count as variance of L.

    Raises:
        TypeError, ValueError: as ``estimate_llc`` does; if there is no component, or ``on_draw`` or ``params`` is among
            the options.
    """
    if not components:
        raise ValueError("components are weights by name, of one component at least, not an empty mapping")
    taken = {"on_draw", "params"} & options.keys()
    if taken:
        raise ValueError(f"{' and '.join(sorted(taken))} of the chains is set here, by the components")
    read = _reader(loss_fn, data, samples)
    results = {
        name: estimate_llc(model, loss_fn, data, params=params, on_draw=read, **options)
        for name, params in components.items()
    }
    found = [_of_losses(result) for result in results.values()]
    return Susceptibilities(
        torch.stack([each.value for each in found]), torch.stack([each.std_error for each in found]), results
    )


def _reader(loss_fn: LossFn, data: Data, samples: Data) -> OnDraw:
    of_data = losses_of(loss_fn, data)
    of_samples = None if samples is None else losses_of(loss_fn, samples)

    def read(draw: Draw) -> dict[str, Tensor]:
        every = of_data(draw)
        return {"loss": every.mean(), "samples": every if of_samples is None else of_samples(draw)}

    return read


def _of_losses(result: LLCResult) -> Covariance:
    assert isinstance(result.observed, dict)
    loss, samples = result.observed["loss"], result.observed["samples"]
    return covariance(loss, loss[..., None] - samples)
