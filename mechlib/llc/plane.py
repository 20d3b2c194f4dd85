"""Chains drawn in weight space: a plane through w*, where the chains are in it, and the loss on it.

With coordinates a and b along orthonormal directions u and v, a draw w is at a = u . (w - w*) and b = v . (w - w*), and
the loss drawn beneath it is L(w* + a u + b v) - L(w*): that of its foot in the plane, and not of the draw itself, which
has other coordinates as well. On a quadratic with Hessian H the coordinates are normal, with covariance
D (nbeta H + gamma)^(-1) D', D being the two directions as rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from mechlib.llc.arguments import explained, named_as_here, whole
from mechlib.llc.coins import own_coins
from mechlib.llc.data import Data, take
from mechlib.llc.estimate import estimate_llc
from mechlib.llc.flat import FlatModel, Params
from mechlib.llc.observe import Draw
from mechlib.llc.result import LLCResult
from mechlib.llc.surface import LossFn, Surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Direction", "Plane", "plane", "principal"]

Direction = Mapping[str, Tensor]
"""A direction in weight space: tensors of the parameters' shapes by name; what is not named stays where it is."""

KEPT = 2000
"""The most draws of all chains that are kept whole where directions are to be found."""
MEMORY = 2 * 10**8
"""The most numbers that these may be."""
TOGETHER = 64
"""Points of the plane whose losses are computed at once."""
MARGIN = 0.15
"""How far the grid reaches beyond the draws, as a share of their range."""


@dataclass(frozen=True)
class Plane:
    """Chains in a plane through w*."""

    coordinates: Float[Tensor, "chain draw 2"]
    """Of the draws that were kept, w* being (0, 0)."""
    directions: tuple[dict[str, Tensor], dict[str, Tensor]]
    """The two directions, orthonormal, by parameters; of the free weights alone."""
    shares: tuple[float, float]
    """The share of the draws' variance along each, of that in all directions; NaN where directions were given."""
    axes: tuple[Float[Tensor, " grid"], Float[Tensor, " grid"]]
    """The coordinates of the grid."""
    loss: Float64[Tensor, "grid grid"]
    """L - L(w*) over all the data at the points of the grid, ``[first, second]``."""
    result: LLCResult
    """The estimate of these chains."""

    def plot(self, ax: Axes | None = None, *, levels: int = 12) -> Axes:
        """Contours of nbeta (L - L(w*)) on the plane, evenly spaced in its root, and the path of every chain."""
        import matplotlib.pyplot as plt

        ax = plt.subplots()[1] if ax is None else ax
        height = (self.result.nbeta * self.loss).numpy()
        low, high = math.copysign(abs(height.min()) ** 0.5, height.min()), abs(height.max()) ** 0.5
        heights = torch.linspace(low, high, levels).double()
        first, second = (values.numpy() for values in self.axes)
        drawn = ax.contour(first, second, height.T, levels=(heights * heights.abs()).tolist(), cmap="Greys_r")
        ax.figure.colorbar(drawn, ax=ax, label=r"$n\beta\,(L - L(w^*))$ on the plane")
        for chain in self.coordinates.numpy():
            ax.plot(*chain.T, marker=".", markersize=2, linewidth=0.4, alpha=0.6)
        ax.plot(0, 0, "+", color="0.1", markersize=10)
        names = [f" ({share:.0%} of the variance)" if share == share else "" for share in self.shares]
        ax.set(xlabel=f"first direction{names[0]}", ylabel=f"second direction{names[1]}")
        return ax


@named_as_here
def plane(
    model: nn.Module,
    loss_fn: LossFn,
    data: Data,
    *,
    directions: tuple[Direction, Direction] | None = None,
    grid: int = 41,
    chains: int = 8,
    draws: int = 1000,
    params: Params = None,
    device: torch.device | str = "auto",
    seed: int = 0,
    **options: Any,
) -> Plane:
    """Run chains, and say where they are in a plane through w*, and what the loss is on it.

    Args:
        model, loss_fn, data, chains, draws, params, device, seed: as for :func:`mechlib.llc.estimate_llc`.
        directions: two that span the plane; they are made orthonormal, the first keeping its own. None for the
            principal ones, in which the draws are spread most (:func:`principal`): then at most 2000 draws, evenly
            spaced, are kept.
        grid: points along each axis at which the loss is computed; ``grid**2`` losses over all the data.
        options: the other arguments of ``estimate_llc``.

    Raises:
        TypeError, ValueError: as ``estimate_llc`` does; if a direction names no free parameter, or has another shape
            than it; if the two are parallel, or the draws that are to be kept are too large for memory.
        KeyboardInterrupt: on Ctrl-C before the second draw.
    """
    if "on_draw" in options:
        raise ValueError("on_draw is set here: it reads where the chains are")
    grid, flat = whole("grid", grid, 2), FlatModel(model, params, device)
    given = None if directions is None else _orthonormal(_rows(flat, directions))
    seen = _Seen(flat, given, whole("chains", chains, 1), whole("draws", draws, 1))
    result = estimate_llc(
        model, loss_fn, data, chains=chains, draws=draws, params=params, device=device, seed=seed, on_draw=seen.read,
        **options,
    )  # fmt: skip
    kept = seen.together()
    basis, shares = principal(kept) if given is None else (given, (math.nan, math.nan))
    coordinates = kept @ basis.T if given is None else kept
    axes = _axes(coordinates, grid)
    with own_coins(seed, flat.device), explained(model):
        loss = _loss(flat, loss_fn, data, basis, axes, result.strategy)
    first, second = (_apart(flat, row) for row in basis)
    return Plane(coordinates.cpu(), (first, second), shares, axes, loss, result)


class _Seen:
    """Where the chains were: in the plane at every draw where it is given, or else as a whole at some.

    Raises:
        ValueError: if that is too large.
    """

    def __init__(self, flat: FlatModel, given: Tensor | None, chains: int, draws: int):
        self._flat, self._given = flat, given
        self._every = 1 if given is not None else math.ceil(chains * draws / KEPT)
        numbers = flat.size * chains * math.ceil(draws / self._every)
        if given is None and numbers > MEMORY:
            raise ValueError(
                f"to find the principal directions, {numbers:,} numbers would be kept, and {MEMORY:,} are the most: "
                "give directions, or fewer params"
            )
        self._seen: list[list[Tensor]] = [[] for _ in range(chains)]

    def read(self, draw: Draw) -> None:
        """What ``on_draw`` is."""
        if draw.index % self._every == 0:
            moved = self._flat.flattened(draw.weights) - self._flat.w_star
            self._seen[draw.chain].append(moved if self._given is None else self._given @ moved)

    def together(self) -> Float[Tensor, "chain draw what"]:
        """All of it; of a run that was cut short, the draws that every chain made."""
        draws = len(self._seen[-1])
        if draws < 2:
            raise KeyboardInterrupt
        found = torch.stack([torch.stack(chain[:draws]) for chain in self._seen])
        if not bool(torch.isfinite(found).all()):
            raise ValueError("a chain left the scale of the problem, and is nowhere in the plane: try a smaller lr")
        return found


def principal(moved: Float[Tensor, "chain draw param"]) -> tuple[Float[Tensor, "2 param"], tuple[float, float]]:
    """The two orthonormal directions along which draws vary most, and their shares of the variance.

    Each points to the side of its largest entry.

    Raises:
        ValueError: if there are fewer than two weights or three draws.
    """
    draws = moved.flatten(0, 1).double()
    if min(draws.shape[1], len(draws) - 1) < 2:
        raise ValueError(f"a plane needs two weights and three draws at least, not {tuple(draws.shape[::-1])}")
    centred = draws - draws.mean(0)
    inner = centred @ centred.T if len(draws) < draws.shape[1] else centred.T @ centred
    variances, vectors = torch.linalg.eigh(inner)
    rows = vectors[:, -2:].T.flip(0)
    if len(draws) < draws.shape[1]:
        rows = torch.nn.functional.normalize(rows @ centred, dim=1)
    signs = rows.gather(1, rows.abs().argmax(1, keepdim=True)).sign()
    first, second = (variances[-2:].flip(0) / variances.sum()).tolist()
    return (signs * rows).to(moved), (first, second)


def _rows(flat: FlatModel, directions: tuple[Direction, Direction]) -> Float[Tensor, "2 param"]:
    center = flat.named(flat.w_star)
    rows = []
    for direction in directions:
        for name, part in direction.items():
            if name not in center:
                raise ValueError(f"a direction names {name!r}, and the free parameters are {', '.join(flat.names)}")
            if part.shape != center[name].shape:
                raise ValueError(
                    f"the direction of {name!r} has shape {tuple(part.shape)}, the weight {tuple(center[name].shape)}"
                )
        rows.append(flat.flattened({n: direction.get(n, torch.zeros_like(p)).to(p) for n, p in center.items()}))
    return torch.stack(rows)


def _orthonormal(rows: Float[Tensor, "2 param"]) -> Float[Tensor, "2 param"]:
    first, second = torch.nn.functional.normalize(rows.double(), dim=1)
    rest = second - (second @ first) * first
    if not float(rest.norm()) > 1e-6:
        raise ValueError("the two directions are parallel among the free weights, or one is zero there")
    return torch.stack([first, rest / rest.norm()]).to(rows)


def _apart(flat: FlatModel, row: Float[Tensor, " param"]) -> dict[str, Tensor]:
    """A direction by parameters, zero where weights are frozen."""
    ahead, center = flat.named(row), flat.named(torch.zeros_like(row))
    return {name: part - center[name] for name, part in ahead.items()}


def _axes(coordinates: Float[Tensor, "chain draw 2"], grid: int) -> tuple[Tensor, Tensor]:
    flat = coordinates.flatten(0, 1)
    low, high = flat.amin(0).clamp_max(0), flat.amax(0).clamp_min(0)
    beyond = MARGIN * (high - low)
    first, second = (
        torch.linspace(float(a - more), float(b + more), grid) for a, b, more in zip(low, high, beyond, strict=True)
    )
    return first, second


def _loss(
    flat: FlatModel, loss_fn: LossFn, data: Data, basis: Tensor, axes: tuple[Tensor, Tensor], strategy: str
) -> Float64[Tensor, "grid grid"]:
    samples = take(data, flat.device, flat.dtype)
    surface, batch = Surface(flat, samples.loss(loss_fn), strategy), samples.whole()
    points = torch.cartesian_prod(*axes).to(flat.w_star)
    rows = (flat.w_star + part @ basis for part in points.split(TOGETHER))
    losses = torch.cat([surface.losses(part, batch) for part in rows])
    return (losses - surface.losses(flat.w_star[None], batch)).view(len(axes[0]), -1).cpu()
