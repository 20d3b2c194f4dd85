"""Puts beside the pages the script that shows their widgets: a Sphinx extension.

A widget of a chapter stands in its page with its data, its script and its style. What shows it there is two kilobytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from mechlib.widgets import assets

__all__ = ["SCRIPT", "setup"]

SCRIPT = "_static/widgets.js"
"""From the root of the pages."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension; Sphinx calls it."""
    app.connect("build-finished", _beside)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _beside(app: Sphinx, failure: Exception | None) -> None:
    if failure is None and app.builder.format == "html":
        (Path(app.outdir) / SCRIPT).write_text(assets.embedded(), encoding="utf-8")
