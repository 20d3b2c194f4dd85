"""What a patching experiment found, with names for its axes and for what stands along them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mechlib.bridge import TransformerBridge
from mechlib.stats import Table, table
from mechlib.text import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Shown = Literal["effect", "recovered", "values"]
Cell = dict[str, int]
"""One place by the names of its axes, such as ``{"layer": 1, "head": 2}``."""


@dataclass(frozen=True)
class PatchingResult:
    """The metric of every row for each place that was patched, beside the run as it was and the run that gave."""

    axes: tuple[str, ...]
    """The names of the axes of ``values``: ``"row"``, then those of the places, such as ``"layer", "head", "pos"``."""
    labels: Mapping[str, tuple[str, ...]]
    """For each axis but ``"row"``, what stands along it: entries, layers, heads, or tokens."""
    values: Float[Tensor, "row ..."]
    """The metric of every row with one place patched, ``[row, *place]``; of an attribution, what it would be if it were
    linear. NaN at places that were not patched, at pads, and where no path leads."""
    base: Float[Tensor, " row"]
    """The metric of every row in the run that is patched, as it was, ``[row]``."""
    giver: Float[Tensor, " row"] | None
    """The metric of every row in the run that gives, ``[row]``; ``None`` for zeros, a mean and other rows."""
    metric: str
    """What the metric measures, with its unit."""
    title: str
    """What was done, such as ``"head: clean into corrupt"``."""

    @property
    def effect(self) -> Float[Tensor, "row ..."]:
        """``values - base``: what patching a place adds to the metric, ``[row, *place]``."""
        return self.values - self._beside(self.base)

    @property
    def recovered(self) -> Float[Tensor, "row ..."]:
        """The effect as a share of ``giver - base``, ``[row, *place]``: 1 where one place does what the whole run does.

        Large, of either sign, for rows in which the two runs hardly differ.

        Raises:
            ValueError: if no run gave.
        """
        return self.effect / self._whole

    @property
    def _whole(self) -> Float[Tensor, "row ..."]:
        if self.giver is None:
            raise ValueError(f"a share is of the way to the run that gives, and there is none here ({self.title})")
        return self._beside(self.giver - self.base)

    def mean(self, shown: Shown = "effect") -> Float[Tensor, ...]:
        """The mean over rows, ``[*place]``, without those that are NaN at a place; for shares the ratio of two means.

        Raises:
            ValueError: for another name of what is shown, or shares where no run gave.
        """
        if shown not in get_args(Shown):
            raise ValueError(f"shown is one of {', '.join(get_args(Shown))}, not {shown!r}")
        if shown != "recovered":
            return getattr(self, shown).nanmean(0)
        return self.effect.nanmean(0) / self._whole.where(~self.effect.isnan(), torch.nan).nanmean(0)

    def largest(self, k: int) -> list[Cell]:
        """The ``k`` places of the largest mean effect of either sign, largest first; fewer if so many were not patched.

        Raises:
            ValueError: if ``k`` is below 1.
        """
        if k < 1:
            raise ValueError(f"k is a number of places, at least 1, not {k}")
        size = self.mean().abs().nan_to_num(-1.0)
        order = size.flatten().argsort(descending=True, stable=True)[: min(k, int((size >= 0).sum()))]
        places = torch.stack(torch.unravel_index(order, size.shape), 1).tolist()
        return [dict(zip(self.axes[1:], place, strict=True)) for place in places]

    def beside(self, exact: PatchingResult) -> Table:
        """The mean effects of an attribution and of exact patching, where both have one, largest estimate first.

        Raises:
            ValueError: if they are not of the same places.
        """
        if (self.axes, self.labels) != (exact.axes, exact.labels):
            raise ValueError(f"a comparison is of the same places; their axes are {self.axes} and {exact.axes}")
        estimated, patched = self.mean(), exact.mean()
        rows: dict[object, list[float]] = {}
        for cell in self.largest(estimated.numel()):
            place = tuple(cell.values())
            if not patched[place].isnan():
                name = ", ".join(f"{axis} {self.labels[axis][number]}" for axis, number in cell.items())
                rows[name] = [estimated[place].item(), patched[place].item()]
        return table(rows, ["to first order", "exact"], head=f"place: {self.metric}")

    def plot(self, shown: Shown = "effect", *, ax: Axes | None = None) -> Axes:
        """A heat map of the mean over rows: positions, or heads where there are none, from left to right."""
        from mechlib.figures import plots  # brings Matplotlib

        *above, across = self.axes[1:] if len(self.axes) > 2 else ("", *self.axes[1:])
        names = [""]
        for axis in filter(None, above):
            names = [f"{name}.{label}" if name else label for name in names for label in self.labels[axis]]
        what = {"effect": f"change of the {self.metric}", "recovered": "share recovered", "values": self.metric}
        ax = plots.grid(
            self.mean(shown).reshape(len(names), -1).cpu(),
            rows=names,
            columns=self.labels[across],
            label=what[shown],
            xlabel=across,
            ylabel=".".join(above),
            ax=ax,
        )
        ax.set_title(self.title, loc="left")
        return ax

    def _beside(self, of_rows: Float[Tensor, " row"]) -> Float[Tensor, "row ..."]:
        return of_rows.reshape(-1, *[1] * (self.values.dim() - 1))


def position_labels(model: TransformerBridge, tokens: Int[Tensor, "row pos"]) -> tuple[str, ...]:
    """The token at each position where all rows have the same one and the model has a tokenizer, else its number."""
    labels = [str(position) for position in range(tokens.shape[1])]
    if model.tokenizer is None:
        return tuple(labels)
    for position in (tokens == tokens[0]).all(0).nonzero()[:, 0].tolist():
        labels[position] = visible(model.tokenizer.decode([int(tokens[0, position])]))
    return tuple(labels)
