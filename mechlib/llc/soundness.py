"""Whether a loss is one that chains can follow: it moves with the free weights, as its gradient says, sample by sample.

A gradient can be lost where the loss is not: under ``torch.no_grad()``, behind ``.detach()``, or where a module makes
new parameters of the weights it is handed (a slice of an ``nn.ParameterList`` does). The chains then drift as if those
weights had no loss. A loss that calls another model than ``f`` moves with nothing. And a batch norm without running
statistics gives a sample another loss in another batch. All of it is looked for before the chains start, on one batch
and a little away from w*, where a gradient may be zero by right: in double precision, where a saturated unit has a
small gradient and not none, and of a loss that throws torch's coins with the same coins each time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from mechlib.llc.coins import own_coins
from mechlib.llc.flat import FlatModel
from mechlib.llc.precision import gradient_in_double, in_double
from mechlib.llc.surface import Batch, Surface, checked_losses

__all__ = ["SLOPE_LIMIT", "Soundness", "soundness"]

SLOPE_LIMIT = 0.05
"""Slopes that autograd has wrong by a larger share are warned of."""

AWAY, FAR = 0.01, (1.0, 10.0)
"""How far from w* it is looked, in units of each parameter's root mean square; and how far at last for any change."""
STEP, DIRECTIONS = 1e-5, 4
"""Half the length over which losses are compared, in the same units, and in how many directions."""
LONG_STEP = 1e-3
"""The same for a slope that may be rounding."""
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
    wrong: tuple[str, ...] = ()
    """The parameters along which that is more than :data:`SLOPE_LIMIT`, if it is so along all together."""
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
    """Look at the loss and its gradient on one batch; costs some five gradients and 20 losses in double precision.

    Args:
        surface: of the strategy ``"serial"``.
        whole: whether the batch is all there is.
        random: whether the loss throws coins: where they are not torch's own, numbers are not compared.

    Raises:
        ValueError: if the loss does not depend on the free weights; or does, but not in the eyes of autograd, for all
            of them or for all or some weights of a parameter, which is named; or if it is the same on another batch.
    """
    losses, calls = _watched(surface, batch)
    if not calls.called:
        raise ValueError(f"loss_fn never called f, so its loss is the same wherever the chains are. {RIGHT}")
    if not losses.requires_grad:
        _refuse(surface, batch, calls)
    near = _Near(surface, batch)
    if random and not near.repeats():
        return Soundness()
    _refuse_lost_parts(near)
    slope_error = near.slope_error(*_directions(surface.flat, DIRECTIONS))
    return Soundness(
        slope_error=slope_error,
        wrong=_wrong(near) if slope_error > SLOPE_LIMIT else (),
        coupled=not random and _coupled(surface, near.here, batch, whole=whole),
        batch_norms=tuple(
            f"{type(module).__name__} {name!r} without running statistics"
            for name, module in surface.flat.structure.named_modules()
            if isinstance(module, nn.modules.batchnorm._NormBase) and module.running_mean is None
        ),
    )


class _Near:
    """The loss and its gradients near ``here``, a place a little away from w*; torch's coins are the same each time."""

    def __init__(self, surface: Surface, batch: Batch):
        self.surface, self.batch, self.flat = surface, batch, surface.flat
        self.here = _moved(surface.flat, AWAY)
        self._exact = self.losses(self.here.double())
        with self._coins():
            self._gradient: Float[Tensor, " param"] = surface.loss_and_grad(self.here[None], batch)[1][0]

    def repeats(self) -> bool:
        """Whether the losses here are the same when they are asked for once more."""
        again = self.losses(self.here.double())
        return self._exact is not None and again is not None and torch.equal(self._exact, again)

    def losses(self, row: Float64[Tensor, " param"]) -> Float64[Tensor, " sample"] | None:
        """Those of the samples in double precision; None where they cannot be had so."""
        with self._coins():
            return in_double(self.surface, row, self.batch)

    def gradient(self, row: Float64[Tensor, " param"]) -> Float64[Tensor, " param"]:
        """In double precision; where it cannot be had so, in that of the chains."""
        with self._coins():
            found = gradient_in_double(self.surface, row, self.batch)
            return self.surface.loss_and_grad(row.to(self.here)[None], self.batch)[1][0] if found is None else found

    def slope(self, along: Float64[Tensor, " param"], step: float = STEP) -> float:
        """That of the loss along a direction, from losses on both sides; NaN where they cannot be had."""
        ahead, behind = (self.losses(self.here.double() + sign * step * along) for sign in (1, -1))
        return math.nan if ahead is None or behind is None else float((ahead - behind).mean()) / (2 * step)

    def felt(self, along: Float64[Tensor, " param"]) -> bool:
        """Whether the loss has a slope along a direction of which autograd has nothing on either side.

        Where there is a kink between the sides, it has something on one of them. A slope of rounding is none over a
        longer step.
        """
        slope = self.slope(along)
        if self._exact is None or not abs(slope) > UNIT * float(self._exact.abs().mean()) / (2 * STEP):
            return False
        if not abs(self.slope(along, LONG_STEP) - slope) < 0.2 * abs(slope):
            return False
        sides = (self.gradient(self.here.double() + sign * STEP * along).double() for sign in (1, -1))
        return abs(sum(float(side @ along) for side in sides) / 2) < 0.1 * abs(slope)

    def slope_error(self, *directions: Float64[Tensor, " param"]) -> float:
        """How far the slopes that the chains' gradient claims are from those of the loss, as a share of them."""
        if self._exact is None:
            return 0.0
        true = torch.tensor([self.slope(along) for along in directions])
        claimed = torch.tensor([float(self._gradient.double() @ along) for along in directions])
        size = torch.maximum(true.norm(), claimed.norm())
        with self._coins(), torch.no_grad():
            rounded = (self.surface.per_sample(self.here, self.batch) - self._exact).norm()
        sure = rounded <= 0.01 * self._exact.norm() and bool(torch.isfinite(size))
        return float((true - claimed).norm() / size) if sure and size > LEAST * self._exact.abs().mean() else 0.0

    def _coins(self) -> AbstractContextManager[None]:
        return own_coins(0, self.flat.device)


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


def _refuse_lost_parts(near: _Near) -> None:
    """Whether weights whose gradient is zero are felt by the loss all the same."""
    flat = near.flat
    still: Bool[Tensor, " param"] = near.gradient(near.here.double()) == 0
    if not bool(still.any()):
        return
    if bool(still.all()) and _is_idle(near.surface, near.here, near.batch):
        raise ValueError(_idle(flat))
    along = _directions(flat, 1)[0] * still
    if not near.felt(along):
        return
    lost = [name for i, name in enumerate(flat.names) if near.felt(_only(flat, along, i))]
    if lost:
        raise ValueError(
            f"the loss moves with {_shown(lost)}, and autograd gives no gradient there: the weights, or some of them, "
            "are cut off on the way (.detach(), .data, torch.no_grad(), a new nn.Parameter, or a slice of an "
            "nn.ParameterList: index it or iterate over it instead). Mend that, or leave them out with params=[...]"
        )


def _wrong(near: _Near) -> tuple[str, ...]:
    """The parameters along which the slopes that autograd claims are not those of the loss."""
    along, names = _directions(near.flat, 1)[0], near.flat.names
    return tuple(name for i, name in enumerate(names) if near.slope_error(_only(near.flat, along, i)) > SLOPE_LIMIT)


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
    """A random place around w*, so far from it in units of :func:`_scales`, in every weight at least half of it."""
    noise = torch.rand(flat.size, generator=_generator(flat), device=flat.device, dtype=flat.dtype) * 2 - 1
    return flat.w_star + share * _scales(flat) * (noise + noise.sign() / 2)


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
    names = _shown(flat.names)
    return f"the loss does not depend on the free weights ({names}): it is the same wherever they are. {RIGHT}"


def _shown(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (" ..." if len(names) > 3 else "")
