"""The examples in docstrings run, and print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

from mechlib.authoring import checkout

ROOT = checkout.root()
WITH_EXAMPLES = [
    path.relative_to(ROOT)
    for path in sorted((ROOT / "mechlib").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]
ROOMS = {"causal", "distances", "figures", "heads", "patterns", "probes", "repair", "stream"}
"""Rooms whose front door shows how they are used."""


def name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=Path.as_posix)
def test_the_examples_of(path):
    results = doctest.testmod(importlib.import_module(name(path)))
    assert results.attempted and not results.failed


def test_every_room_of_the_analysis_has_an_example():
    assert {f"mechlib.{room}" for room in ROOMS} <= set(map(name, WITH_EXAMPLES))
