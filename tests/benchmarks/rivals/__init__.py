"""Other estimators of the learning coefficient, each in an environment of its own.

``python -m tests.benchmarks.rivals`` makes the environments, under ``build/rivals/``; ``make bench`` measures those
that are there.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
NAMES = ("devinterp", "canonical")


def python(name: str) -> Path:
    """The interpreter of a rival's environment, which need not be there."""
    folder = ROOT / "build" / "rivals" / name
    return next((p for p in (folder / "bin" / "python", folder / "Scripts" / "python.exe") if p.exists()), folder)
