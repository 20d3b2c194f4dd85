"""Margins that follow from standard errors, for tests whose outcome hangs on what is drawn."""

from __future__ import annotations

from torch import Tensor

ERRORS = 4.5
"""Standard errors that a mean of many draws may be off by: one of 150,000 is farther, and fifteen may be judged at
once before one test of 10,000 fails."""


def mean_is(draws: Tensor, expected: float | Tensor, *, within: float) -> None:
    """Assert that independent draws, along the first axis, have the expected mean.

    It may be off by ``ERRORS`` standard errors; and these are small enough for whatever is off by twice ``within`` to
    be found out.
    """
    margin = ERRORS * draws.std(0) / len(draws) ** 0.5
    assert float(margin.max()) <= within, f"too few draws: the margin is {float(margin.max()):.3g}"
    off = draws.mean(0) - expected
    assert bool((off.abs() <= margin).all()), f"{off} off, with a margin of {margin}"
