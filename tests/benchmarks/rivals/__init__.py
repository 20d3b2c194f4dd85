"""Other code that does what mechlib does, each in an environment of its own.

``python -m tests.benchmarks.rivals`` makes the environments, under ``build/rivals/``; ``make bench`` measures those
that are there.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
NAMES = ("devinterp", "devinterp2", "canonical")
"""Estimators of the learning coefficient; devinterp is there in two versions."""
LANGUAGE = ("devinterp2",)
"""Those that take language models alone."""
GRADERS = ("otter",)
"""Graders of notebooks."""
SOURCES = {"garg": ("https://github.com/dtsip/in-context-learning", "338337192195827c58356f9b627e5f999ea703d2")}
"""Code that is no package: its repository and the commit that is measured."""


def python(name: str) -> Path:
    """The interpreter of a rival's environment, which need not be there."""
    folder = ROOT / "build" / "rivals" / name
    return next((p for p in (folder / "bin" / "python", folder / "Scripts" / "python.exe") if p.exists()), folder)


def source(name: str) -> Path:
    """The checkout of a rival that is no package, which need not be there."""
    return ROOT / "build" / "rivals" / name / "source"
