"""Whether a loss is one that chains can follow: it moves with the free weights, as its gradient says, sample by sample.

A gradient can be lost where the loss is not: under ``torch.no_grad()``, behind ``.detach()``, or where a module makes
new parameters of the weights it is handed (a slice of an ``nn.ParameterList`` does). The chains then drift as if those
weights had no loss. A loss that calls another model than ``f`` moves with nothing. And a batch norm without running
statistics gives a sample another loss in another batch. All of it is looked for before the chains start, a little away
from w*, where a gradient may be zero by right, and on one batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from mechlib.llc.flat import FlatModel
from mechlib.llc.precision import in_double
from mechlib.llc.surface import Batch, Surface, checked_losses

__all__ = ["Soundness", "soundness"]

AWAY, FAR = 0.01, (1.0, 10.0)
"""How far from w* it is looked, in units of each parameter's root mean square; and how far at last for any change."""
STEP, DIRECTIONS = 1e-5, 4
"""Half the length over which losses are compared, in the same units, and in how many directions."""
UNIT, LEAST = 1e-13, 1e-8
"""The smallest change of a loss in double precision, and the smallest slope, as shares of it, that say anything."""

RIGHT = """f is the model at the weights of a chain and stands where the model would, with gradients on:
    def loss_fn(f, batch):
        inputs, targets = batch
        return torch.nn.functional.cross_entropy(f(inputs), targets, reduction="none")"""


@dataclass(frozen=True)
class Soundness:
    """What can be wrong with a loss and yet not forbid an estimate."""

    slope_error: float = 0.0
    """How far the slopes that autograd claims are from those of the loss, as a share of them: root mean square over
    random directions; 0 where it cannot be told."""
    coupled: bool = False
    """Whether the mean loss of a batch is another than that of its parts."""
    batch_norms: tuple[str, ...] = ()
    """The norms over the batch that have no running statistics."""


@dataclass
class _Calls:
    """What was seen of the calls of ``f`` in one evaluation of the loss."""

    called: bool = False
    with_gradients: bool = False
    """Whether gradients were on at any of them."""
    connected: bool = False
    """Whether anything that came out requires a gradient."""


def soundness(surface: Surface, batch: Batch, *, whole: bool, random: bool) -> Soundness:
    """Look at the loss and its gradient on one batch; costs two gradients and some 20 losses in double precision.

    Args:
        surface: of the strategy ``"serial"``.
        whole: whether the batch is all there is.
        random: whether the loss throws coins: then numbers are not compared.

    Raises:
        ValueError: if the loss does not depend on the free weights; or does, but not in the eyes of autograd, for all
            of them or for some parameters, which are named; or if it is the same on another batch.
    """
    losses, calls = _watched(surface, batch)
    if not calls.called:
        raise ValueError(f"loss_fn never called f, so its loss is the same wherever the chains are. {RIGHT}")
    if not losses.requires_grad:
        _refuse(surface, batch, calls)
    if random:
        return Soundness()
    here = _moved(surface.flat, AWAY)
    gradient = surface.loss_and_grad(here[None], batch)[1][0]
    _refuse_lost_parts(surface, batch, here, gradient)
    return Soundness(
        slope_error=_slope_error(surface, here, gradient, batch),
        coupled=_coupled(surface, here, batch, whole=whole),
        batch_norms=tuple(
            f"{type(module).__name__} {name!r} without running statistics"
            for name, module in surface.flat.structure.named_modules()
            if isinstance(module, nn.modules.batchnorm._NormBase) and module.running_mean is None
        ),
    )


def _watched(surface: Surface, batch: Batch) -> tuple[Float64[Tensor, " sample"], _Calls]:
    """The losses at w*, with their graph, and what ``loss_fn`` did with ``f`` on the way."""
    calls, f = _Calls(), surface.flat.call(surface.flat.w_star.clone().requires_grad_())

    def watched(*args: object, **kwargs: object) -> object:
        out = f(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        calls.called = True
        calls.with_gradients |= torch.is_grad_enabled()
        calls.connected |= not tensors or any(tensor.requires_grad for tensor in tensors)
        return out

    with torch.enable_grad():
        return checked_losses(surface.loss_fn(watched, batch), batch), calls


def _refuse(surface: Surface, batch: Batch, calls: _Calls) -> None:
    """Say why a loss requires no gradient."""
    if _is_idle(surface, surface.flat.w_star, batch):
        raise ValueError(_idle(surface.flat))
    if not calls.with_gradients:
        where = "loss_fn calls f under torch.no_grad() or torch.inference_mode()"
    elif not calls.connected:
        where = "the model's output has none (no_grad, .detach(), .data or NumPy in its forward)"
    else:
        where = "loss_fn cuts it after the call of f (no_grad, .detach(), .data, .item(), NumPy or a new tensor)"
    raise ValueError(f"the loss depends on the free weights, but its gradient is lost: {where}. {RIGHT}")


def _is_idle(surface: Surface, here: Float[Tensor, " param"], batch: Batch) -> bool:
    """Whether the losses are the same, to the last digit, wherever it is looked."""
    with torch.no_grad():
        places = [here, *(_moved(surface.flat, share) for share in FAR)]
        first, *others = (surface.per_sample(place, batch) for place in places)
    return all(torch.equal(first, other) for other in others)


def _refuse_lost_parts(
    surface: Surface, batch: Batch, here: Float[Tensor, " param"], gradient: Float[Tensor, " param"]
) -> None:
    """Whether parameters whose gradient is zero throughout are felt by the loss all the same."""
    flat = surface.flat
    still = [i for i, part in enumerate(gradient.split(flat.sizes)) if not bool(part.any())]
    if not still:
        return
    if len(still) == len(flat.names) and _is_idle(surface, here, batch):
        raise ValueError(_idle(flat))
    along = _directions(flat, 1)[0]
    lost = [i for i in still if _lost(surface, batch, here, _only(flat, along, i), i)]
    if lost:
        shown = ", ".join(repr(flat.names[i]) for i in lost[:3]) + (" ..." if len(lost) > 3 else "")
        raise ValueError(
            f"the loss moves with {shown}, and autograd gives no gradient there: the weights are cut off on the way "
            "(.detach(), .data, torch.no_grad(), a new nn.Parameter, or a slice of an nn.ParameterList: index it or "
            "iterate over it instead). Mend that, or leave them out with params=[...]"
        )


def _lost(surface: Surface, batch: Batch, here: Tensor, along: Float64[Tensor, " param"], piece: int) -> bool:
    """Whether the loss has a slope along a direction in one parameter, and still no gradient a little along it."""
    ahead, behind = (in_double(surface, here.double() + sign * STEP * along, batch) for sign in (1, -1))
    if ahead is None or behind is None or not (ahead - behind).mean().abs() > UNIT * ahead.abs().mean():
        return False
    gradient = surface.loss_and_grad((here + STEP * along).to(here)[None], batch)[1][0]
    return not bool(gradient.split(surface.flat.sizes)[piece].any())


def _slope_error(
    surface: Surface, here: Float[Tensor, " param"], gradient: Float[Tensor, " param"], batch: Batch
) -> float:
    exact = in_double(surface, here, batch)
    if exact is None:
        return 0.0
    with torch.no_grad():
        rounded = (surface.per_sample(here, batch) - exact).norm()
    slopes = []
    for along in _directions(surface.flat, DIRECTIONS):
        ahead, behind = (in_double(surface, here.double() + sign * STEP * along, batch) for sign in (1, -1))
        if ahead is None or behind is None:
            return 0.0
        slopes.append(torch.stack([(ahead - behind).mean() / (2 * STEP), gradient.double() @ along]))
    true, claimed = torch.stack(slopes, 1)
    size = torch.maximum(true.norm(), claimed.norm())
    told = size > LEAST * exact.abs().mean() and bool(torch.isfinite(size)) and rounded <= 0.01 * exact.norm()
    if not told:
        return 0.0
    return float((true - claimed).norm() / size)


def _coupled(surface: Surface, here: Float[Tensor, " param"], batch: Batch, *, whole: bool) -> bool:
    """Whether a batch has another mean loss than its halves, each taken twice to make a batch of the same size."""
    parts = (batch,) if isinstance(batch, Tensor) else batch or ()
    half = len(parts[0]) // 2 if parts else 0
    if half < 2:
        return False
    first = torch.arange(half, device=parts[0].device)
    last = torch.arange(2 * half, len(parts[0]), device=parts[0].device)
    pairs = ((first, first + half), (first, first), (first + half, first + half))
    batches = [tuple(part[torch.cat([*pair, last])] for part in parts) for pair in pairs]
    tried = [in_double(surface, here, these[0] if isinstance(batch, Tensor) else these) for these in batches]
    found = [losses for losses in tried if losses is not None]
    if len(found) < len(tried):
        return False
    together, *apart = found
    same = all(torch.equal(one, other) for one, other in zip(*batches[1:], strict=True))
    if not whole and not same and all(torch.equal(together, losses) for losses in apart):
        raise ValueError("loss_fn gives the same losses for other samples: it takes them from the batch it is given")
    gap = together.mean() - torch.stack(apart).mean()
    return bool(gap.abs() > 1e-5 * together.abs().mean())


def _moved(flat: FlatModel, share: float) -> Float[Tensor, " param"]:
    """A random place around w*, so far from it in units of :func:`_scales`."""
    noise = torch.randn(flat.size, generator=_generator(flat), device=flat.device, dtype=flat.dtype)
    return flat.w_star + share * _scales(flat) * noise


def _directions(flat: FlatModel, number: int) -> Float64[Tensor, "direction param"]:
    """Random directions, of length about one in every weight in units of :func:`_scales`."""
    shape, generator = (number, flat.size), _generator(flat, seed=1)
    return torch.randn(shape, generator=generator, device=flat.device, dtype=torch.float64) * _scales(flat)


def _scales(flat: FlatModel) -> Float[Tensor, " param"]:
    """For every weight the root mean square of those of its parameter; of all, or 1, where that is zero."""
    rest = flat.w_star.square().mean().sqrt()
    rest = torch.where(rest > 0, rest, 1.0)
    sizes = [part.square().mean().sqrt() for part in flat.w_star.split(flat.sizes)]
    return torch.cat([torch.where(rms > 0, rms, rest).expand(n) for rms, n in zip(sizes, flat.sizes, strict=True)])


def _only(flat: FlatModel, along: Float64[Tensor, " param"], piece: int) -> Float64[Tensor, " param"]:
    """The direction in one of the parameters, zero in the others."""
    return torch.cat([part * (i == piece) for i, part in enumerate(along.split(flat.sizes))])


def _generator(flat: FlatModel, seed: int = 0) -> torch.Generator:
    return torch.Generator(flat.device).manual_seed(seed)


def _idle(flat: FlatModel) -> str:
    shown = ", ".join(map(repr, flat.names[:3])) + (" ..." if len(flat.names) > 3 else "")
    return f"the loss does not depend on the free weights ({shown}): it is the same wherever they are. {RIGHT}"
