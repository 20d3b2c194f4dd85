"""The repair explorer: cut a head, and see who takes over."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import anywidget
import traitlets

from mechlib.repair.recorded import Run
from mechlib.widgets import assets

DIGITS = 3


class RepairExplorer(anywidget.AnyWidget):
    """A map of what every head and MLP of the last layers adds to a logit difference, before and after a cut."""

    _esm = assets.script("repair")
    _css = assets.style("repair")

    data = traitlets.Dict().tag(sync=True)
    """Everything that is shown: see ``explorer_data``."""
    kind = traitlets.Int(0).tag(sync=True)
    """The selected kind of prompts."""
    cut = traitlets.Int(-1).tag(sync=True)
    """The selected cut among those of the kind; -1 for none."""
    shown = traitlets.Enum(["change", "after", "before"], "change").tag(sync=True)
    """What the map shows of a cut."""


def repair_explorer(runs: Mapping[str, Run], examples: Mapping[str, str]) -> RepairExplorer:
    """A widget in which one cuts a head and sees what every later head and MLP does about it.

    It opens with nothing cut.

    Args:
        runs: the cuts of each kind of prompts, by its name.
        examples: for each kind a prompt, and what is compared, in a line.

    Raises:
        ValueError: if there is no run, one has no example, or the parts of one are not those of another.
    """
    return RepairExplorer(data=explorer_data(runs, examples))


def explorer_data(runs: Mapping[str, Run], examples: Mapping[str, str]) -> dict[str, Any]:
    """What ``RepairExplorer`` shows, as plain lists; means over prompts, in nats, with three decimals.

    Parts are ``[layer, column]``, from the first layer that was kept: the heads and behind them the MLP.

    Raises:
        ValueError: as ``repair_explorer``.
    """
    if not runs:
        raise ValueError("runs are empty: give the cuts of one kind of prompts at least")
    if lacking := [name for name in runs if name not in examples]:
        raise ValueError(f"examples has no line for {', '.join(map(repr, lacking))}")
    parts = next(iter(runs.values())).parts
    if other := [name for name, run in runs.items() if run.parts != parts]:
        raise ValueError(f"the parts of {other[0]!r} are others than those of {next(iter(runs))!r}")
    heads = [part for part in parts if part.kind == "head"]
    layers = sorted({part.layer for part in heads if part.layer is not None})
    n_heads = len(heads) // len(layers)
    order = [
        *((("head", layer, head)) for layer in layers for head in range(n_heads)),
        *((("MLP", layer, None)) for layer in layers),
    ]
    place = {tuple(part): index for index, part in enumerate(parts)}
    index = [place.get(part) for part in order]

    def table(values: Any) -> list[list[float | None]]:
        row = [None if at is None else _rounded(values[at]) for at in index]
        split = len(layers) * n_heads
        return [[*row[n_heads * i : n_heads * (i + 1)], row[split + i]] for i in range(len(layers))]

    return {
        "first": layers[0],
        "heads": n_heads,
        "kinds": [
            {
                "name": name,
                "example": examples[name],
                "prompts": len(run.intact),
                "intact": _rounded(run.intact.mean()),
                "shares": table(run.shares),
                "cuts": [
                    {
                        "name": label,
                        "heads": [list(head) for head in cut],
                        "direct": _rounded(run.direct[i].mean()),
                        "total": _rounded(run.total[i].mean()),
                        "norm": _rounded(run.norm[i].mean()),
                        "change": table(run.made_up[i]),
                    }
                    for i, (label, cut) in enumerate(zip(run.labels, run.cuts, strict=True))
                ],
            }
            for name, run in runs.items()
        ],
    }


def _rounded(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"what is shown must be finite, got {value}")
    return round(float(value), DIGITS)
