"""Words that fit a figure: names at the ends of lines, of axes and of ticks, placed when the figure is drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FixedLocator

LABEL_GAP = 2.5
"""Least distance of two labels at the right of a plot, in points."""

LABEL_OFFSET = 12.0
"""Distance of these labels from the plot, in points."""

SERIES_COLUMNS = 20
"""Longest line, in characters, of the name of a series; longer names are wrapped."""


class EndLabel(Annotation):
    """A series' name beside its last point, which finds its place among its ``group`` whenever the figure is drawn."""

    axes: Axes

    def __init__(self, name: str, end: tuple[float, float], colour: str, group: list[EndLabel]) -> None:
        super().__init__(
            wrapped(name, SERIES_COLUMNS),
            (1, 0),
            xycoords="axes fraction",
            textcoords="axes fraction",
            annotation_clip=False,
            va="center",
            fontsize=10.5,
            linespacing=1.1,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 1,
                "relpos": (0, 0.5),
                "shrinkA": 1,
                "shrinkB": 3,
            },
        )
        self.end, self.group = end, group
        group.append(self)

    def height(self) -> float:
        """Height of the last point as a share of the plot's; a point outside counts as on its edge."""
        to_axes = self.axes.transData + self.axes.transAxes.inverted()
        return float(np.clip(np.nan_to_num(to_axes.transform(self.end)[1]), 0, 1))

    def update_positions(self, renderer: RendererBase) -> None:
        """Move the text to its place and its line to the point; Matplotlib calls this before it measures or draws."""
        box, point = self.axes.bbox, float(np.asarray(renderer.points_to_pixels(1.0)))
        order = sorted(self.group, key=EndLabel.height)
        sizes = [Text.get_window_extent(label, renderer).height + LABEL_GAP * point for label in order]
        places = spread([label.height() * box.height for label in order], sizes, box.height)
        end_x = self.axes.transData.transform(self.end)[0]
        self.xy = ((end_x - box.x0) / box.width, self.height())
        self.xyann = (1 + LABEL_OFFSET * point / box.width, places[order.index(self)] / box.height)
        super().update_positions(renderer)


def spread(wanted: Sequence[float], sizes: Sequence[float], height: float) -> list[float]:
    """Centres of intervals of these sizes, in the order given, that do not overlap and are nearest to ``wanted``.

    They lie between 0 and ``height``; where that is too little, the last ones lie above it.
    """
    below = [end - size / 2 for end, size in zip(accumulate(sizes), sizes, strict=True)]
    blocks: list[list[float]] = []
    for place, offset in zip(wanted, below, strict=True):
        blocks.append([place - offset])
        while len(blocks) > 1 and np.mean(blocks[-2]) >= np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    free = max(0.0, height - sum(sizes))
    shifts = [float(np.clip(np.mean(block), 0, free)) for block in blocks for _ in block]
    return [shift + offset for shift, offset in zip(shifts, below, strict=True)]


def wrapped(text: str, columns: int) -> str:
    """``text`` in as few lines of at most ``columns`` characters as it needs, of about the same length."""

    def lines(width: int) -> list[str]:
        return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)

    if len(text) <= columns or "\n" in text:
        return text
    narrowest = next(width for width in range(1, columns + 1) if len(lines(width)) <= len(lines(columns)))
    return "\n".join(lines(narrowest))


def settle(fig: Figure) -> None:
    """Make names of ticks and axes fit the plots as they are laid out, beside their labels."""
    fig.draw_without_rendering()
    for shorten in (_use_short_names, _rotate_names):
        if crowded := [ax for ax in fig.axes if _ticks_touch(ax)]:
            for ax in crowded:
                shorten(ax)
            fig.draw_without_rendering()
    for ax in fig.axes:
        _fit(ax.xaxis.label, ax.bbox.width, "width")
    fig.draw_without_rendering()
    for ax in fig.axes:
        _fit(ax.yaxis.label, ax.bbox.height, "height")
    fig.draw_without_rendering()


def _ticks_touch(ax: Axes) -> bool:
    """Whether horizontal names under a plot come nearer to each other than 8 points."""
    labels = ax.get_xticklabels()
    if not isinstance(ax.xaxis.get_major_locator(), FixedLocator) or any(label.get_rotation() for label in labels):
        return False
    boxes = [label.get_window_extent() for label in labels if label.get_text()]
    space = 8 * ax.figure.dpi / 72
    return any(left.x1 + space > right.x0 for left, right in pairwise(boxes))


def _use_short_names(ax: Axes) -> None:
    names = [label.get_text() for label in ax.get_xticklabels()]
    ax.set_xticks(ax.get_xticks(), ["embed" if name == "embedding" else name for name in names])


def _rotate_names(ax: Axes) -> None:
    for label in ax.get_xticklabels():
        label.set(rotation=40, ha="right", va="top", rotation_mode="anchor")


def _fit(label: Text, room: float, side: str) -> None:
    """Wrap the name of an axis until its ``side`` is at most ``room`` pixels, or its lines get very short."""
    text = label.get_text()
    for columns in range(len(text), 11, -1):
        label.set_text(wrapped(text, columns))
        if getattr(label.get_window_extent(), side) <= room:
            return
