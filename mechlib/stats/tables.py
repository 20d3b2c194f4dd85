"""A small table of named rows and columns, its numbers written with as many digits as mean something.

In a notebook it is an HTML table with header cells, which a screen reader can walk through; elsewhere it is aligned
text.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mechlib.stats.estimates import Estimate

DIGITS = 3
"""Significant digits of a number that comes without an interval."""

OF_INTERVAL = 2
"""Significant digits of half of an interval's width; the ends and the mean are written as finely."""

FINEST = 1e-4
"""Smaller numbers than this are written with a power of ten."""


@dataclass(frozen=True)
class Table:
    """What ``table`` makes: text in rows and columns."""

    head: str
    """What the names of the rows are; it stands above them."""
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[str, ...]]
    """By name, the text of every column."""
    caption: str = ""

    def __str__(self) -> str:
        lines = [(self.head, *self.columns), *((name, *cells) for name, cells in self.rows.items())]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = ["  ".join([line[0].ljust(widths[0]), *_right(line[1:], widths[1:])]).rstrip() for line in lines]
        return "\n".join(filter(None, [self.caption, *aligned]))

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self._page(), "text/plain": str(self)}

    def _page(self) -> str:
        caption = f"<caption>{html.escape(self.caption)}</caption>" if self.caption else ""
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in (self.head, *self.columns))
        rows = "".join(_row(name, cells) for name, cells in self.rows.items())
        return f'<table class="mechlib-table">{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _row(name: str, cells: Iterable[str]) -> str:
    texts = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
    return f'<tr><th scope="row">{html.escape(name)}</th>{texts}</tr>'


def table(
    rows: Mapping[object, Any],
    columns: Sequence[object] | None = None,
    *,
    head: str,
    fmt: str | Mapping[object, str] = "",
    caption: str = "",
) -> Table:
    """A table with one row for every item of ``rows``, as the last expression of a cell or for ``print``.

    A number is written with three significant digits, a whole number whole, an ``Estimate`` as finely as its interval
    allows (two digits of half its width). What a row leaves out, or gives as ``None``, stays empty.

    Args:
        rows: by name (a tuple is written with commas), what stands in the row: a mapping by column, cells in the order
            of ``columns``, or the one cell. Cells are numbers (also tensors of one element), estimates or text.
        columns: their names; by default those in the rows, which are mappings then, in the order of first mention.
        head: what the names of the rows are, such as ``"model"``. It stands above them.
        fmt: how numbers are written instead, as in ``format``: for all columns (``".2f"``), or by column.
        caption: what the table shows, where the text around it does not say so.

    Raises:
        ValueError: if ``head`` or the name of a column is empty, or a row has other columns than the table.
    """
    if columns is None:
        columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    columns = list(columns)
    names = tuple(map(_name, columns))
    if not head.strip() or not all(name.strip() for name in names):
        raise ValueError(f"every column needs a name, got head={head!r} and columns={list(names)}")
    spec = {name: fmt if isinstance(fmt, str) else fmt.get(name, "") for name in columns}
    cells = {_name(name): _in_order(name, row, columns) for name, row in rows.items()}
    written = {
        name: tuple(_written(value, spec[column]) for column, value in zip(columns, row, strict=True))
        for name, row in cells.items()
    }
    return Table(head, names, written, caption)


def _name(key: object) -> str:
    return ", ".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _in_order(name: object, row: Any, columns: list) -> list:
    """The cells of a row, one for each column."""
    if isinstance(row, Mapping):
        if unknown := [key for key in row if key not in columns]:
            raise ValueError(f"row {name!r} has the columns {unknown}, the table has {columns}")
        return [row.get(column) for column in columns]
    alone = isinstance(row, str) or not isinstance(row, Iterable) or getattr(row, "ndim", 1) == 0
    found = [row] if alone else list(row)
    if len(found) != len(columns):
        raise ValueError(f"row {name!r} has {len(found)} cells, the table has the columns {columns}")
    return found


def _written(value: Any, spec: str) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, Estimate):
        return format(value, spec) if spec else _estimate(value)
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return format(value, spec) if spec else number(value)
    return str(value)


def number(value: float, digits: int = DIGITS) -> str:
    """A number with so many significant digits; whole ones, and those that have more before the point, whole."""
    if isinstance(value, int) or value == 0 or not math.isfinite(value):
        return f"{value:,g}" if isinstance(value, float) else f"{value:,}"
    if abs(value) < FINEST:
        return f"{value:.{digits - 1}e}"
    before = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}")))) + 1
    return f"{value:,.{max(0, digits - before)}f}"


def _estimate(value: Estimate) -> str:
    half = (value.high - value.low) / 2
    if not half > 0 or not math.isfinite(half):
        return f"{number(value.mean)} [{number(value.low)}, {number(value.high)}]"
    if half < FINEST:
        return f"{value:.{DIGITS - 1}e}"
    decimals = OF_INTERVAL - 1 - math.floor(math.log10(half))
    return f"{value:,.{max(0, decimals)}f}"


def _right(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
