"""What every figure of the book looks like.

A figure is readable in grey: series differ by luminance, line style and marker, and carry their names beside them.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

AXES_SIZE = (5.3, 3.4)
"""Width and height of a figure of one panel, in inches."""

HOUSE: dict[RcKeyType, Any] = {
    "figure.figsize": AXES_SIZE,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": 11.5,
    "axes.labelsize": 11.5,
    "axes.titlesize": 12,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.edgecolor": "#444444",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
    "legend.frameon": False,
    "image.cmap": "cividis",
    "svg.fonttype": "path",
    "svg.hashsalt": "mechlib",
}
"""Matplotlib settings of the house. The font comes with Matplotlib, and SVG text is drawn as outlines."""

SERIES = (
    ("#14213d", "-", "o"),
    ("#c1440e", "--", "s"),
    ("#2a8fbd", "-.", "^"),
    ("#d99a2b", (0, (5, 1, 1, 1, 1, 1)), "D"),
)
"""Colour, line style and marker of the first, second, ... series, from dark to light."""

CONTROLS = (("#767676", ":", "v"), ("#a0a0a0", (0, (1, 2)), "x"))
"""The same for controls: always grey, dotted and unfilled."""

PAGE_WIDTH = 10.0
"""Width of a figure of several panels, in inches: what a page shows at its full width."""

ROW_HEIGHT = 3.8
"""Height of a row of panels, in inches."""

MOST_COLUMNS = 4
"""Most panels side by side."""

WHITE_TO_DARK = mpl.colors.LinearSegmentedColormap.from_list(
    "white_to_dark", ("#ffffff", "#9dbfd6", "#35719b", "#0c2340")
)
"""Colour map of heat maps: luminance falls steadily."""

SIGNED = mpl.colors.LinearSegmentedColormap.from_list(
    "signed", ("#4a1204", "#b5501d", "#e9c4a6", "#ffffff", "#9dbfd6", "#35719b", "#0c2340")
)
"""Colour map of numbers of either sign: luminance falls from 0 to both ends."""


def style() -> AbstractContextManager[None]:
    """A context for figures made by hand: ``with plots.style(): fig, ax = plt.subplots()``."""
    return mpl.rc_context(HOUSE)


def new_axes(height: float = AXES_SIZE[1]) -> Axes:
    """Axes of the house's width in a figure of their own."""
    with style():
        _, ax = plt.subplots(figsize=(AXES_SIZE[0], height))
    return ax


def panels(
    n: int,
    *,
    titles: Iterable[str] = (),
    letters: bool = True,
    columns: int | None = None,
    width: float = PAGE_WIDTH,
    height: float = ROW_HEIGHT,
    sharex: bool = False,
    sharey: bool = False,
) -> tuple[Figure, list[Axes]]:
    """A figure of ``n`` empty panels in the house style, and its panels row by row, to be drawn on and shown.

    Each has a letter before its title, by which the caption names it: ``(a) with the mask``.

    Args:
        titles: one for each panel, or none.
        letters: whether the letters are wanted.
        columns: how many stand side by side, at most four by default.
        width, height: of the figure and of one row, in inches.
        sharex, sharey: whether all panels have one horizontal or vertical axis, with numbers at the outer ones alone.

    Raises:
        ValueError: if there are titles, but not one for each panel, or no panel.
    """
    titles = list(titles) or [""] * n
    if n < 1 or len(titles) != n:
        raise ValueError(f"a figure has at least one panel and one title for each, got n={n} and titles={titles}")
    columns = min(n, columns or MOST_COLUMNS)
    rows = -(-n // columns)
    with style():
        figure, grid = plt.subplots(
            rows, columns, figsize=(width, rows * height), sharex=sharex, sharey=sharey, squeeze=False
        )
        for letter, title, ax in zip(ascii_lowercase, titles, grid.flat, strict=False):
            ax.set_title(f"({letter}) {title}".strip() if letters else title)
    for unused in grid.flat[n:]:
        unused.set_visible(False)
    return figure, list(grid.flat[:n])


def looks(names: Iterable[str], controls: frozenset[str]) -> dict[str, tuple]:
    """A look for every name, in order, from ``SERIES`` or ``CONTROLS``."""
    chosen, used = {}, {SERIES: 0, CONTROLS: 0}
    for name in names:
        family = CONTROLS if name in controls else SERIES
        chosen[name] = family[used[family] % len(family)]
        used[family] += 1
    return chosen
