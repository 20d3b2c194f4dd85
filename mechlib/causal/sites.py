"""The kinds of place at which activations are patched: the points they have hooks at, and how a place is picked out."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, SupportsIndex, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge, kind_of, require_bridge
from mechlib.places import Head, entry_names, require_head
from mechlib.stream.hooks import head_output_hooks, hook_name, mlp_output_hooks, pattern_hooks
from mechlib.stream.running import at_rest, run_reading

SiteName = Literal["residual", "head", "pattern", "mlp"]
Unit = int | Head | Mapping[str, int]
"""An entry, a layer or a head, by its number or numbers, or by the names of the axes as results name it."""
Index = tuple[Tensor, ...]


@dataclass(frozen=True)
class Site:
    """One kind of place. Its units are entries, layers or heads, numbered in the order of ``units``."""

    name: SiteName
    axes: tuple[str, ...]
    """The axes of its units: ``("entry",)``, ``("layer",)`` or ``("layer", "head")``."""
    points: Callable[[TransformerBridge], list[str]]
    """The hook points, one for each entry or layer."""

    @property
    def of_heads(self) -> bool:
        return "head" in self.axes

    def labels(self, model: TransformerBridge) -> dict[str, tuple[str, ...]]:
        """What stands along each axis of the units."""
        if self.name == "residual":
            return {"entry": entry_names(model.cfg.n_layers)}
        return {axis: tuple(map(str, range(n))) for axis, n in zip(self.axes, self.shape(model), strict=True)}

    def shape(self, model: TransformerBridge) -> tuple[int, ...]:
        """The number of units along each axis."""
        n_points = model.cfg.n_layers + (self.name == "residual")
        return (n_points, model.cfg.n_heads) if self.of_heads else (n_points,)

    def units(
        self, model: TransformerBridge, only: Iterable[Unit] | None, name: str = "only"
    ) -> Int[Tensor, "unit axis"]:
        """All units, or the given ones, ``[unit, axis]`` in ascending order; ``name`` is what errors call them.

        Raises:
            TypeError: if one is no integer, or no pair of them for a head.
            ValueError: if the model does not have one, or none is given.
        """
        shape = self.shape(model)
        if only is None:
            return torch.cartesian_prod(*map(torch.arange, shape)).reshape(-1, len(shape))
        given = {self._numbers(unit, name) for unit in only}
        if not given:
            raise ValueError(f"{name} names none of the places; leave it out for all of the site {self.name!r}")
        for unit in given:
            self._require(unit, shape)
        return torch.tensor(sorted(given))

    def _numbers(self, unit: Unit, name: str) -> tuple[int, ...]:
        """The numbers of a unit, whatever holds them."""
        found: list[Any] = [unit]
        if isinstance(unit, Mapping):
            found = [unit.get(axis) for axis in self.axes]
        elif isinstance(unit, Tensor | np.ndarray):
            found = np.atleast_1d(np.asarray(unit)).tolist()
        elif isinstance(unit, tuple | list):
            found = [*unit]
        whole = (isinstance(number, SupportsIndex) and not isinstance(number, bool) for number in found)
        if len(found) != len(self.axes) or not all(whole):
            what = "pairs (layer, head)" if self.of_heads else f"numbers, each of one {self.axes[0]}"
            raise TypeError(f"{name} holds {what} for the site {self.name!r}, not {unit!r}")
        return tuple(map(operator.index, found))

    def _require(self, unit: tuple[int, ...], shape: tuple[int, ...]) -> None:
        if self.of_heads:
            layer, head = unit
            require_head(layer, head, n_layers=shape[0], n_heads=shape[1])
        elif not 0 <= unit[0] < shape[0]:
            raise ValueError(f"there is no {self.axes[0]} {unit[0]}: they are 0 to {shape[0] - 1}")

    def index(
        self, rows: Int[Tensor, " cell"], positions: Int[Tensor, "cell pos"], heads: Int[Tensor, " cell"]
    ) -> Index:
        """Picks the cells out of an activation of this site; what it picks has the axes ``[cell, pos, ...]``."""
        if not self.of_heads:
            return rows[:, None], positions
        if self.name == "pattern":
            return rows[:, None], heads[:, None], positions
        return rows[:, None], positions, heads[:, None]

    def rows_and_positions(self, activation: Tensor) -> Float[Tensor, "row pos *rest"]:
        """The activation with its positions, of queries in a pattern, behind its rows."""
        return activation.transpose(1, 2) if self.name == "pattern" else activation


def _entry_hooks(model: TransformerBridge) -> list[str]:
    return [hook_name(model, entry) for entry in range(model.cfg.n_layers + 1)]


SITES: dict[str, Site] = {
    "residual": Site("residual", ("entry",), _entry_hooks),
    "head": Site("head", ("layer", "head"), head_output_hooks),
    "pattern": Site("pattern", ("layer", "head"), pattern_hooks),
    "mlp": Site("mlp", ("layer",), mlp_output_hooks),
}


def checked_heads(model: TransformerBridge, heads: Iterable[Unit], name: str) -> list[Head]:
    """The heads as pairs in ascending order; ``name`` is what errors call them.

    Raises:
        TypeError: if one is no pair of integers.
        ValueError: if the model does not have one, or none is given.
    """
    return [(layer, head) for layer, head in SITES["head"].units(model, heads, name).tolist()]


def checked_site(model: TransformerBridge, name: str) -> Site:
    """The site of that name.

    Raises:
        ValueError: if there is none, or the model has no such places; if what its patterns are replaced by is not used.
    """
    require_bridge(model)
    if name not in SITES:
        raise ValueError(f"site is one of {', '.join(get_args(SiteName))}, not {name!r}")
    site = SITES[name]
    points = site.points(model)
    if name == "pattern":
        _require_patterns_in_use(model, points)
    return site


def _require_patterns_in_use(model: TransformerBridge, points: list[str]) -> None:
    """Refuse a model whose attention shows its pattern and goes on with another copy of it."""
    caught: list[Tensor] = []
    z = head_output_hooks(model)[0]
    hooks = [
        (points[0], lambda pattern, hook: torch.zeros_like(pattern)),
        (z, lambda z, hook: caught.append(z.clone())),
    ]
    with at_rest(model), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the edit is discarded
        run_reading(model, torch.zeros(1, 1, dtype=torch.long, device=model.W_U.device), hooks)
    if caught[0].any():
        raise ValueError(
            f"attention patterns of a {kind_of(model)} can be read here but not replaced: patch its heads' outputs, "
            f"site='head'"
        )
