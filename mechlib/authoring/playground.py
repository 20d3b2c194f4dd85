"""Puts what the playground's page reads beside the built pages: a Sphinx extension."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from mechlib.widgets.playground import served

__all__ = ["FOLDER", "beside", "setup"]

FOLDER = "_static/playground"
"""The folder, from the root of the pages."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension; Sphinx calls it."""
    app.connect("build-finished", beside)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def beside(app: Sphinx, failure: Exception | None) -> None:
    """Write the files, where pages of HTML were built.

    Raises:
        ValueError: as ``served.write``.
    """
    if failure is None and app.builder.format == "html":
        served.write(Path(app.outdir) / FOLDER)
