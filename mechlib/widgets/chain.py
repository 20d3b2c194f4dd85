"""The chain explorer: what a sampler's chains do at other steps, strengths of the prior, and temperatures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import anywidget
import torch
import traitlets

from mechlib.llc.result import LLCResult
from mechlib.widgets import assets

POINTS = 120
"""About how many points of a chain are kept: enough for a line some hundred pixels wide."""

DIGITS = 4
"""Significant digits of every number."""

SWITCHES = ("lr", "gamma", "nbeta")


class ChainExplorer(anywidget.AnyWidget):
    """Traces of the chains of one run, chosen by its step, gamma and nbeta."""

    _esm = assets.script("chain")
    _css = assets.style("chain")

    data = traitlets.Dict().tag(sync=True)
    """The values of ``lr``, ``gamma`` and ``nbeta``, ascending, and ``runs`` in the order of their products, nbeta
    varying fastest: traces with their burn-in thinned to ``POINTS``, the estimate and its statistics, and ``exact``.
    What is not finite is None."""
    lr = traitlets.Int(0).tag(sync=True)
    """Place of the selected step among its values."""
    gamma = traitlets.Int(0).tag(sync=True)
    """Place of the selected gamma."""
    nbeta = traitlets.Int(0).tag(sync=True)
    """Place of the selected nbeta."""


def chain_explorer(
    runs: Sequence[LLCResult],
    exact: Sequence[float] | None = None,
    *,
    start: tuple[float, float, float] | None = None,
) -> ChainExplorer:
    """A widget with a slider for each of step, gamma and nbeta, which shows the chains of the run made with these.

    Args:
        runs: one for each combination of the values of ``lr``, ``gamma`` and ``nbeta`` among them, in any order.
        exact: for each run the value that a perfect sampler would find, where it is known.
        start: ``(lr, gamma, nbeta)`` of the run that is shown at first; the first of ``runs`` by default.

    Raises:
        ValueError: if there are no runs, a combination is missing or there twice, ``exact`` has another length, or no
            run was made with the values of ``start``.
    """
    if exact is not None and len(exact) != len(runs):
        raise ValueError(f"one exact value for each of the {len(runs)} runs is needed, got {len(exact)}")
    values: Iterable[float | None] = [None] * len(runs) if exact is None else map(float, exact)
    found = {_key(run): _numbers(run, value) for run, value in zip(runs, values, strict=True)}
    axes = {name: sorted({key[place] for key in found}) for place, name in enumerate(SWITCHES)}
    combinations = list(itertools.product(axes["lr"], axes["gamma"], axes["nbeta"]))
    if not runs or len(runs) != len(combinations) or set(combinations) != set(found):
        sizes = " x ".join(f"{len(values)} {name}" for name, values in axes.items())
        raise ValueError(f"one run for each combination of {sizes} is needed, got {len(runs)}, {len(found)} different")
    start = _key(runs[0]) if start is None else start
    if start not in found:
        raise ValueError(f"no run was made with (lr, gamma, nbeta) = {start}; the values are {axes}")
    places = {name: axes[name].index(value) for name, value in zip(SWITCHES, start, strict=True)}
    return ChainExplorer(data=axes | {"runs": [found[key] for key in combinations]}, **places)


def _key(run: LLCResult) -> tuple[float, float, float]:
    return run.lr, run.gamma, run.nbeta


def _numbers(run: LLCResult, exact: float | None) -> dict:
    """What the browser is told of a run."""
    whole = torch.cat([run.burnin_trace, run.trace], dim=1)
    stride = max(1, whole.shape[1] // POINTS)
    statistics = {name: _rounded(getattr(run, name)) for name in ("llc", "std_error", "rhat", "ess", "virial")}
    return statistics | {
        "exact": None if exact is None else _rounded(exact),
        "burnin": run.burnin_trace.shape[1],
        "steps": whole.shape[1],
        "stride": stride,
        "traces": [[_rounded(value) for value in chain] for chain in whole[:, ::stride].tolist()],
        "diverged": run.n_diverged,
        "warnings": [str(warning) for warning in run.warnings],
    }


def _rounded(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
