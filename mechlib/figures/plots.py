"""The kinds of figure that chapters share, and the whole of what cells write as ``plots.``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from mechlib.figures.house import CONTROLS, SERIES, SIGNED, WHITE_TO_DARK, looks, new_axes, panels, style
from mechlib.figures.lettering import EndLabel, wrapped
from mechlib.figures.pictures import PNG, Picture, picture, show
from mechlib.places import entry_names
from mechlib.stats import Estimate, estimate

__all__ = [
    "CONTROLS",
    "PNG",
    "SERIES",
    "SIGNED",
    "WHITE_TO_DARK",
    "Picture",
    "by_depth",
    "curves",
    "depth_map",
    "effects",
    "grid",
    "panels",
    "picture",
    "show",
    "style",
]

FEWEST_FOR_BAND = 6
"""Fewest units whose bootstrap interval is drawn as a band; fewer are drawn one by one."""

MOST_MARKERS = 12
"""About how many markers a line carries; a curve of more points skips some."""

SEEN = 0.05
"""Share of the largest number of a grid below which a negative one is too pale to bear a minus."""

ROW_COLUMNS = 28
"""Longest line, in characters, of the name of a row; longer names are wrapped."""


def by_depth(
    series: Mapping[str, Float[ArrayLike, "entry unit"]],
    *,
    ylabel: str,
    controls: Iterable[str] = (),
    entries: Sequence[str] | None = None,
    log: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """One line per series over the depth of a model: means over units with 95 % bootstrap intervals as bands.

    Args:
        series: values by name, axes ``[entry, unit]``; a unit is a seed or a file (``mechlib.stats.by_unit``).
        ylabel: what is measured, with its unit, such as ``"KL to the final layer (nats)"``.
        controls: names of those series that are controls, drawn in grey.
        entries: a name for each entry; by default ``mechlib.places.entry_names``.
        log: draw the vertical axis on a logarithmic scale.

    Raises:
        ValueError: if the series differ in their number of entries, or a control is not a series.
    """
    n_entries = np.shape(next(iter(series.values()), ()))[0]
    entries = entries or entry_names(n_entries - 1)
    ax = curves(range(n_entries), series, xlabel="residual stream after", ylabel=ylabel, controls=controls, ax=ax)
    if log:
        ax.set_yscale("log")
    ax.set_xticks(range(len(entries)), entries, rotation=90 if len(entries) > 6 else 0)
    return ax


def curves(
    x: Sequence[float] | Float[ArrayLike, " point"],
    series: Mapping[str, Float[ArrayLike, "point unit"]],
    *,
    xlabel: str,
    ylabel: str,
    controls: Iterable[str] = (),
    ax: Axes | None = None,
) -> Axes:
    """One line per series over ``x``: means over units with 95 % bootstrap intervals as bands, named at their ends.

    With fewer than six units, too few for a bootstrap, each unit is a thin line of its own beside the mean.

    Args:
        x: where the points lie, ascending: a training step, a sample size, a threshold.
        series: values by name, axes ``[point, unit]``; a unit is a seed or a file (``mechlib.stats.by_unit``).
        xlabel, ylabel: what is varied and what is measured, each with its unit.
        controls: names of those series that are controls, drawn in grey.

    Raises:
        ValueError: if a series does not have one row for every point of ``x``, or a control is not a series.
    """
    values = {name: np.asarray(value, dtype=float) for name, value in series.items()}
    controls = _known(controls, values)
    x = np.asarray(x, dtype=float)
    if not values or any(value.ndim != 2 or len(value) != len(x) for value in values.values()):
        shapes = {name: value.shape for name, value in values.items()}
        raise ValueError(f"every series needs the axes [point, unit] with the {len(x)} points of x, got {shapes}")
    ax = ax or new_axes()
    chosen = looks(values, controls)
    for name, value in values.items():
        _line(ax, x, value, chosen[name], hollow=name in controls)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ends = {name: (x[-1], float(np.nanmean(value[-1]))) for name, value in values.items()}
    _label_ends(ax, ends, {name: look[0] for name, look in chosen.items()})
    return ax


def effects(
    estimates: Mapping[str, Estimate],
    *,
    xlabel: str,
    controls: Iterable[str] = (),
    zero: float = 0.0,
    ax: Axes | None = None,
) -> Axes:
    """One row per intervention: its effect and 95 % interval, against a line at ``zero``; controls hollow and grey.

    Args:
        estimates: the effect of each intervention by name, drawn from top to bottom.
        xlabel: what the effect is, its unit and which side is better, such as
            ``"change in loss (nats per token; left is better)"``.
        controls: names of those rows that are controls.

    Raises:
        ValueError: if a control is not a row.
    """
    controls = _known(controls, estimates)
    ax = ax or new_axes(height=0.9 + 0.42 * len(estimates))
    ax.axvline(zero, color="#444444", linewidth=1)
    for row, (name, effect) in enumerate(estimates.items()):
        colour = CONTROLS[0][0] if name in controls else SERIES[0][0]
        ax.errorbar(
            effect.mean,
            row,
            xerr=[[effect.mean - effect.low], [effect.high - effect.mean]],
            fmt="D" if name in controls else "o",
            color=colour,
            markerfacecolor="white" if name in controls else colour,
            capsize=3,
        )
    names = [f"{name} (control)" if name in controls else name for name in estimates]
    ax.set_yticks(range(len(names)), [wrapped(name, ROW_COLUMNS) for name in names])
    ax.set_ylim(len(estimates) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    ax.grid(axis="x", visible=True)
    ax.set_xlabel(xlabel)
    return ax


def grid(
    values: Float[ArrayLike, "row column"],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    label: str,
    xlabel: str,
    ylabel: str,
    ax: Axes | None = None,
) -> Axes:
    """A heat map of numbers of either sign: white is 0, dark is far from it, and what is below 0 bears a minus.

    Args:
        values: what is shown, axes ``[row, column]``; what is NaN is grey.
        rows, columns: the name of each.
        label: what the colour means, with its unit.
        xlabel, ylabel: what the columns and the rows are.

    Raises:
        ValueError: if there is not one name for each row and column.
    """
    shown = np.asarray(values, dtype=float)
    if shown.shape != (len(rows), len(columns)):
        raise ValueError(f"values need the axes [row, column] with {len(rows)} and {len(columns)}, got {shown.shape}")
    ax = ax or new_axes(height=1.8 + 0.28 * len(rows))
    ax.set_facecolor("#dddddd")
    largest = np.nanmax(np.abs(shown), initial=0.0) or 1.0
    image = ax.imshow(shown, aspect="auto", cmap=SIGNED, vmin=-largest, vmax=largest, interpolation="nearest")
    for row, column in zip(*np.nonzero(shown < -SEEN * largest), strict=True):
        colour = "white" if shown[row, column] < -0.5 * largest else "black"
        ax.text(column, row, "−", ha="center", va="center", color=colour, fontsize=8)
    turned = 90 if max(map(len, columns), default=0) > 3 else 0
    ax.set_xticks(range(len(columns)), columns, rotation=turned, fontsize=8)
    ax.set_yticks(range(len(rows)), rows, fontsize=8)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.grid(visible=False)
    ax.figure.colorbar(image, ax=ax, label=label)
    return ax


def depth_map(
    values: Float[ArrayLike, "entry pos"],
    *,
    tokens: Sequence[str],
    label: str,
    entries: Sequence[str] | None = None,
    marked: ArrayLike | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A heat map of one passage: a column per token, a row per residual-stream entry, the embedding on top.

    Args:
        values: what is shown, axes ``[entry, pos]``; dark is high.
        tokens: one printable string per position (``mechlib.text.token_strings``).
        label: what the colour means, with its unit.
        marked: cells to mark with a dot, booleans with the axes of ``values``.

    Raises:
        ValueError: if there is not one token per column.
    """
    grid = np.asarray(values, dtype=float)
    if grid.ndim != 2 or grid.shape[1] != len(tokens):
        raise ValueError(f"values need the axes [entry, pos] with {len(tokens)} positions, got {grid.shape}")
    entries = entries or entry_names(len(grid) - 1)
    ax = ax or new_axes(height=1.6 + 0.28 * len(grid))
    image = ax.imshow(grid, aspect="auto", cmap=WHITE_TO_DARK, interpolation="nearest")
    if marked is not None:
        row, column = np.nonzero(np.asarray(marked))
        dark = np.asarray(image.norm(grid), dtype=float)[row, column] > 0.5
        ax.scatter(column, row, s=14, c=np.where(dark, "white", "black"))
    ax.set_xticks(range(len(tokens)), tokens, rotation=90, fontsize=8, family="DejaVu Sans Mono")
    ax.set_yticks(range(len(entries)), entries)
    ax.set(xlabel="token read", ylabel="residual stream after")
    ax.grid(visible=False)
    ax.figure.colorbar(image, ax=ax, label=label)
    return ax


def _known(controls: Iterable[str], names: Iterable[str]) -> frozenset[str]:
    controls, names = frozenset(controls), list(names)
    if unknown := controls.difference(names):
        raise ValueError(f"controls name {sorted(unknown)}, which are not drawn; drawn are {names}")
    return controls


def _line(ax: Axes, x: np.ndarray, values: Float[np.ndarray, "point unit"], look: tuple, *, hollow: bool) -> None:
    colour, line, marker = look
    if values.shape[1] >= FEWEST_FOR_BAND:
        points = [estimate(row) for row in values]
        ax.fill_between(x, [p.low for p in points], [p.high for p in points], color=colour, alpha=0.18, linewidth=0)
    elif values.shape[1] > 1:
        ax.plot(x, values, color=colour, linewidth=0.7, alpha=0.6)
    face = "white" if hollow and marker != "x" else colour
    every = max(1, len(x) // MOST_MARKERS)
    mean = np.nanmean(values, axis=1)
    ax.plot(x, mean, color=colour, linestyle=line, marker=marker, markevery=every, markerfacecolor=face)


def _label_ends(ax: Axes, ends: Mapping[str, tuple[float, float]], colours: Mapping[str, str]) -> None:
    """Write each series' name to the right of its last point, joined to it."""
    group: list[EndLabel] = []
    for name, end in ends.items():
        ax.add_artist(EndLabel(name, end, colours[name], group)).set_clip_on(False)
