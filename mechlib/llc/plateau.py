"""An estimate over strengths of the prior: which of them can be believed, and where it stands still.

An estimate at one gamma is right as an expectation at that gamma if its chains are in equilibrium. Whether it says
anything beyond gamma is another question, and asks for its neighbours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mechlib.llc.chains import drift
from mechlib.llc.diagnostics import RHAT_LIMIT
from mechlib.llc.result import LLCResult, LLCWarning

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Calibration", "Cell"]

SAME = 0.05
"""By how much the estimates of two steps may differ, as a share of them, whatever their errors are."""
SPREAD = 0.1
"""How far the virial ratio may be from 1."""
MOVED = 0.1
"""How much of the estimate its mean may drift."""
NOISE = 0.04
"""The largest standard error, as a share of the estimate."""
STILL = 0.1
"""The largest change of the estimate over a decade of gamma, one standard error added, where it stands still."""

FAULTS = {
    "diverged": "a chain left the scale of the problem",
    "negative": "the estimate is not positive: w* is no minimum",
    "noise": f"the standard error is above {NOISE:.0%} of the estimate",
    "time": "at a quarter of the step, and so of the time, the estimate is lower",
    "step": "at a quarter of the step the estimate is higher: too long a step, or chains that have not met",
    "spread": f"the chains have not spread as far as the posterior: the virial ratio is not within {SPREAD:g} of 1",
    "chains": f"the chains disagree: R-hat is above {RHAT_LIMIT}",
    "drift": f"the mean still moves by more than {MOVED:.0%}",
}
"""Why an estimate is not good, by code."""


@dataclass(frozen=True)
class Cell:
    """The chains of one gamma: at the step of ``lr="auto"``, and at a quarter of it for as many draws."""

    full: LLCResult
    quarter: LLCResult
    virial_error: float
    """The standard error of the virial ratio of ``full``."""

    @property
    def gamma(self) -> float:
        """The strength of the prior."""
        return self.full.gamma

    @property
    def faults(self) -> tuple[str, ...]:
        """The codes of what is wrong with the estimate, keys of :data:`FAULTS`; empty for a good one."""
        full, quarter, size = self.full, self.quarter, abs(self.full.llc)
        if full.n_diverged or quarter.n_diverged or not math.isfinite(full.llc + quarter.llc):
            return ("diverged",)
        gap, error = full.llc - quarter.llc, math.hypot(full.std_error, quarter.std_error)
        early, late, moving = drift(full.trace)
        differ = abs(gap) > max(SAME * size, 2 * error)
        found = {
            "negative": full.llc <= 0,
            "noise": not full.std_error <= NOISE * size,
            "time": differ and gap > 0,
            "step": differ and gap < 0,
            "spread": abs(full.virial - 1) > SPREAD + self.virial_error,
            "chains": full.rhat > RHAT_LIMIT,
            "drift": abs(late - early) > max(MOVED * size, 2 * moving),
        }
        return tuple(code for code, wrong in found.items() if wrong)


@dataclass(frozen=True)
class Calibration:
    """An estimate over gamma, made by :func:`mechlib.llc.calibrate`."""

    cells: tuple[Cell, ...]
    """Gamma by gamma, ascending."""
    options: dict[str, Any]
    """The other settings with which :func:`mechlib.llc.estimate_llc` would run the same chains."""
    warnings: tuple[LLCWarning, ...] = ()
    """Reasons not to believe the estimate at the gamma that is advised."""

    @property
    def gammas(self) -> tuple[float, ...]:
        """The strengths of the prior, ascending."""
        return tuple(cell.gamma for cell in self.cells)

    @property
    def changes(self) -> tuple[tuple[float, float], ...]:
        """``-d log llc / d log10 gamma`` between each gamma and the next, the change over a decade, with its error.

        NaN where an estimate is not positive.
        """
        return tuple(map(_change, self.cells[:-1], self.cells[1:]))

    @property
    def good(self) -> range:
        """The cells, by number, from the smallest gamma that can be believed to the largest, none between at fault."""
        whole = [number for number, cell in enumerate(self.cells) if not cell.faults]
        if not whole:
            return range(0)
        first = whole[-1]
        while first - 1 in whole:
            first -= 1
        return range(first, whole[-1] + 1)

    @property
    def smallest_good(self) -> float | None:
        """The smallest gamma that can be believed, and down to which all can be; None if there is none."""
        return self.cells[self.good[0]].gamma if self.good else None

    @property
    def plateau(self) -> tuple[float, float] | None:
        """The longest stretch of gamma over which good estimates stand still: less than 10 % a decade; None if none."""
        still = [change + error < STILL for change, error in ((abs(c), e) for c, e in self.changes)]
        stretches, first = [], self.good.start
        for number in self.good[1:]:
            if not still[number - 1]:
                first = number
            elif number > first:
                stretches.append((self.cells[first].gamma, self.cells[number].gamma))
        return max(stretches, key=lambda ends: math.log(ends[1] / ends[0]), default=None)

    @property
    def gamma(self) -> float | None:
        """The gamma that is advised: the smallest of the plateau, or else the smallest good one; None if none is."""
        return self.plateau[0] if self.plateau else self.smallest_good

    @property
    def advised(self) -> LLCResult | None:
        """The estimate at that gamma."""
        return next((cell.full for cell in self.cells if cell.gamma == self.gamma), None)

    @property
    def settings(self) -> dict[str, Any]:
        """What to give ``estimate_llc`` for it: ``estimate_llc(model, loss_fn, data, **calibration.settings)``.

        Raises:
            ValueError: if no gamma can be believed; it is said why.
        """
        if self.advised is None:
            raise ValueError(f"there are no settings to use: {self}")
        return self.options | {"gamma": self.advised.gamma, "lr": self.advised.lr}

    def __str__(self) -> str:
        return "\n".join([self._verdict(), *map(self._line, self.cells), *(f"  {w}" for w in self.warnings)])

    def _verdict(self) -> str:
        best = self.advised
        if best is None:
            return "no gamma can be believed: raise steps, or the smallest gamma"
        said = f"{best.llc:.4g} ± {best.std_error:.2g}"
        if self.plateau:
            low, high = self.plateau
            return (
                f"plateau from gamma {low:g} to {high:g}: {said} at nbeta {best.nbeta:.4g}, whichever is taken. "
                "What a smaller temperature would make of it, mechlib.llc.ladder says"
            )
        return (
            f"no plateau: the estimate moves with gamma wherever it can be believed, so that it is of w* and of the "
            f"prior and no coefficient. {said} is right as the expectation at nbeta {best.nbeta:.4g} and gamma "
            f"{best.gamma:g}, the smallest that can be believed, and for comparisons at just these settings. The "
            "learning coefficient is the limit of mechlib.llc.ladder"
        )

    def _line(self, cell: Cell) -> str:
        faults = f": {'; '.join(FAULTS[code] for code in cell.faults)}" if cell.faults else ""
        return (
            f"  gamma {cell.gamma:g}: {cell.full.llc:.4g} ± {cell.full.std_error:.2g}, at a quarter of the step "
            f"{cell.quarter.llc:.4g} ± {cell.quarter.std_error:.2g}, virial {cell.full.virial:.2f}{faults}"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """The estimates over gamma with two standard errors, hollow where not good; the plateau and advice if any."""
        import matplotlib.pyplot as plt

        ax = plt.subplots()[1] if ax is None else ax
        values = [cell.full.llc for cell in self.cells]
        ax.plot(self.gammas, values, color="0.6", linewidth=0.8, zorder=1)
        for cell in self.cells:
            fill = "white" if cell.faults else "0.1"
            error = 2 * cell.full.std_error
            ax.errorbar(cell.gamma, cell.full.llc, error, fmt="o", color="0.1", markerfacecolor=fill, markersize=5)
        quarters = [cell.quarter.llc for cell in self.cells]
        ax.plot(self.gammas, quarters, "x", color="0.4", markersize=5, label="a quarter of the step")
        if self.plateau:
            ax.axvspan(*self.plateau, color="0.1", alpha=0.12, linewidth=0, label="plateau")
        if self.gamma is not None:
            ax.axvline(self.gamma, color="0.1", linestyle="--", linewidth=0.8, label="advised")
        ax.set(xscale="log", xlabel=r"$\gamma$", ylabel=r"$E[n\beta\,(L(w) - L(w^*))]$")
        ax.legend()
        return ax


def _change(below: Cell, above: Cell) -> tuple[float, float]:
    low, high, decades = below.full, above.full, math.log10(above.gamma / below.gamma)
    if not (low.llc > 0 and high.llc > 0):
        return math.nan, math.nan
    error = math.hypot(low.std_error / low.llc, high.std_error / high.llc)
    return math.log(low.llc / high.llc) / decades, error / decades
