"""What a measure returns: one number for each unit, and whether the library warned of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Num
from numpy.typing import ArrayLike

FEWEST = 5
"""So many units or runs at least; an interval over fewer hardly excludes anything."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Values of one system, one for each unit.

    ``Evidence(values)``, ``Evidence({"own": values, "placebo": values})``: what a measure may return as it is, where it
    has nothing to say of warnings.
    """

    arms: Mapping[str, Num[np.ndarray, " unit"]]
    """By name, values over the same units; one arm without a name where the measure has one number for each. Given
    as tensors, arrays or lists. Units of which an arm is NaN are left out. Booleans are counted, so that where none
    or all are true the interval has a width."""
    warned: str = ""
    """Why the library says that these values decide nothing; empty where it does not."""

    def __post_init__(self) -> None:
        given = self.arms if isinstance(self.arms, Mapping) else {"": self.arms}
        arms = {str(name): _array(values) for name, values in given.items()}
        sizes = {name: len(values) for name, values in arms.items()}
        if not arms or len(set(sizes.values())) > 1:
            raise ValueError(f"every arm has one value for each of the same units, got {sizes}")
        if not self.warned and any(np.isinf(values).any() for values in arms.values()):
            raise ValueError("evidence is finite, or NaN where a unit is left out, got infinite values")
        known = np.all([np.isfinite(values) for values in arms.values()], axis=0)
        object.__setattr__(self, "arms", {name: values[known] for name, values in arms.items()})

    @property
    def n(self) -> int:
        """Number of units."""
        return len(next(iter(self.arms.values())))


def measured(measure: Callable[..., Any], system: object, options: Mapping[str, Any]) -> Evidence:
    """What a measure finds in a system, with the warnings of the library on the way."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = measure(system, **options)
    ours = [warning for warning in caught if warning.category.__module__.split(".")[0] == "mechlib"]
    for warning in caught:
        if warning not in ours:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    own = found if isinstance(found, Evidence) else None
    reasons = dict.fromkeys(filter(None, [own.warned if own else "", *(str(warning.message) for warning in ours)]))
    return Evidence(own.arms if own else found, "; ".join(reasons))


def pooled(runs: Iterable[Evidence]) -> Evidence:
    """The means of the runs, with the run as unit. A warning of one run is one of them all.

    Raises:
        ValueError: if the runs have different arms, or one has no value and no warning says why.
    """
    runs = list(runs)
    if empty := [number for number, run in enumerate(runs) if not run.n and not run.warned]:
        raise ValueError(f"no run is left out of a mean in silence, and {empty} have no value that is a number")
    names = {tuple(run.arms) for run in runs}
    if len(names) > 1:
        raise ValueError(f"every run has the same arms, got {sorted(names)}")
    arms = {name: np.array([run.arms[name].mean() if run.n else np.nan for run in runs]) for name in names.pop()}
    warned = [f"run {number}: {run.warned}" for number, run in enumerate(runs) if run.warned]
    return Evidence(arms, "; ".join(warned))


def listed(system: object, claim_id: str, fewest: int) -> Sequence[Any]:
    """The runs of a system that is a sequence of runs.

    Raises:
        ValueError: if it is no sequence, or has fewer than ``fewest``.
    """
    if not isinstance(system, Sequence) or isinstance(system, str):
        raise ValueError(
            f"claim {claim_id} is about runs, so each of its systems is a list of runs, got {type(system).__name__}"
        )
    if len(system) < fewest:
        raise ValueError(
            f"claim {claim_id} needs at least {fewest} runs of each system, got {len(system)}; "
            "of fewer, say how many of them: unit=each_run(...)"
        )
    return system


def _array(values: ArrayLike) -> Num[np.ndarray, " unit"]:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    found = np.atleast_1d(np.asarray(values))
    if found.ndim != 1:
        raise ValueError(f"evidence has one value for each unit, got the shape {found.shape}; see stats.by_unit")
    return found if found.dtype == bool else found.astype(float)
